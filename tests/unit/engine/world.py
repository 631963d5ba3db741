"""A worker in a world of fakes: the store and the objects are real, servers and load are pretended, time runs fast."""

from __future__ import annotations

import asyncio
import contextlib
import io
import tarfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from modeldyno.domain.catalog import Catalogue
from modeldyno.domain.host import Host
from modeldyno.domain.job import Job, JobSpec, JobStatus
from modeldyno.domain.model import ModelSource
from modeldyno.domain.names import JOB, arn_of
from modeldyno.domain.trial import Trial
from modeldyno.engine.parts import Options, Parts
from modeldyno.engine.worker import Worker
from modeldyno.objects.store import directory_objects
from modeldyno.ports import DeployRequest, LoadTarget, Store
from modeldyno.store.sql import open_store
from modeldyno.testing.clock import FastClock
from modeldyno.testing.fake_compiler import FakeCompiler
from modeldyno.testing.fake_instances import A_HOST, FakeBackend
from modeldyno.testing.fake_load import FakeGenerator, FakeServer
from tests.unit.domain.builders import a_job, a_spec, a_type

TYPES = {kind.name: kind for kind in (a_type("one", 1), a_type("two", 2, 0.2), a_type("huge", 64, 9.0))}


def tar_gz(**files: bytes) -> bytes:
    """An archive of these files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name.replace("_", "."))
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


class OpenPermit:
    """A permit that a test can take away."""

    def __init__(self) -> None:
        self.free = True
        self.held = False

    def try_acquire(self) -> bool:
        self.held = self.held or self.free
        return self.held

    def release(self) -> None:
        self.held = False


@dataclass
class World:
    """Everything around a worker."""

    root: Path
    store: Store
    host: Host = A_HOST
    server: Callable[[LoadTarget], FakeServer] = lambda _: FakeServer()
    clock: FastClock = field(default_factory=FastClock)
    permit: OpenPermit = field(default_factory=OpenPermit)
    notes: list[str] = field(default_factory=list)
    published: list[str] = field(default_factory=list)
    disk_full: bool = False
    lease_seconds: float = 1000.0  # 20 s of the machine's: no delay of a busy one ends a lease
    compiler: FakeCompiler = field(default_factory=FakeCompiler)
    url: Callable[[DeployRequest], str] = lambda _: "http://127.0.0.1:9"
    backend: FakeBackend = field(init=False)

    def __post_init__(self) -> None:
        self.backend = FakeBackend(self.url, host=self.host, sleep=self.clock.sleep)
        self.objects = directory_objects(self.root / "s3")
        self.objects.put("s3://bucket/payload.tar.gz", tar_gz(a_csv=b"1,2"))
        self.objects.put("s3://bucket/model.tar.gz", tar_gz(model_bin=b"m"))

    @classmethod
    @contextlib.contextmanager
    def at(cls, root: Path, **more: Any) -> Any:
        """A world in a directory, closed at the end."""
        store = open_store(f"sqlite:///{root / 'dyno.sqlite'}", migrate=True, now=0.0)
        try:
            yield cls(root, store, **more)
        finally:
            store.close()

    def parts(self, store: Store | None = None) -> Parts:
        """What a worker is made of here."""
        return Parts(
            store=store or self.store,
            objects=self.objects,
            backend=self.backend,
            compiler=self.compiler,
            generator=FakeGenerator(self.clock, self.server),
            clock=self.clock,
            catalogue=Catalogue(TYPES),
            runtimes=("acme/server:1",),
            permit=self.permit,
            work_dir=self.root / "work",
            log_path=lambda job, index: self.root / f"{job.name}-{index}.log",
            hosted_dir=self.root / "hosted",
            server_log=lambda server: self.root / f"{server.id}.log",
            publish=self.publish,
            is_published=lambda job: job.name in self.published,
            prune_files=lambda before: None,
            note=self.notes.append,
            options=Options(lease_seconds=self.lease_seconds, poll_seconds=0.01),
        )

    def publish(self, job: Job) -> None:
        """Write the result file, unless the disk is full."""
        if self.disk_full:
            raise OSError(28, "No space left on device")
        self.published.append(self.store.job(job.region, job.name).name)

    def submit(self, name: str = "job", *types: str, spec: JobSpec | None = None, **more: Any) -> None:
        """Store a PENDING Default job on an own server (one trial a type)."""
        image = more.pop("image", "acme/server:1")
        model = ModelSource(image, "s3://bucket/model.tar.gz", more.pop("environment", {}))
        payload = replace(a_spec().payload, url=more.pop("payload", "s3://bucket/payload.tar.gz"))
        base = spec or a_spec(supported_instance_types=types or ("one",), **more)
        job = a_job(replace(base, model=model, payload=payload), id=name, name=name, status=JobStatus.PENDING)
        job = replace(job, arn=arn_of(JOB, job.region, "000000000000", name))
        now = self.clock.now()
        self.store.add_job(replace(job, created_at=now, modified_at=now))

    def job(self, name: str = "job") -> Job:
        return self.store.job("us-east-1", name)

    def trials(self, name: str = "job") -> tuple[Trial, ...]:
        return self.store.trials(name)

    @contextlib.asynccontextmanager
    async def worker(
        self, worker_id: str = "w1", store: Store | None = None, *, hosts: bool = False
    ) -> AsyncIterator[asyncio.Task[None]]:
        """A running worker, ended cleanly."""
        stop = asyncio.Event()
        task = asyncio.create_task(Worker(self.parts(store), worker_id, hosts=hosts).run(stop))
        try:
            yield task
        finally:
            stop.set()
            await asyncio.gather(task, return_exceptions=True)

    async def until(self, condition: Callable[[], bool], seconds: float = 20.0) -> None:
        """Wait for a condition, in real seconds."""
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.005)

    async def ended(self, name: str = "job") -> Job:
        """The job once it has ended."""
        await self.until(lambda: self.job(name).status.ended)
        return self.job(name)
