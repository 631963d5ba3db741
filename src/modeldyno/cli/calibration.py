"""`dyno doctor --calibrate`: servers whose truth is known, measured here as any model is, and how far off that was.

1. Each runs as an instance of the process backend, and the generator drives it as in a trial.
2. It records its own service times in its own directory, which is read before it is torn down.
3. Figures and truth are of the same requests: those that ended in the windows that the figures rest on.
"""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import typer

from modeldyno.domain.calibration import Calibrated, Percentile, conclusions, document_of
from modeldyno.domain.catalog import InstanceType
from modeldyno.domain.errors import HostCannot, ServiceError
from modeldyno.domain.figures import capacity_interval
from modeldyno.domain.host import Cgroup, Host, place
from modeldyno.domain.job import StoppingRules
from modeldyno.domain.measurement import Window, merged_latency
from modeldyno.domain.model import ModelSource
from modeldyno.domain.quality import flags_of
from modeldyno.domain.saturation import SaturationSearch
from modeldyno.domain.statistics import relative_half_width
from modeldyno.domain.stopping import ClosedLoopPolicy, Hold, Measured, Stop, Users, percentile_ms
from modeldyno.domain.trial import Flag, Placement, TrialSpec
from modeldyno.engine.driving import Driven, drive
from modeldyno.ports import DeployRequest, LoadTarget, Tag
from modeldyno.testing.truth_server import Service, read_record, true_per_second, within
from modeldyno.ui.words import plural

if TYPE_CHECKING:
    from modeldyno.app.compose import Bench

_MEMORY_MIB = 256
_STARTUP_SECONDS = 30.0
_RECORD = "service.record"  # in the server's working directory
_FLUSH_SECONDS = 10.0  # the server writes its records once a second
_PERCENTILES = (50.0, 95.0, 99.0)
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Case:
    """A server of known truth. `vcpus`: of its type. `instant`: the generator bounds it, so its capacity has no truth;
    it is driven by one user. `max_seconds`: of its search."""

    name: str
    title: str
    options: tuple[str, ...]
    workers: int = 1
    vcpus: float = 1.0
    cpu_bound: bool = False
    instant: bool = False
    max_seconds: float = 15.0


CASES = (
    Case("fixed", "2 workers of 20 ms", ("--service-ms", "20"), workers=2),
    Case(
        "exponential",
        "2 workers of 5 ms, exponential",
        ("--service-ms", "5", "--distribution", "exponential"),
        workers=2,
    ),
    Case("cpu", "20 ms of CPU", ("--service-ms", "20", "--distribution", "cpu"), vcpus=0.5, cpu_bound=True),
    Case("instant", "answers at once", ("--service-ms", "0"), instant=True),
)


@dataclass(slots=True)
class Steady:
    """One number of users for so many windows (a `stopping.ClosedLoopPolicy`)."""

    users: int = 1
    count: int = 4
    _windows: tuple[Window, ...] = ()

    @property
    def beginning(self) -> Users:
        """Its users."""
        return Users(self.users)

    def observe(self, window: Window) -> Hold | Stop:
        """Take the next window and say what to do."""
        if not window.settling:
            self._windows += (window,)
        return Stop("it was long enough") if len(self._windows) >= self.count else Hold()

    def measured(self) -> Measured:
        """All windows."""
        return Measured(self._windows, self.users, 0.0, "it was long enough")


def calibrate(cases: Sequence[Case], tell: Tell) -> list[Calibrated]:
    """Measure them, one after the other. Nothing is left behind, however it ends.

    Raises:
        ServiceError: another Dyno measures on this host.
        DynoError: a server could not be measured.
    """
    from modeldyno.app.compose import bench

    with TemporaryDirectory(prefix="dyno-calibrate-") as directory:
        root = Path(directory)
        root.chmod(0o711)  # servers of another user pass through
        tools = bench(root / "instances", _command)
        if not tools.lock.try_acquire():
            holder = tools.lock.holder()
            by = "" if holder is None else f" (process {holder})"
            raise ServiceError(f"Another Dyno is measuring on this host{by}: calibrate when it has ended.")
        try:
            return asyncio.run(_all(cases, tools, root, tell))
        finally:
            tools.lock.release()


async def _all(cases: Sequence[Case], tools: Bench, root: Path, tell: Tell) -> list[Calibrated]:
    payloads = root / "payloads"
    payloads.mkdir()
    (payloads / "a.csv").write_bytes(b"1,2,3\n")
    found = []
    for number, case in enumerate(cases, start=1):
        tell(f"{number}/{len(cases)}  {case.title}")
        found.append(await _one(case, tools, root, tell))
    return found


def _command(request: DeployRequest) -> tuple[str, ...]:
    return (
        sys.executable,
        "-P",
        "-m",
        "modeldyno.testing.truth_server",
        *request.source.environment["OPTIONS"].split(),
    )


async def _one(case: Case, tools: Bench, root: Path, tell: Tell) -> Calibrated:
    kind, placement = _placed(case, tools.backend.host())
    options = " ".join((*case.options, "--workers", str(case.workers), "--record", _RECORD))
    request = DeployRequest(
        tag=Tag(root.name, "doctor", case.name, 1),
        spec=TrialSpec(0, f"calibrate-{case.name}", kind),
        placement=placement,
        source=ModelSource(None, None, {"OPTIONS": options}),
        model_dir=None,
        code_dir=None,
        environment={},
        log_path=root / f"{case.name}.log",
        startup_seconds=_STARTUP_SECONDS,
    )
    search = SaturationSearch(StoppingRules(), max_seconds=case.max_seconds)
    policy: ClosedLoopPolicy = Steady() if case.instant else search

    async def each(window: Window, _: Driven) -> None:
        if not window.settling:
            tell(f"     {plural(window.users, 'user')}, {window.per_second:,.0f} requests/s")

    async with tools.backend.deploy(request) as instance:
        target = LoadTarget(instance.url, root / "payloads", "text/csv", None, 1, cores=placement.generator_cores)
        async with tools.generator.drive(target) as session:
            driven = await drive(instance, session, policy, each)
        measured = policy.measured()
        served = await _served(root, measured)
        flags = dict(instance.flags) | _flags(measured, driven, placement)
    return _concluded(case, kind, measured, served, flags, sum(window.duration_seconds for window in driven.windows))


def _placed(case: Case, host: Host) -> tuple[InstanceType, Placement]:
    vcpus = 1.0 if host.cgroup is Cgroup.NONE else case.vcpus  # without cgroups no fraction can be held
    kind = InstanceType(f"{vcpus:g} vCPU", vcpus, _MEMORY_MIB)
    placement = place(kind, host, ())
    if placement is None:
        raise HostCannot(f"There is no room for {kind.name} on this host.")
    return kind, placement


async def _served(root: Path, measured: Measured) -> tuple[Service, ...]:
    """What the server recorded of the measured windows, once it has written it."""
    first, last = measured.windows[0], measured.windows[-1]
    requests = sum(window.succeeded for window in measured.windows)
    async with asyncio.timeout(_FLUSH_SECONDS):
        while True:
            for file in (root / "instances").glob(f"*/ml/work/{_RECORD}"):
                served = within(read_record(file), first.started_at, last.started_at + last.duration_seconds)
                if len(served) >= requests - measured.users:
                    return served
            await asyncio.sleep(0.2)


def _flags(measured: Measured, driven: Driven, placement: Placement) -> dict[Flag, str]:
    return flags_of(
        measured.windows,
        relative_half_width=relative_half_width(measured.windows),
        foreign_share=None if placement.fills_host else driven.foreign_share_in(measured.windows),
        stopped=False,
        load=driven.windows,
    )


def _concluded(
    case: Case,
    kind: InstanceType,
    measured: Measured,
    served: Sequence[Service],
    flags: dict[Flag, str],
    load_seconds: float,
) -> Calibrated:
    capacity = capacity_interval(measured)
    if capacity is None or not served or measured.failure is not None:
        raise ServiceError(f"{case.title} could not be measured: {measured.failure or 'too little was answered'}.")
    latency = merged_latency(measured.windows)
    recorded_ms = sorted((one.ended_ns - one.arrived_ns) / 1e6 for one in served)
    return Calibrated(
        name=case.name,
        title=case.title,
        instance_type=kind.name,
        capacity=capacity,
        truth_per_second=None if case.instant else _truth(case, kind, served),
        latencies=tuple(
            Percentile(each, _percentile(recorded_ms, each), percentile_ms(latency, each) or 0.0)
            for each in _PERCENTILES
        ),
        users=measured.users,
        requests=latency.count,
        load_seconds=load_seconds,
        flags=flags,
    )


def _truth(case: Case, kind: InstanceType, served: Sequence[Service]) -> float:
    """What it can do at most: workers over the mean service time, or vCPUs over the CPU seconds of a request."""
    if not case.cpu_bound:
        return true_per_second(served, case.workers)
    assert kind.vcpus is not None
    return kind.vcpus * len(served) / sum(one.cpu_ns / 1e9 for one in served)


def _percentile(ordered_ms: Sequence[float], percentile: float) -> float:
    return ordered_ms[max(0, math.ceil(percentile / 100 * len(ordered_ms)) - 1)]


def run(*, json: bool) -> None:
    """Calibrate, and print what was found; progress on standard error.

    Raises:
        DynoError: it could not be measured.
    """
    found = calibrate(CASES, lambda line: typer.echo(line, err=True))
    if json:
        import msgspec

        document = {
            "format": "dyno-calibration/1",
            "servers": [document_of(one) for one in found],
            "conclusions": conclusions(found),
        }
        typer.echo(msgspec.json.format(msgspec.json.encode(document)).decode())
        return
    show(found)


def show(found: Sequence[Calibrated]) -> None:
    """A table, and what follows."""
    from rich.console import Console
    from rich.text import Text

    from modeldyno.ui.tables import plain_table

    table = plain_table("server of known truth", "requests/s", "truth", "error", "latency, ms (p50, p95, p99)")
    for one in found:
        low, high = one.capacity.low, one.capacity.high
        truth = "-" if one.truth_per_second is None else f"{one.truth_per_second:,.1f}"
        inside = "" if one.inside is None else "\nin the interval" if one.inside else "\nnot in the interval"
        table.add_row(
            Text(f"{one.title}\n{one.instance_type}, {plural(one.users, 'user')}"),
            Text(f"{one.capacity.value:,.1f}\n{low:,.1f} to {high:,.1f}"),
            Text(truth + inside),
            Text("-" if one.error is None else f"{one.error:+.1%}"),
            Text(", ".join(f"{each.error_ms:+.2f}" for each in one.latencies)),
        )
    console = Console()
    console.print(table)
    for sentence in conclusions(found):
        console.print(Text(sentence))
    for one in found:
        for flag in one.flags.values():
            console.print(Text(f"{one.title}: {flag}.", style="dim"))
