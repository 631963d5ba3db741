"""The composition: which implementation stands behind each port. Outer rooms are imported only where they are used."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from modeldyno.app.catalogue import build_catalogue
from modeldyno.app.entropy import SystemEntropy
from modeldyno.app.places import DirectoryLock, Places, places_of
from modeldyno.clock import SystemClock
from modeldyno.domain.catalog import Catalogue
from modeldyno.domain.endpoint import Server
from modeldyno.domain.experiment import Margins
from modeldyno.domain.host import Host
from modeldyno.domain.images import Framework
from modeldyno.domain.job import Job
from modeldyno.domain.key import AccessKey
from modeldyno.domain.result import result_document
from modeldyno.domain.shadow_document import shadow_document
from modeldyno.ports import DeployRequest, InstanceBackend, LoadGenerator, ObjectStore, Store
from modeldyno.settings import Settings

if TYPE_CHECKING:
    from modeldyno.instances.environments import Environments
    from modeldyno.instances.host import Finding
    from modeldyno.instances.host_lock import MeasuringLock
    from modeldyno.operations.context import Context


_LOG_BYTES = 1024**2  # chosen: what one answer of CloudWatch Logs may hold


class _Published(msgspec.Struct):
    """What is read of a result file."""

    host: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Dyno:
    """One opened installation: everything a command needs, whether a service runs or not."""

    settings: Settings
    places: Places
    store: Store
    objects: ObjectStore
    catalogue: Catalogue
    clock: SystemClock
    entropy: SystemEntropy

    @property
    def data_dir(self) -> Path:
        """The data directory."""
        return self.places.root

    def context(self, region: str, caller: str | None = None) -> Context:
        """The world of one call. `caller`: the id of the key that it names."""
        from modeldyno.operations.context import Context

        return Context(
            region=region,
            account=self.settings.account,
            store=self.store,
            clock=self.clock,
            entropy=self.entropy,
            catalogue=self.catalogue,
            runtimes=frozenset(self.settings.runtimes),
            documented_limits=self.settings.documented_limits,
            accept_unenforced=self.settings.security.accept_unenforced,
            margins=margins(self.settings),
            caller=caller or "dyno",
            server_output=self.server_output,
        )

    def server_output(self, server: Server) -> list[tuple[float, str]]:
        """What a hosted server wrote on this host, the end of it, with the time when its log last grew."""
        return log_lines(self.places.server_log(server.region, server.endpoint_name, server.variant.name, server.index))

    def call(self, operation: str, params: dict[str, Any], region: str = "us-east-1") -> dict[str, Any]:
        """Carry out an API operation in this process: the same validation and the same function as over HTTP."""
        from modeldyno.operations.dispatch import call

        return call(self.context(region), operation, params)

    def host(self) -> Host:
        """What this machine can be."""
        from modeldyno.instances.host import read_host

        return read_host()

    def result(self, region: str, name: str) -> dict[str, Any]:
        """The result document of a job (`domain.result`), with its ``host`` where the worker has written it."""
        document = job_result(self.store, self.store.job(region, name))
        written = self.places.result(region, name)
        facts = msgspec.json.decode(written.read_bytes(), type=_Published).host if written.is_file() else None
        return document if facts is None else document | {"host": facts}

    def shadow_report(self, region: str, name: str) -> dict[str, Any]:
        """What an experiment has shown (`domain.shadow_document`)."""
        experiment = self.store.experiment(region, name)
        arn = experiment.endpoint_arn
        known = {one.id for one in self.store.endpoints() if one.arn == arn}
        servers = [one for one in self.store.servers() if one.endpoint_id in known]
        evidence, tallies = self.store.evidence(experiment.id), self.store.tallies(experiment.id)
        disk = shutil.disk_usage(self.data_dir)
        return shadow_document(experiment, evidence, tallies, servers, 100 * disk.used / disk.total)

    def close(self) -> None:
        """Let go of the store's connections."""
        self.store.close()


def log_lines(path: Path) -> list[tuple[float, str]]:
    """The last lines of a log file, each with the time when it last grew; none where there is no such file."""
    try:
        with path.open("rb") as file:
            facts = os.fstat(file.fileno())
            file.seek(max(0, facts.st_size - _LOG_BYTES))
            text = file.read(_LOG_BYTES).decode(errors="replace")
    except FileNotFoundError:
        return []
    found = text.splitlines()
    return [(facts.st_mtime, line) for line in (found[1:] if facts.st_size > _LOG_BYTES else found)]


def margins(settings: Settings) -> Margins:
    """What a shadow must keep, unless an experiment's tags say otherwise."""
    chosen = settings.shadow
    return Margins(
        latency_percent=chosen.latency_margin_percent,
        error_percent=chosen.error_margin_percent,
        agreement_percent=chosen.agreement_percent,
        numeric_tolerance=chosen.numeric_tolerance,
        confidence_percent=chosen.confidence_percent,
        stop_when_harmful=chosen.stop_when_harmful,
    )


def job_result(store: Store, job: Job) -> dict[str, Any]:
    """The result document of a job as it stands now."""
    trials = store.trials(job.id)
    return result_document(job, trials, {trial.spec.index: store.windows(trial.id) for trial in trials})


def host_facts() -> dict[str, Any]:
    """What of this machine bears on every figure: results of unlike machines are not of the model alone."""
    from modeldyno.instances.host_facts import processor, usable_cores, usable_memory_mib

    return {
        "processor": processor(),
        "cores": len(usable_cores()),
        "memory_mib": usable_memory_mib(),
        "architecture": platform.machine(),
    }


def open_store_of(settings: Settings, places: Places, *, migrate: bool) -> Store:
    """The store that the settings name; see `store.sql.open_store` for what it raises."""
    from modeldyno.store.sql import open_store

    url = settings.database or places.database_url
    if migrate and settings.database is None:
        places.make_database()
    return open_store(url, migrate=migrate, now=SystemClock().now(), backup_dir=places.backups)


def open_objects(settings: Settings, places: Places) -> ObjectStore:
    """The directory, or real S3 when it is configured."""
    from modeldyno.objects.store import directory_objects, s3_objects

    chosen = settings.objects
    if not chosen.s3:
        return directory_objects(places.objects)
    return s3_objects(
        endpoint_url=chosen.endpoint_url,
        region=chosen.region,
        access_key_id=chosen.access_key_id,
        secret_access_key=chosen.secret_access_key,
        allow_http=chosen.allow_http,
    )


def open_dyno(settings: Settings, *, migrate: bool = True) -> Dyno:
    """Open an installation. `migrate`: make or migrate the store, unless somebody serves the data directory just now.

    Raises:
        ServiceError: the data directory or the database cannot be used; one line says why.
    """
    places = places_of(settings)
    places.make()
    lock = DirectoryLock(places)
    migrate = migrate and lock.try_acquire()
    try:
        store = open_store_of(settings, places, migrate=migrate)
    finally:
        lock.release()
    return Dyno(
        settings=settings,
        places=places,
        store=store,
        objects=open_objects(settings, places),
        catalogue=build_catalogue(settings),
        clock=SystemClock(),
        entropy=SystemEntropy(),
    )


def keys_of(settings: Settings) -> tuple[AccessKey, ...]:
    """The keys of an installation, revoked ones too."""
    store = open_store_of(settings, places_of(settings), migrate=False)
    try:
        return store.access_keys()
    finally:
        store.close()


def environments_of(settings: Settings, places: Places) -> Environments:
    """What builds the environments that models run in."""
    from modeldyno.instances.environments import Environments, OwnRuntime

    runtimes = {
        name: OwnRuntime(tuple(runtime.command), dict(runtime.environment), runtime.worker_variable)
        for name, runtime in settings.runtimes.items()
    }
    return Environments(places.environments, runtimes, build_from_source=settings.environments.build_from_source)


def build_environment(settings: Settings, framework: str, version: str | None) -> Path:
    """The interpreter of a framework's environment, built when it is not there yet."""
    import asyncio

    return asyncio.run(environments_of(settings, places_of(settings)).python_for(Framework(framework), version))


def doctor(settings: Settings) -> Sequence[Finding]:
    """What this host can do, and what follows for the measurements."""
    from modeldyno.instances.host import doctor

    return doctor()


@dataclass(frozen=True, slots=True)
class Bench:
    """What measures a server without a job or a store."""

    backend: InstanceBackend
    generator: LoadGenerator
    lock: MeasuringLock


def bench(state_dir: Path, command: Callable[[DeployRequest], tuple[str, ...]]) -> Bench:
    """Instances of these commands, on this host. `state_dir`: see `ProcessBackend`."""
    from modeldyno.instances.host_lock import MeasuringLock
    from modeldyno.instances.prepared import Prepared
    from modeldyno.instances.process import ProcessBackend
    from modeldyno.load.process import ProcessGenerator

    async def prepare(request: DeployRequest) -> Prepared:
        return Prepared(command(request), description=request.spec.endpoint_name)

    return Bench(ProcessBackend(state_dir, prepare), ProcessGenerator(), MeasuringLock())
