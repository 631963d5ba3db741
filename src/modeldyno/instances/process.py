"""Model servers as processes of this host, under its cgroups."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Collection
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

from modeldyno.domain.errors import HostCannot, ModelFault
from modeldyno.domain.host import Cgroup, Host
from modeldyno.domain.trial import Flag, Placement
from modeldyno.instances.adoption import Ledger, Process, adopted, how_it_ended, read_ledger, write_ledger
from modeldyno.instances.cgroups import find_cgroups
from modeldyno.instances.contract import free_port, mebibytes, server_environment, size_flags
from modeldyno.instances.host import read_host
from modeldyno.instances.launch import Home, Launch, read_report, why_no_mounts
from modeldyno.instances.limits import Cgroups, Group, Limits
from modeldyno.instances.naming import directory_name, owner_prefix, tag_text
from modeldyno.instances.no_cgroup import kill_tagged
from modeldyno.instances.prepared import Prepare, Prepared
from modeldyno.instances.readiness import HEALTHY, PING_SECONDS, is_listening, ping, wait_until_ready
from modeldyno.instances.server_log import cut_log, log_tail
from modeldyno.instances.teardown import end_instance
from modeldyno.ports import DeployRequest, Instance, Tag, Usage

_PORT_TRIES = 3
# Left on the disk by a server that fills it: for Dyno's records, or a tenth of what was free where that is less.
_SPARE_BYTES = 256 * 1024**2
_IN_USE = ("address already in use", "eaddrinuse", "errno 98", "error 98")


@dataclass(frozen=True, slots=True)
class ProcessInstance:
    """A running server (`ports.Instance`)."""

    url: str
    flags: dict[Flag, str]
    runtime: str
    effective_environment: dict[str, str]
    process: Process
    group: Group
    memory_bytes: int | None
    log_path: Path
    log_start: int
    directory: Path
    spare_bytes: int
    setup_seconds: float = 0.0

    def usage(self) -> Usage:
        """See `ports.Instance`."""
        return self.group.usage()

    def death(self) -> str | None:
        """See `ports.Instance`. A server that lost a worker to the memory limit counts as dead: it is too small. One
        that fills the disk is ended, and the log of one that writes without end is cut."""
        cut_log(self.log_path, self.log_start)
        if self.group.out_of_memory():
            limit = "" if self.memory_bytes is None else f" ({mebibytes(self.memory_bytes)} MiB)"
            return f"killed: out of memory{limit}"
        if _free_bytes(self.directory) < self.spare_bytes:
            return f"killed: the disk was nearly full (less than {mebibytes(self.spare_bytes)} MiB were left)"
        return how_it_ended(self.process.poll())

    async def ping(self) -> str | None:
        """See `ports.Instance`."""
        answer = await ping(int(self.url.rpartition(":")[2]), PING_SECONDS)
        return None if answer == HEALTHY else answer

    def log_tail(self, lines: int = 30) -> str:
        """See `ports.Instance`. Only what this attempt wrote."""
        return log_tail(self.log_path, self.log_start, lines)


@dataclass(frozen=True, slots=True)
class Errand:
    """A program that is no server. `work_dir`: what it leaves, as the model's user wrote it."""

    instance: ProcessInstance
    work_dir: Path


class _PortTaken(Exception):
    """Another process was faster; not the model's fault."""


class ProcessBackend:
    """Process groups on this host (`ports.InstanceBackend`).

    `state_dir` holds a directory for each running instance; one Dyno worker at a time may use it. `prepare` says which
    program to run. `cgroups`: how limits are held, found by trying where None. `hidden`: directories of which a server
    sees what it needs and nothing else, where a mount namespace can give that.
    """

    def __init__(
        self, state_dir: Path, prepare: Prepare, cgroups: Cgroups | None = None, hidden: Collection[Path] = ()
    ) -> None:
        self._state_dir = state_dir
        self._prepare = prepare
        self._hidden = (state_dir, *hidden)
        self._cgroups = cgroups or find_cgroups(read_host(None).cores)
        self._host = read_host(self._cgroups)
        self._private = why_no_mounts() is None
        self._ports: set[int] = set()

    def host(self) -> Host:
        """See `ports.InstanceBackend`."""
        return self._host

    def deploy(self, request: DeployRequest) -> AbstractAsyncContextManager[Instance]:
        """See `ports.InstanceBackend`."""
        return self._deployed(request)

    def adopt(self, request: DeployRequest) -> AbstractAsyncContextManager[Instance] | None:
        """See `ports.InstanceBackend`."""
        home = Home(self._state_dir / directory_name(request.tag), self._private)
        ledger = read_ledger(home.path)
        process = adopted(ledger)
        if process is None or ledger.tag != str(request.tag):
            return None
        self._ports.add(int(ledger.url.rpartition(":")[2]))
        group = self._cgroups.open(home.path.name, ledger.directories, _limits(request.placement))
        group.started(process.pid)
        instance = ProcessInstance(
            ledger.url,
            {Flag(flag): words for flag, words in ledger.flags.items()},
            ledger.runtime,
            ledger.effective_environment,
            process,
            group,
            request.placement.memory_bytes,
            request.log_path,
            ledger.log_start,
            home.path,
            ledger.spare_bytes,
        )
        return self._adopted(instance)

    @contextlib.asynccontextmanager
    async def _adopted(self, instance: ProcessInstance) -> AsyncIterator[Instance]:
        try:
            yield instance
        finally:
            await _to_the_end(
                instance.group, instance.directory, instance.process, instance.log_path, instance.log_start
            )
            self._ports.discard(int(instance.url.rpartition(":")[2]))

    def discard(self, tag: Tag) -> None:
        """See `ports.InstanceBackend`."""
        home = self._state_dir / directory_name(tag)
        end_instance(self._cgroups.open(home.name, read_ledger(home).directories), home, grace_seconds=0)

    def remove_orphans(self, installation: str, worker: str, keep: Collection[str] = ()) -> int:
        """See `ports.InstanceBackend`. Found by directory, by cgroup and by the tag in the environment."""
        prefix = owner_prefix(installation, worker)
        self._state_dir.mkdir(parents=True, exist_ok=True)
        names = {entry.name for entry in self._state_dir.iterdir() if entry.name.startswith(prefix)}
        names.update(self._cgroups.find(prefix))
        orphans = {name for name in names if tag_text(name) not in keep}
        for name in orphans:
            directory = self._state_dir / name
            end_instance(self._cgroups.open(name, read_ledger(directory).directories), directory, grace_seconds=0)
        return len(orphans) + kill_tagged(f"{installation}/{worker}/", keep)

    @property
    def private(self) -> bool:
        """Whether programs see their base directory at /opt/ml."""
        return self._private

    def base_of(self, tag: Tag) -> Path:
        """The base directory of that instance on the host."""
        return Home(self._state_dir / directory_name(tag), self._private).base

    @contextlib.asynccontextmanager
    async def errand(self, request: DeployRequest, prepared: Prepared, payload_dir: Path) -> AsyncIterator[Errand]:
        """Run a program under the limits and with the rights of a server, which it is not: it has no port, and ends by
        itself. Leaving the context ends it, as of `deploy`. `payload_dir` is shown at BASE_DIR/payload.

        Raises:
            HostCannot, InputFault: as of `deploy`.
        """
        home = Home(self._state_dir / directory_name(request.tag), self._private)
        group = self._make_group(request, home)
        process = None
        log_start = request.log_path.stat().st_size if request.log_path.exists() else 0
        try:
            launch = self._launch(request, prepared, 0, home, group, payload_dir)
            spare = min(_SPARE_BYTES, _free_bytes(home.path) // 10)
            process, report = launch.start()
            group.started(process.pid)
            await asyncio.to_thread(read_report, report)
            memory = request.placement.memory_bytes
            running = (process, group, memory, request.log_path, log_start, home.path, spare)
            yield Errand(ProcessInstance("", {}, prepared.description, {}, *running), home.base / "work")
        finally:
            await _to_the_end(group, home.path, process, request.log_path, log_start)

    @contextlib.asynccontextmanager
    async def _deployed(self, request: DeployRequest) -> AsyncIterator[Instance]:
        self._refuse_what_cannot_be_held(request.placement)
        prepared = await self._prepare(request)
        for last in [False] * (_PORT_TRIES - 1) + [True]:
            port = free_port(self._ports)
            self._ports.add(port)
            try:
                async with self._on_port(request, prepared, port) as instance:
                    yield instance
                    return
            except _PortTaken as taken:
                if last:
                    raise ModelFault(str(taken)) from taken
            finally:
                self._ports.discard(port)

    @contextlib.asynccontextmanager
    async def _on_port(self, request: DeployRequest, prepared: Prepared, port: int) -> AsyncIterator[Instance]:
        home = Home(self._state_dir / directory_name(request.tag), self._private)
        group = self._make_group(request, home)
        process = None
        log_start = request.log_path.stat().st_size if request.log_path.exists() else 0
        try:
            launch = self._launch(request, prepared, port, home, group)
            free = _free_bytes(home.path)
            began = perf_counter()
            process, report = launch.start()
            group.started(process.pid)
            rights = await asyncio.to_thread(read_report, report)
            flags = prepared.flags | size_flags(request, self._why_no_cgroup)
            if rights is not None:
                flags[Flag.LEAST_PRIVILEGE] = rights
            instance = ProcessInstance(
                f"http://127.0.0.1:{port}",
                flags,
                prepared.description,
                prepared.effective_environment,
                process,
                group,
                request.placement.memory_bytes,
                request.log_path,
                log_start,
                home.path,
                min(_SPARE_BYTES, free // 10),
            )
            await _ready(instance, port, request)
            instance = replace(instance, setup_seconds=perf_counter() - began)
            if request.lasting:
                write_ledger(home.path, _ledger_of(request, instance))
            yield instance
        finally:
            await _to_the_end(group, home.path, process, request.log_path, log_start)

    @property
    def _why_no_cgroup(self) -> str:
        return " ".join(self._cgroups.notes) if self._cgroups.version is Cgroup.NONE else ""

    def _refuse_what_cannot_be_held(self, placement: Placement) -> None:
        if placement.cpu_quota is not None and self._cgroups.version is Cgroup.NONE:
            raise HostCannot(
                f"This host cannot be {placement.cpu_quota:g} vCPUs: without cgroups a fraction of a core cannot be "
                f"held. {self._why_no_cgroup}"
            )

    def _make_group(self, request: DeployRequest, home: Home) -> Group:
        placement, name = request.placement, home.path.name
        end_instance(
            self._cgroups.open(name, read_ledger(home.path).directories), home.path, grace_seconds=0
        )  # of a former life
        try:
            return self._cgroups.create(name, _limits(placement))
        except OSError as error:
            raise HostCannot(
                f"This host cannot hold the limits of {request.spec.instance_type.name}: {error}."
            ) from error

    def _launch(
        self,
        request: DeployRequest,
        prepared: Prepared,
        port: int,
        home: Home,
        group: Group,
        payload_dir: Path | None = None,
    ) -> Launch:
        binds = home.make(request.model_dir, request.code_dir, payload_dir)
        write_ledger(home.path, Ledger(tag=str(request.tag), directories=group.directories))
        return Launch(
            str(request.tag),
            home,
            binds,
            group.join_paths,
            request.placement.cores,
            prepared.command,
            server_environment(request, prepared, self._host, port, home.seen_base),
            prepared.readable,
            self._hidden,
            request.log_path,
            request.lasting,
        )


def _limits(placement: Placement) -> Limits:
    return Limits(placement.cores, placement.cpu_quota, placement.memory_bytes)


async def _ready(instance: ProcessInstance, port: int, request: DeployRequest) -> None:
    """Wait for /ping, from the server itself and not from a stranger on its port."""
    try:
        await wait_until_ready(port, request.startup_seconds, instance.death)
    except ModelFault as fault:
        tail = instance.log_tail()
        if instance.process.poll() is not None and any(words in tail.lower() for words in _IN_USE):
            raise _PortTaken(fault.reason) from fault
        raise ModelFault(fault.reason, tail) from fault
    if is_listening(port, instance.group.pids()) is False:
        raise _PortTaken(f"Another process answered on port {port}.")


async def _to_the_end(group: Group, directory: Path, process: Process | None, log_path: Path, log_start: int) -> None:
    """Tear down in a thread, which no cancellation reaches; a cancellation meanwhile is raised after it."""

    def end() -> None:
        end_instance(group, directory, process)
        cut_log(log_path, log_start)

    work = asyncio.get_running_loop().run_in_executor(None, end)
    cancelled: asyncio.CancelledError | None = None
    while not work.done():
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError as error:
            cancelled = error
    work.result()
    if cancelled is not None:
        raise cancelled


def _free_bytes(path: Path) -> int:
    return shutil.disk_usage(path).free


def _ledger_of(request: DeployRequest, instance: ProcessInstance) -> Ledger:
    return Ledger(
        tag=str(request.tag),
        directories=instance.group.directories,
        pid=instance.process.pid,
        url=instance.url,
        flags={flag.value: words for flag, words in instance.flags.items()},
        runtime=instance.runtime,
        effective_environment=instance.effective_environment,
        log_start=instance.log_start,
        spare_bytes=instance.spare_bytes,
    )
