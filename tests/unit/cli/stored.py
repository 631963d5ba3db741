"""Jobs in a store, made by hand: planned, begun, finished."""

from __future__ import annotations

from modeldyno.app.compose import Dyno
from modeldyno.domain.catalog import InstanceType, PriceBasis
from modeldyno.domain.figures import figures_of
from modeldyno.domain.host import Cgroup, Host
from modeldyno.domain.job import Job, JobSpec, JobStatus, JobType, StoppingRules
from modeldyno.domain.measurement import Window
from modeldyno.domain.model import ModelSource, PayloadSource
from modeldyno.domain.stopping import Measured
from modeldyno.domain.trial import Figures, Flag, Placement, TrialResult, TrialSpec, TrialStatus
from modeldyno.ports import LogLine

REGION = "us-east-1"
TYPE = InstanceType("local.one", 1.0, 1024, usd_per_hour=0.04, price_basis=PriceBasis.EXAMPLE)
HOST = Host("here", (0, 1), 4096, "x86_64", Cgroup.NONE, root=False)


def add_job(dyno: Dyno, name: str, trials: int = 2, package: str | None = None) -> Job:
    """A job IN_PROGRESS with trials of 1, 2, ... workers, of the model of its name or of a package."""
    model = ModelSource("acme:1", None, model_name=None if package else name, model_package_arn=package)
    spec = JobSpec(JobType.DEFAULT, model, PayloadSource("s3://b/p", "text/csv"))
    now = dyno.clock.now()
    arn = f"arn:aws:sagemaker:{REGION}:000000000000:inference-recommendations-job/{name}"
    job = Job(f"id-{name}", REGION, name, arn, JobStatus.PENDING, spec, {}, now, now)
    dyno.store.add_job(job)
    planned = [
        TrialSpec(index, f"e-{index}", TYPE, environment={"W": str(index + 1)}, tuned={"W": str(index + 1)})
        for index in range(trials)
    ]
    assert dyno.store.plan_job(job.id, planned, ["ml.big was left out: it is too big."], now)
    dyno.store.log(job.id, [LogLine(now, "Planned 2 trials.")])
    return job


def window(sequence: int, users: int = 4) -> Window:
    """A second of 100 answers of about a millisecond, half of one core."""
    return Window(sequence, 1_800_000_000.0 + sequence, 1.0, users, {4000: 100}, cpu_seconds=0.5, memory_bytes=1024**2)


def begin(dyno: Dyno, windows: int = 3) -> tuple[str, int]:
    """Claim the next trial and give it so many windows; its id and attempt."""
    store, now = dyno.store, dyno.clock.now()
    store.heartbeat("worker", HOST, now, 60)
    claim = store.claim_trial("worker", lambda trial, busy: Placement((1,), None), now, 60)
    assert claim is not None
    for sequence in range(windows):
        assert store.add_window(claim.trial.id, claim.trial.attempt, window(sequence))
    return claim.trial.id, claim.trial.attempt


def measured() -> TrialResult:
    figures = Figures(
        capacity_per_minute=6000.0,
        percentile=95.0,
        latency_ms=1.25,
        latencies_ms={"p50": 1.0, "p95": 1.25, "p99": 1.5},
        users=4,
        requests=300,
        failed=0,
        measured_seconds=3.0,
        warmup_seconds=0.0,
        total_requests=300,
        total_failed=0,
        total_seconds=3.0,
        cpu_percent=50.0,
        memory_percent=12.0,
    )
    return TrialResult(figures, "throughput went flat", {Flag.NO_CGROUP: "there was no cgroup"}, 1.0, 4.0)


def finish(dyno: Dyno, job: Job) -> None:
    """The first trial is measured, the second fails, and the job ends."""
    store, now = dyno.store, dyno.clock.now()
    trial, attempt = begin(dyno)
    assert store.finish_trial(trial, attempt, TrialStatus.COMPLETED, now, result=measured())
    trial, attempt = begin(dyno)
    reason, tail = "The model server exited with status 1.", "ValueError: no"
    assert store.finish_trial(trial, attempt, TrialStatus.FAILED, now, failure_reason=reason, log_tail=tail)
    assert store.finish_job(job.id, JobStatus.COMPLETED, now)


def measured_from(windows: list[Window]) -> TrialResult:
    """The result of windows of constant users."""
    policy = Measured(tuple(windows), windows[0].users, 0.0, "throughput went flat")
    figures = figures_of(policy, windows, StoppingRules(), None)
    assert figures is not None
    return TrialResult(figures, policy.reason, {}, 1.0, 4.0)
