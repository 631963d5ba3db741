"""Is the open-loop sustainable rate right? Exponential service times, against the exact answer of M/M/k.

A run is a deployment of its own: the search of a Default job with a P95 threshold of five mean service times, and after
it the search for the rate of Poisson arrivals that holds the threshold, for as long as a trial has. The truth is the
rate that queueing theory gives for the mean service time that the server recorded of the same arrivals.
"""

from __future__ import annotations

import os
import statistics
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from benchmarks.figures import Benchmark, Figure, Subject, at_least, main, ranked
from benchmarks.journal import Run
from benchmarks.queueing import sustainable_rate
from benchmarks.truth import payloads, search, server_core, truth_server
from modeldyno.domain.job import LatencyThreshold, StoppingRules
from modeldyno.domain.saturation import SaturationSearch
from modeldyno.domain.sustainable import SustainableSearch
from modeldyno.settings import MeasurementSetting
from modeldyno.testing.truth_server import read_record, within

PERCENTILE = 95.0
LIMIT_IN_SERVICE_TIMES = 5
WITHIN = 0.08
SERVERS = {"2_workers_of_5_ms": (2, 5), "4_workers_of_10_ms": (4, 10)}


def runs_of(workers: int, service_ms: int) -> Callable[[int, AsyncExitStack], Awaitable[Run]]:
    """One deployment, searched once."""
    threshold = LatencyThreshold(PERCENTILE, LIMIT_IN_SERVICE_TIMES * service_ms)

    async def run(number: int, stack: AsyncExitStack) -> Run:
        options = ("--distribution", "exponential", "--workers", str(workers), "--service-ms", str(service_ms))
        generator = (min(os.sched_getaffinity(0)),)
        closed = SaturationSearch(StoppingRules(threshold=threshold))
        found: list[SustainableSearch] = []

        def then() -> SustainableSearch:
            found.append(SustainableSearch(threshold, closed.peak_per_second, MeasurementSetting().open_loop_seconds))
            return found[0]

        with tempfile.TemporaryDirectory() as place, payloads() as bodies:
            record = Path(place, "record")
            async with truth_server(record, server_core(), *options, "--seed", str(number)) as url:
                searched = await search(url, closed, bodies=bodies, seed=number, cores=generator, then=then)
            first, last = searched.after[0], searched.after[-1]
            served = within(read_record(record), first.started_at, last.started_at + last.duration_seconds)
        mean = statistics.fmean((one.ended_ns - one.started_ns) / 1e9 for one in served)
        truth = sustainable_rate(threshold.limit_ms / 1000, PERCENTILE, workers, mean)
        told = found[0].found()
        return {
            "truth_per_second": truth,
            "truth_over_capacity": truth * mean / workers,
            "per_second": told.rate.value if told else None,
            "low_per_second": told.rate.low if told else None,
            "high_per_second": told.rate.high if told else None,
            "load_seconds": sum(window.duration_seconds for window in searched.after),
        }

    return run


def right(runs: Sequence[Sequence[Run]]) -> dict[str, Any]:
    """How far off, and whether the truth is in the interval."""
    every = [run for subject in runs for run in subject]
    known = [run for run in every if run["per_second"] is not None]
    errors = [run["per_second"] / run["truth_per_second"] - 1 for run in known]
    near = sum(abs(error) <= WITHIN for error in errors)
    widths = [(run["high_per_second"] - run["low_per_second"]) / 2 / run["per_second"] for run in known]
    return {
        "runs": len(every),
        "within_8_percent": near,
        "inside_interval": sum(
            run["low_per_second"] <= run["truth_per_second"] <= run["high_per_second"] for run in known
        ),
        "error_median": statistics.median(map(abs, errors)) if errors else None,
        "error_p95": ranked([abs(error) for error in errors], 0.95) if errors else None,
        "half_width_median": statistics.median(widths) if widths else None,
        "truth_over_capacity": [statistics.median(run["truth_over_capacity"] for run in subject) for subject in runs],
        "load_seconds_median": statistics.median(run["load_seconds"] for run in every),
        "errors": [round(error, 4) for error in errors],
        "reached": at_least(near, len(every), 27, 30),
    }


BENCHMARK = Benchmark(
    subjects={f"open_loop_{name}": Subject(runs_of(*server), 15) for name, server in SERVERS.items()},
    figures={
        "open_loop_rate": Figure(
            "within 8% of the exact M/M/k answer in at least 27 of 30 runs",
            tuple(f"open_loop_{name}" for name in SERVERS),
            right,
        ),
    },
    sleeps=True,
)

if __name__ == "__main__":
    main("benchmarks.open_loop", __doc__, BENCHMARK)
