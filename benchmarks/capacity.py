"""Is the capacity right? The search of a Default job on known-truth servers, over and over.

The truth is what the server recorded for the same requests: k over the mean recorded service time, in the
windows that the
figure rests on. A run is a deployment of its own. `python -m benchmarks.capacity [--runs N] [--resume FILE]`
prints JSON;
with a file, runs that it holds are not repeated.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.summary import machine
from modeldyno.domain.job import StoppingRules
from modeldyno.domain.saturation import SaturationSearch
from modeldyno.domain.statistics import throughput_interval
from modeldyno.domain.stopping import Measured, Stop, Users
from modeldyno.load.process import ProcessGenerator
from modeldyno.ports import LoadTarget
from modeldyno.testing.truth_server import read_record, true_per_second, within

SERVICE_MS = 20


@dataclass(frozen=True)
class Row:
    """What is served, and what a run must reach."""

    options: tuple[str, ...]
    workers: int
    must: str


ROWS = {
    **{
        f"fixed_{k}_workers": Row(("--distribution", "fixed", "--workers", str(k)), k, "within 3% of the truth; <= 8 s")
        for k in (1, 2, 4)
    },
    "exponential_2_workers": Row(
        ("--distribution", "exponential", "--workers", "2"), 2, "truth inside the stated interval; <= 60 s"
    ),
    "cpu_bound_1_core": Row(("--distribution", "cpu", "--workers", "1"), 1, "within 4% of the truth"),
}


@contextlib.contextmanager
def truth_server(row: Row, record: Path) -> Iterator[str]:
    """The server on the last core; its URL."""
    options = ("--service-ms", str(SERVICE_MS), "--port", "0", "--record", str(record), *row.options)
    command = [sys.executable, "-m", "modeldyno.testing.truth_server", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    os.sched_setaffinity(process.pid, {max(os.sched_getaffinity(0))})
    try:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        with urllib.request.urlopen(f"{url}/ping"):
            yield url
    finally:
        process.terminate()
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()


async def search(url: str, payloads: Path, seed: int) -> tuple[Measured, float]:
    """One search; what it found and the seconds of load it took."""
    target = LoadTarget(url, payloads, "text/csv", None, seed, cores=(min(os.sched_getaffinity(0)),))
    policy = SaturationSearch(StoppingRules())
    async with ProcessGenerator().drive(target) as session:
        began = time.monotonic()
        await session.set_users(policy.users)
        async for window in session.windows():
            match policy.observe(window):
                case Stop():
                    break
                case Users(users, redraw):
                    await session.set_users(users, redraw=redraw)
        return policy.measured(), time.monotonic() - began


def run(row: Row, seed: int) -> dict[str, Any]:
    """One deployment, measured once."""
    with tempfile.TemporaryDirectory() as place:
        payloads = Path(place) / "payloads"
        payloads.mkdir()
        (payloads / "a.csv").write_bytes(b"1,2,3\n")
        record = Path(place) / "record"
        with truth_server(row, record) as url:
            measured, seconds = asyncio.run(search(url, payloads, seed))
        first, last = measured.windows[0], measured.windows[-1]
        served = within(read_record(record), first.started_at, last.started_at + last.duration_seconds)
        truth = true_per_second(served, row.workers)
    interval = throughput_interval(measured.windows)
    assert interval is not None
    return {
        "per_second": interval.value,
        "truth_per_second": truth,
        "error": interval.value / truth - 1,
        "inside_interval": interval.low <= truth <= interval.high,
        "half_width": interval.relative_half_width,
        "users": measured.users,
        "load_seconds": seconds,
    }


def summary(row: Row, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The figures of a row over all of its runs."""
    errors = sorted(abs(one["error"]) for one in runs)
    seconds = sorted(one["load_seconds"] for one in runs)
    return {
        "must": row.must,
        "runs": len(runs),
        "within_3_percent": sum(error <= 0.03 for error in errors),
        "within_4_percent": sum(error <= 0.04 for error in errors),
        "inside_interval": sum(one["inside_interval"] for one in runs),
        "error_median": statistics.median(errors),
        "error_worst": errors[-1],
        "load_seconds_median": statistics.median(seconds),
        "load_seconds_p95": seconds[min(len(seconds) - 1, int(0.95 * len(seconds)))],
        "errors": [round(one["error"], 4) for one in runs],
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.capacity", description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(ROWS)}; default: all")
    parser.add_argument("--runs", type=int, default=20, help="deployments a row")
    parser.add_argument("--quick", action="store_true", help="three runs a row")
    parser.add_argument("--resume", type=Path, help="a file that keeps finished runs")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.rows if name not in ROWS]:
        parser.error(f"there is no row {unknown[0]}; there are {', '.join(ROWS)}")
    kept: dict[str, list[dict[str, Any]]] = {}
    if arguments.resume and arguments.resume.exists():
        kept = json.loads(arguments.resume.read_text())
    wanted = 3 if arguments.quick else arguments.runs
    names = arguments.rows or list(ROWS)
    for seed in range(wanted):
        for name in names:
            done = kept.setdefault(name, [])
            if len(done) <= seed:
                done.append(run(ROWS[name], seed))
                if arguments.resume:
                    arguments.resume.write_text(json.dumps(kept))
                print(f"{name} {seed + 1}/{wanted}: {done[-1]}", file=sys.stderr)
    results = {name: summary(ROWS[name], kept[name]) for name in names}
    print(json.dumps({"machine": machine(), "results": results}, indent=2))


if __name__ == "__main__":
    main()
