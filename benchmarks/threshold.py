"""Is a threshold that is broken called kept? It is set 5% below the true P95 of one user at a server of one worker.

Service times are exponential, so with one user the P95 is 3.0 mean service times, and their mean is chosen so that 5%
below it is a whole number of milliseconds. How far below it was in truth is told from the times from arrival to answer
that the servers recorded in all runs together (`limit_over_true_p95`, 0.95 as it should be).

A run is a search with the threshold on a deployment of its own. It *passes* when the search ends with an answer, which
can only be at one user, and does not flag it as too close to tell. An answer with that flag is counted apart (`close`),
and so is what the rule `--max-p95-ms` of `dyno check` says of the same windows (`check_passes`).
"""

from __future__ import annotations

import os
import statistics
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from benchmarks.figures import Benchmark, Figure, Subject, at_most, main
from benchmarks.journal import Run
from benchmarks.truth import Searched, payloads, search, server_core, truth_server
from modeldyno.domain.gate import Finding, Level, latency_outcome
from modeldyno.domain.job import LatencyThreshold, StoppingRules
from modeldyno.domain.latency import LatencyHistogram
from modeldyno.domain.measurement import Window
from modeldyno.domain.saturation import SaturationSearch
from modeldyno.testing.truth_server import Service, read_record, within

LIMIT_MS = 60
SERVICE_MS = 20.67
"""Its P95 is 61.9 ms, and 1.2 ms more as timers are late (seen in 60 runs): 60 ms over 0.95."""
PERCENTILE = 95.0


async def run(number: int, stack: AsyncExitStack) -> Run:
    """One deployment, searched once."""
    rules = StoppingRules(threshold=LatencyThreshold(PERCENTILE, LIMIT_MS))
    options = ("--distribution", "exponential", "--workers", "1", "--service-ms", str(SERVICE_MS))
    generator = (min(os.sched_getaffinity(0)),)
    with tempfile.TemporaryDirectory() as place, payloads() as bodies:
        record = Path(place, "record")
        async with truth_server(record, server_core(), *options, "--seed", str(number)) as url:
            searched = await search(url, SaturationSearch(rules), bodies=bodies, seed=number, cores=generator)
        return told(searched, read_record(record))


def told(searched: Searched, services: Sequence[Service]) -> Run:
    """What is kept of a run: what was said, and the recorded times at one user."""
    measured = searched.measured
    alone = [window for window in searched.constant if window.users == 1]
    check = latency_outcome([Level(1, tuple(alone))], LIMIT_MS, 0.0).finding
    recorded = LatencyHistogram.of(sojourn_ns(services, alone))
    return {
        "says": says(measured.failure, measured.undecided),
        "check_says": str(check),
        "users": measured.users,
        "load_seconds": searched.load_seconds,
        "requests_at_one_user": recorded.count,
        "recorded_ns": {str(bucket): count for bucket, count in recorded.counts.items()},
    }


def says(failure: str | None, undecided: bool) -> str:
    """What a search says of a threshold: ``passes``, ``close`` or ``fails``."""
    if failure is not None:
        return "fails"
    return "close" if undecided else "passes"


def sojourn_ns(services: Sequence[Service], windows: Iterable[Window]) -> list[int]:
    """From arrival to answer, of the requests in these windows."""
    return [
        service.ended_ns - service.arrived_ns
        for window in windows
        for service in within(services, window.started_at, window.started_at + window.duration_seconds)
    ]


def true_p95_ms(runs: Sequence[Run]) -> float:
    """Of all that the servers recorded."""
    recorded = LatencyHistogram()
    for run in runs:
        recorded = recorded.merge(LatencyHistogram({int(bucket): n for bucket, n in run["recorded_ns"].items()}))
    return (recorded.quantile_ns(PERCENTILE / 100) or 0.0) / 1e6


def passed(runs: Sequence[Sequence[Run]]) -> dict[str, Any]:
    """How often it was said that the threshold holds."""
    (every,) = runs
    true = true_p95_ms(every)
    said = [run["says"] for run in every]
    check_passes = sum(run["check_says"] == Finding.PASSES for run in every)
    count = max(said.count("passes"), check_passes)
    return {
        "runs": len(every),
        "passes": said.count("passes"),
        "close": said.count("close"),
        "fails": said.count("fails"),
        "check_passes": check_passes,
        "true_p95_ms": true,
        "limit_over_true_p95": LIMIT_MS / true,
        "load_seconds_median": statistics.median(run["load_seconds"] for run in every),
        "load_seconds_worst": max(run["load_seconds"] for run in every),
        "requests_at_one_user_median": statistics.median(run["requests_at_one_user"] for run in every),
        "reached": at_most(count, len(every), 2, 60),
    }


BENCHMARK = Benchmark(
    subjects={"threshold_5_percent_below": Subject(run, 60)},
    figures={
        "threshold_called_kept": Figure(
            "a threshold 5% below the true P95 passes in at most 2 of 60 runs", ("threshold_5_percent_below",), passed
        ),
    },
    sleeps=True,
)

if __name__ == "__main__":
    main("benchmarks.threshold", __doc__, BENCHMARK)
