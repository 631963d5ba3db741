"""CPU-bound servers in real instances: is their capacity right, their size held, and a disturbance told?

A run is `dyno recommend` with a server that burns 20 ms of CPU for each request, on one example type: all of the
product, from the request to the result document. The truth is vCPUs over the CPU seconds of a request, which the
kernel counted for the instance in the windows of the figure, all its processes included. The quiet runs of one vCPU
serve three figures. A hog is a process that uses a tenth of the model's core, 1 ms in each 10 ms (benchmarks/hog.py).
Needs cgroups that may be written, and two cores.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import psutil

from benchmarks.figures import Benchmark, Figure, Subject, at_least, at_most, main, ranked
from benchmarks.journal import Run
from modeldyno.domain.gate import levels_of
from modeldyno.domain.latency import LatencyHistogram
from modeldyno.domain.measurement import merged_latency
from modeldyno.domain.trial import Flag

SERVICE_MS = 20
HOG_SHARE = 0.1
VCPUS = {"half": 0.5, "one": 1.0}
IMAGE = "benchmarks/cpu-bound:1"
_TYPE = """
[instances."local.{name}"]
vcpus = {vcpus}
memory_gib = 0.5
usd_per_hour = 0.04
example = true
"""
_RUNTIME = """
[runtimes."{image}"]
command = {command}
"""


class Installation:
    """A data directory with its configuration, for the runs of one call; made when the first run needs it."""

    def __init__(self) -> None:
        self._root: Path | None = None

    async def recommend(self, stack: AsyncExitStack, kind: str) -> Any:
        """The result document of one job on one type.

        Raises:
            RuntimeError: the command came to no result.
        """
        if self._root is None:
            self._root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dyno-benchmark-")))
            self._root.chmod(0o711)  # model servers pass through it, as another user
            _furnish(self._root)
        command = [str(Path(sys.executable).with_name("dyno")), "recommend", str(self._root / "model")]
        command += ["--payload", str(self._root / "payload"), "--content-type", "text/csv", "--image", IMAGE]
        command += ["--instance-types", f"local.{kind}", "--data-dir", str(self._root / "data"), "--json"]
        command += ["--config", str(self._root / "dyno.toml")]
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)
        try:
            out, errors = await process.communicate()
        finally:
            await _ended(process)
        if process.returncode:
            raise RuntimeError(f"dyno recommend ended with status {process.returncode}: {errors.decode()[-2000:]}")
        return json.loads(out)


def _furnish(root: Path) -> None:
    """A model that holds nothing of use, a payload, and the types."""
    command = [sys.executable, "-m", "modeldyno.testing.truth_server", "--distribution", "cpu", "--workers", "1"]
    command += ["--service-ms", str(SERVICE_MS)]
    types = "".join(_TYPE.format(name=name, vcpus=vcpus) for name, vcpus in VCPUS.items())
    (root / "dyno.toml").write_text(types + _RUNTIME.format(image=IMAGE, command=json.dumps(command)))
    for place in ("model", "payload"):
        (root / place).mkdir()
        (root / place / "a.csv").write_text("1,2,3\n")


async def _ended(process: asyncio.subprocess.Process) -> None:
    """SIGTERM where it still runs: it stops its job and tears its server down."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


@contextlib.asynccontextmanager
async def hog(core: int) -> AsyncIterator[psutil.Process]:
    """A hog on that core."""
    command = ("-m", "benchmarks.hog", "--core", str(core), "--share", str(HOG_SHARE))
    process = await asyncio.create_subprocess_exec(sys.executable, *command)
    try:
        yield psutil.Process(process.pid)
    finally:
        process.kill()
        await process.wait()


def model_core() -> int:
    """Where a type of one vCPU runs: the first core is the generator's."""
    return sorted(os.sched_getaffinity(0))[1]


async def run(installation: Installation, kind: str, disturbed: bool, number: int, stack: AsyncExitStack) -> Run:
    """One job on one type, with or without a hog."""
    async with AsyncExitStack() as meanwhile:
        beside = await meanwhile.enter_async_context(hog(model_core())) if disturbed else None
        began = time.monotonic()
        result = await installation.recommend(stack, kind)
        seconds = time.monotonic() - began
        used = sum(beside.cpu_times()[:2]) / seconds if beside is not None else None
    return {**told(result), "hog_share": used, "job_seconds": seconds}


def told(result: Mapping[str, Any]) -> Run:
    """What is kept of a result document with one trial.

    Raises:
        RuntimeError: nothing was measured.
    """
    (trial,) = result["trials"]
    figures = trial["figures"]
    if figures is None:
        raise RuntimeError(f"nothing was measured: {trial['failure_reason']} {trial['log_tail']}")
    latency = merged_latency(next(level.windows for level in levels_of(trial) if level.users == 1))
    truth = true_per_minute(trial)
    return {
        "per_minute": figures["capacity_per_minute"],
        "truth_per_minute": truth,
        "error": figures["capacity_per_minute"] / truth - 1,
        "users": figures["users"],
        "p95_ms_at_one_user": p95_ms(latency),
        "requests_at_one_user": latency.count,
        "latency_at_one_user": {str(bucket): count for bucket, count in latency.counts.items()},
        "foreign_percent": figures["foreign_percent"],
        "load_seconds": figures["total_seconds"],
        "flags": sorted(trial["flags"]),
        "foreign": Flag.FOREIGN_LOAD in trial["flags"],
    }


def p95_ms(latency: LatencyHistogram) -> float:
    """In milliseconds."""
    return (latency.quantile_ns(0.95) or 0.0) / 1e6


def true_per_minute(trial: Mapping[str, Any]) -> float:
    """vCPUs over the CPU seconds of a request, in the windows that the figure rests on; invocations a minute."""
    figures = trial["figures"]
    chosen = [
        window
        for window in trial["windows"]
        if not window["settling"] and figures["first_window"] <= window["sequence"] <= figures["last_window"]
    ]
    cpu_seconds = sum(window["cpu_percent"] / 100 * window["duration_seconds"] for window in chosen)
    requests = sum(window["succeeded"] + sum(window["failed"].values()) for window in chosen)
    return float(trial["vcpus"] * requests / cpu_seconds * 60)


def accuracy(runs: Sequence[Sequence[Run]]) -> dict[str, Any]:
    """The capacity of quiet runs."""
    (every,) = runs
    errors = [abs(run["error"]) for run in every]
    near = sum(error <= 0.04 for error in errors)
    return {
        "runs": len(every),
        "within_4_percent": near,
        "error_median": statistics.median(errors),
        "error_worst": max(errors),
        "load_seconds_median": statistics.median(run["load_seconds"] for run in every),
        "load_seconds_p95": ranked([run["load_seconds"] for run in every], 0.95),
        "errors": [round(run["error"], 4) for run in every],
        "reached": at_least(near, len(every), 27, 30),
    }


def sizes(runs: Sequence[Sequence[Run]]) -> dict[str, Any]:
    """P95 at one user on half a vCPU and on one: medians of the runs, and of the requests of all runs together."""
    told = {}
    for name, of_type in zip(("half", "one"), runs, strict=True):
        values = [run["p95_ms_at_one_user"] for run in of_type]
        told[f"{name}_p95_ms"] = statistics.median(values)
        told[f"{name}_p95_ms_of_all_requests"] = p95_ms(together(of_type))
        told[f"{name}_p95_ms_values"] = [round(value, 2) for value in values]
    return {**told, "reached": told["half_p95_ms"] <= 50 and told["one_p95_ms"] <= 24}


def together(runs: Sequence[Run]) -> LatencyHistogram:
    """The latencies at one user of all runs."""
    every = LatencyHistogram()
    for run in runs:
        every = every.merge(LatencyHistogram({int(b): count for b, count in run["latency_at_one_user"].items()}))
    return every


def disturbances(runs: Sequence[Sequence[Run]]) -> dict[str, Any]:
    """How many runs with and without a hog said that others used the model's cores."""
    quiet, hogged = runs
    quiet_flagged, hogged_flagged = (sum(run["foreign"] for run in of_subject) for of_subject in runs)
    return {
        "hogged": len(hogged),
        "hogged_flagged": hogged_flagged,
        "hogged_foreign_percent": [round(run["foreign_percent"], 2) for run in hogged],
        "hog_share_median": statistics.median(run["hog_share"] for run in hogged),
        "quiet": len(quiet),
        "quiet_flagged": quiet_flagged,
        "quiet_foreign_percent": [round(run["foreign_percent"], 2) for run in quiet],
        "reached": at_least(hogged_flagged, len(hogged), 19, 20) and at_most(quiet_flagged, len(quiet), 2, 20),
    }


_HERE = Installation()
BENCHMARK = Benchmark(
    subjects={
        "one_vcpu": Subject(functools.partial(run, _HERE, "one", False), 30),
        "half_vcpu": Subject(functools.partial(run, _HERE, "half", False), 10),
        "one_vcpu_hogged": Subject(functools.partial(run, _HERE, "one", True), 20),
    },
    figures={
        "capacity_cpu_bound": Figure(
            "within 4% of vCPUs / (CPU seconds per request) in at least 27 of 30", ("one_vcpu",), accuracy
        ),
        "emulated_size": Figure(
            "p95 of a 20 ms CPU job at one user: at most 50 ms on 0.5 vCPU, at most 24 ms on 1",
            ("half_vcpu", "one_vcpu"),
            sizes,
        ),
        "foreign_load_flagged": Figure(
            "a hog of 10%: flagged in at least 19 of 20 runs; quiet runs flagged: at most 2 of 20",
            ("one_vcpu", "one_vcpu_hogged"),
            disturbances,
        ),
    },
)

if __name__ == "__main__":
    main("benchmarks.instances", __doc__, BENCHMARK)
