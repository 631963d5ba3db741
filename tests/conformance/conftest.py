"""A real front on a loopback port, and unmodified boto3 before it."""

from __future__ import annotations

import asyncio
import itertools
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import botocore.session
import pytest
import uvloop
from botocore.config import Config

from modeldyno.app.compose import Dyno, open_dyno
from modeldyno.app.front_app import opened, serve
from modeldyno.domain.catalog import InstanceType
from modeldyno.domain.host import Cgroup, Host
from modeldyno.domain.job import Job, JobStatus
from modeldyno.domain.key import AccessKey
from modeldyno.domain.names import endpoint_name
from modeldyno.domain.trial import Figures, Placement, Trial, TrialResult, TrialSpec, TrialStatus
from modeldyno.settings import InstanceSetting, Settings
from tests.requests import IMAGE, ROLE

WORKER = "conformance"
_regions = itertools.count(1)


@dataclass(frozen=True)
class Front:
    """A running front: where it is, and the installation behind it."""

    url: str
    dyno: Dyno


@contextmanager
def running(settings: Settings, *keys: AccessKey) -> Iterator[Front]:
    """A front over an installation of its own, with these keys."""
    dyno = open_dyno(settings)
    for key in keys:
        dyno.store.add_key(key)
    listener = socket.create_server(("127.0.0.1", 0))
    ready = threading.Event()
    ends: list[Callable[[], object]] = []

    async def body() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        ends.append(lambda: loop.call_soon_threadsafe(stop.set))
        async with opened(dyno, exposed=False) as app:
            await serve(app, listener, ready.set, stop, dyno.settings.tls)

    thread = threading.Thread(target=lambda: uvloop.run(body()))
    thread.start()
    assert ready.wait(30)
    try:
        yield Front(f"http://127.0.0.1:{listener.getsockname()[1]}", dyno)
    finally:
        ends[0]()
        thread.join(30)
        dyno.close()


@pytest.fixture(scope="session")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    settings = Settings(
        data_dir=str(tmp_path_factory.mktemp("front")),
        instances={"local.2cpu": InstanceSetting(vcpus=2, memory_gib=2, usd_per_hour=0.1)},
    )
    with running(settings) as front:
        yield front


@pytest.fixture(scope="session")
def connect(front: Front) -> Iterator[Callable[..., Any]]:
    """A boto client of any region and service."""
    session = botocore.session.get_session()
    clients = []

    def client(region: str, service: str = "sagemaker", key: tuple[str, str] = ("any", "any"), **config: Any) -> Any:
        made = session.create_client(
            service,
            region_name=region,
            endpoint_url=front.url,
            aws_access_key_id=key[0],
            aws_secret_access_key=key[1],
            config=Config(retries={"total_max_attempts": 1}, connect_timeout=10, read_timeout=30, **config),
        )
        clients.append(made)
        return made

    yield client
    for made in clients:
        made.close()


@pytest.fixture
def region() -> str:
    """A region of its own for every test: nothing of another test is in it."""
    return f"test-east-{next(_regions)}"


@pytest.fixture
def sagemaker(connect: Callable[..., Any], region: str) -> Any:
    return connect(region)


@pytest.fixture
def refused() -> Callable[..., str]:
    """Call something that must be refused with a code; the message."""

    def calling(code: str, function: Callable[..., object], **params: Any) -> str:
        with pytest.raises(botocore.exceptions.ClientError) as refusal:
            function(**params)
        error = refusal.value.response["Error"]
        assert error["Code"] == code, error
        assert refusal.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
        return str(error["Message"])

    return calling


@pytest.fixture
def model(sagemaker: Any) -> str:
    sagemaker.create_model(
        ModelName="iris",
        ExecutionRoleArn=ROLE,
        PrimaryContainer={"Image": IMAGE, "ModelDataUrl": "s3://bucket/model.tar.gz"},
    )
    return "iris"


@pytest.fixture
def job_request(model: str) -> dict[str, Any]:
    return {
        "JobName": "job",
        "JobType": "Default",
        "RoleArn": ROLE,
        "InputConfig": {
            "ModelName": model,
            "ContainerConfig": {
                "Domain": "MACHINE_LEARNING",
                "Task": "OTHER",
                "Framework": "SAGEMAKER-SCIKIT-LEARN",
                "FrameworkVersion": "1.2-1",
                "PayloadConfig": {
                    "SamplePayloadUrl": "s3://bucket/payload.tar.gz",
                    "SupportedContentTypes": ["text/csv"],
                },
                "SupportedInstanceTypes": ["ml.c5.large", "local.2cpu"],
            },
        },
    }


def _result(per_minute: float, latency_ms: float, workers: int) -> TrialResult:
    figures = Figures(
        capacity_per_minute=per_minute,
        percentile=95.0,
        latency_ms=latency_ms,
        latencies_ms={"p95": latency_ms},
        users=4,
        requests=100,
        failed=0,
        measured_seconds=10.0,
        warmup_seconds=1.0,
        total_requests=110,
        total_failed=0,
        total_seconds=11.0,
        cpu_percent=187.5,
        memory_percent=12.25,
    )
    return TrialResult(
        figures=figures,
        stop_reason="flat",
        flags={},
        load_started_at=1_700_000_000.0,
        load_ended_at=1_700_000_060.0,
        effective_environment={"SAGEMAKER_MODEL_SERVER_WORKERS": str(workers)},
    )


@dataclass(frozen=True)
class Engine:
    """Plays the worker over the store: what it does there, without a model."""

    dyno: Dyno
    region: str

    def job(self, name: str = "job") -> Job:
        return self.dyno.store.job(self.region, name)

    def plan(self, types: Sequence[str | InstanceType], name: str = "job") -> None:
        job = self.job(name)
        kinds = [self.dyno.catalogue[kind] if isinstance(kind, str) else kind for kind in types]
        trials = [
            TrialSpec(index, endpoint_name(job.name, job.id, index), kind, {}, {"OMP_NUM_THREADS": "1"})
            for index, kind in enumerate(kinds)
        ]
        assert self.dyno.store.plan_job(job.id, trials, ("a note",), 1_700_000_000.0)

    def claim(self) -> Trial:
        host = Host(WORKER, (0, 1), 4096, "x86_64", Cgroup.NONE, root=False)
        store = self.dyno.store
        store.heartbeat(WORKER, host, 1_700_000_000.0, 3600)
        claim = store.claim_trial(WORKER, lambda trial, busy: Placement((0,), None), 1_700_000_000.0, 3600)
        assert claim is not None
        return claim.trial

    def succeed(self, per_minute: float, latency_ms: float, workers: int = 2) -> None:
        trial = self.claim()
        result = _result(per_minute, latency_ms, workers)
        assert self.dyno.store.finish_trial(
            trial.id, trial.attempt, TrialStatus.COMPLETED, 1_700_000_061.0, result=result
        )

    def fail(self, reason: str) -> None:
        trial = self.claim()
        store = self.dyno.store
        assert store.finish_trial(trial.id, trial.attempt, TrialStatus.FAILED, 1_700_000_061.0, failure_reason=reason)

    def end(self, status: JobStatus, reason: str | None = None, name: str = "job") -> None:
        assert self.dyno.store.finish_job(self.job(name).id, status, self.dyno.clock.now(), reason)


@pytest.fixture
def engine(front: Front, region: str) -> Iterator[Engine]:
    engine = Engine(front.dyno, region)
    yield engine
    for job in front.dyno.store.active_jobs():  # a job that a test left running would be claimed in the next
        if job.region == region:
            for trial in front.dyno.store.trials(job.id):
                if trial.status is TrialStatus.IN_PROGRESS:
                    front.dyno.store.finish_trial(trial.id, trial.attempt, TrialStatus.STOPPED, 1_700_000_099.0)
            front.dyno.store.finish_job(job.id, JobStatus.STOPPED, 1_700_000_099.0)
