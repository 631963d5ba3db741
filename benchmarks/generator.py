"""The load generator: beside wrk and Locust, against known truth, and its memory. Prints JSON.

``python -m benchmarks.generator [--quick] [--resume FILE] [ROW ...]``. The peers drive the same nginx in turn, one core
each. A truth is what the server itself recorded for the same requests. With a file, runs that it holds are not
repeated. Needs two cores and Debian's nginx and wrk; Locust is installed under ``.cache`` when it is first needed.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import os
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from benchmarks.journal import Journal, Run
from benchmarks.peers import BODY, locust, nginx, wrk
from benchmarks.summary import medians, over, run_rows
from benchmarks.truth import payloads, truth_server
from modeldyno.domain.measurement import Window, merged_latency
from modeldyno.load.process import ProcessGenerator, ProcessSession
from modeldyno.ports import LoadSession, LoadTarget
from modeldyno.testing.truth_server import read_record, within

PERCENTILES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
Start = Callable[[LoadSession], Any]


def cores() -> tuple[int, int]:
    """The server's and the generator's."""
    first, second = sorted(os.sched_getaffinity(0))[:2]
    return first, second


async def load(
    url: str, start: Start, seconds: int, watch: Callable[[int], None] = lambda process: None
) -> list[Window]:
    """The whole windows of so many seconds."""
    windows: list[Window] = []
    with payloads(BODY) as directory:
        target = LoadTarget(url, directory, "application/json", None, seed=1, cores=(cores()[1],))
        async with ProcessGenerator().drive(target) as session:
            assert isinstance(session, ProcessSession)
            await start(session)
            async for window in session.windows():
                if not window.settling and (window.users or window.offered):
                    windows.append(window)
                    watch(session.process_id)
                if len(windows) == seconds:
                    break
    assert not any(window.failed for window in windows)
    return windows


def dyno(url: str, users: int, seconds: int) -> Run:
    """The same as the peers' figures."""
    windows = asyncio.run(load(url, lambda session: session.set_users(users), seconds))
    duration = sum(window.duration_seconds for window in windows)
    succeeded = sum(window.succeeded for window in windows)
    cpu_seconds = sum(window.generator_cpu_seconds for window in windows)
    return {
        "per_second": succeeded / duration,
        "p50_us": (merged_latency(windows).quantile_ns(0.5) or 0.0) / 1e3,
        "cpu_share": cpu_seconds / duration,
        "per_cpu_second": succeeded / cpu_seconds,
        "run_delay_share": sum(window.generator_delay_seconds for window in windows) / duration,
    }


def throughput(journal: Journal, quick: bool) -> dict[str, Any]:
    """16 users against a static answer: at least 0.9 of wrk, and 10 times Locust."""
    peers = {"dyno": dyno, "wrk": _by(wrk), "locust": _by(locust)}
    rows = _beside(journal, "throughput", peers, users=16, repeats=2 if quick else 7, seconds=2 if quick else 5)
    ratios = {f"over_{peer}": over(rows["dyno"], rows[peer], "per_second") for peer in ("wrk", "locust")}
    return {"must": "over_wrk >= 0.9, over_locust >= 10", **ratios, "rows": rows}


def latency(journal: Journal, quick: bool) -> dict[str, Any]:
    """The median latency of one user: within 10% of wrk's."""
    peers = {"dyno": dyno, "wrk": _by(wrk)}
    rows = _beside(journal, "latency", peers, users=1, repeats=3 if quick else 9, seconds=2 if quick else 4)
    return {"must": "over_wrk from 0.9 to 1.1", "over_wrk": over(rows["dyno"], rows["wrk"], "p50_us"), "rows": rows}


def _by(peer: Callable[[str, int, int, int], Run]) -> Callable[[str, int, int], Run]:
    return lambda url, users, seconds: peer(url, users, seconds, cores()[1])


def _beside(
    journal: Journal,
    row: str,
    peers: dict[str, Callable[[str, int, int], Run]],
    *,
    users: int,
    repeats: int,
    seconds: int,
) -> Any:
    """Each peer in turn, so many times, against the same nginx."""
    taken: dict[str, list[Run]] = {name: [] for name in peers}
    with nginx(cores()[0]) as url:
        for repeat in range(repeats):
            for name, measure in peers.items():
                run = journal.take(
                    f"{row} {seconds} s {name} {repeat}", functools.partial(measure, url, users, seconds)
                )
                taken[name].append(run)
    return medians(taken)


def truth(journal: Journal, quick: bool) -> dict[str, Any]:
    """Reported percentiles against the recorded times of the same requests: the larger of 2% and 0.3 ms."""
    loads: dict[str, Start] = {
        "closed": lambda session: session.set_users(8),
        "open": lambda session: session.set_rate(60),
    }
    seconds = 5 if quick else 20
    rows: dict[str, Any] = {}
    for distribution, (loop, start) in itertools.product(("fixed", "exponential"), loads.items()):
        name = f"{distribution}_{loop}"
        measure = functools.partial(_truth_run, distribution, start, seconds)
        runs = [journal.take(f"truth {name} {seconds} s {repeat}", measure) for repeat in range(1 if quick else 5)]
        rows[name] = {"within": all(_close(run) for run in runs), "runs": runs}
    return {"must": "each percentile within the larger of 2% and 0.3 ms", "rows": rows}


def _truth_run(distribution: str, start: Start, seconds: int) -> Run:
    return asyncio.run(_beside_truth(distribution, start, seconds))


async def _beside_truth(distribution: str, start: Start, seconds: int) -> Run:
    options = ("--workers", "2", "--service-ms", "20", "--distribution", distribution)
    with tempfile.TemporaryDirectory() as directory:
        record = Path(directory, "record")
        async with truth_server(record, cores()[0], *options) as url:
            windows = await load(url, start, seconds)
        ended_at = windows[-1].started_at + windows[-1].duration_seconds
        services = within(read_record(record), windows[0].started_at, ended_at)
    times = sorted(service.answered_ns - service.arrived_ns for service in services)
    reported = merged_latency(windows)
    run = {"requests": float(len(times))}
    for name, fraction in PERCENTILES.items():
        run[f"reported_{name}_ms"] = round((reported.quantile_ns(fraction) or 0.0) / 1e6, 3)
        run[f"recorded_{name}_ms"] = round(times[max(-int(-fraction * len(times) // 1), 1) - 1] / 1e6, 3)
    return run


def _close(run: Run) -> bool:
    pairs = ((run[f"reported_{name}_ms"], run[f"recorded_{name}_ms"]) for name in PERCENTILES)
    return all(abs(reported - recorded) <= max(0.02 * recorded, 0.3) for reported, recorded in pairs)


def memory(journal: Journal, quick: bool) -> dict[str, Any]:
    """The generator's resident memory at full rate: under 150 MB, flat."""
    seconds = 15 if quick else 600
    run = journal.take(f"memory {seconds} s", lambda: _memory_run(seconds))
    return {"must": "under 150 MB, flat", **run}


def _memory_run(seconds: int) -> Run:
    seen: list[int] = []

    def watch(process: int) -> None:
        seen.append(psutil.Process(process).memory_info().rss)

    with nginx(cores()[0]) as url:
        windows = asyncio.run(load(url, lambda session: session.set_users(16), seconds, watch))
    half = len(seen) // 2
    return {
        "seconds": float(len(seen)),
        "requests": float(sum(window.succeeded for window in windows)),
        "most_mb": max(seen) / 1e6,
        "growth_mb": (statistics.fmean(seen[half:]) - statistics.fmean(seen[:half])) / 1e6,
    }


ROWS: dict[str, Callable[[Journal, bool], dict[str, Any]]] = {
    "throughput": throughput,
    "latency": latency,
    "truth": truth,
    "memory": memory,
}


if __name__ == "__main__":
    words = (__doc__ or "").splitlines()[0]
    run_rows("benchmarks.generator", words, ROWS, resumable=True, needs=("nginx", "wrk", "taskset"))
