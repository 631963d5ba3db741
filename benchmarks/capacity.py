"""Is the capacity right, is it known soon, and does it repeat? The search of a Default job on known-truth servers.

A run is a deployment of its own. The truth is what the server recorded for the same requests: k over the mean recorded
service time, in the windows that the figure rests on. A/A pairs are runs of the same configuration that followed each
other, compared as `dyno compare` compares jobs; each run is in one pair.
"""

from __future__ import annotations

import functools
import os
import statistics
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from benchmarks.figures import Benchmark, Figure, Subject, at_least, at_most, main, ranked
from benchmarks.journal import Run
from benchmarks.truth import Searched, kept, payloads, search, server_core, truth_server, windows_of
from modeldyno.domain.difference import Comparison, Sample, Verdict, compare, lost_to_others
from modeldyno.domain.figures import capacity_interval
from modeldyno.domain.job import StoppingRules
from modeldyno.domain.measurement import Window
from modeldyno.domain.quality import flags_of
from modeldyno.domain.saturation import SaturationSearch
from modeldyno.domain.statistics import relative_half_width
from modeldyno.testing.truth_server import Service, read_record, true_per_second, within

SERVICE_MS = 20


async def run(distribution: str, workers: int, number: int, stack: AsyncExitStack) -> Run:
    """One deployment, measured once."""
    options = ("--distribution", distribution, "--workers", str(workers), "--service-ms", str(SERVICE_MS))
    generator = (min(os.sched_getaffinity(0)),)
    with tempfile.TemporaryDirectory() as place, payloads() as bodies:
        record = Path(place, "record")
        async with truth_server(record, server_core(), *options, "--seed", str(number)) as url:
            searched = await search(url, SaturationSearch(StoppingRules()), bodies=bodies, seed=number, cores=generator)
        return told(searched, read_record(record), workers)


def told(searched: Searched, services: Sequence[Service], workers: int) -> Run:
    """What is kept of a run."""
    windows = searched.measured.windows
    first, last = windows[0], windows[-1]
    served = within(services, first.started_at, last.started_at + last.duration_seconds)
    truth = true_per_second(served, workers)
    interval = capacity_interval(searched.measured)
    assert interval is not None
    return {
        "per_second": interval.value,
        "truth_per_second": truth,
        "error": interval.value / truth - 1,
        "inside_interval": interval.low <= truth <= interval.high,
        "half_width": interval.relative_half_width,
        "users": searched.measured.users,
        "load_seconds": searched.load_seconds,
        "lost": _lost(windows),
        "first_window": first.sequence,
        "last_window": last.sequence,
        "windows": kept(searched.constant),
    }


def _lost(windows: Sequence[Window]) -> float:
    """What waiting for its core may have cost the generator, as a result document would tell."""
    width = relative_half_width(windows)
    flags = flags_of(windows, relative_half_width=width, foreign_share=None, stopped=False)
    seconds = sum(window.duration_seconds for window in windows)
    delay = sum(window.generator_delay_seconds for window in windows) / seconds
    return lost_to_others({"flags": flags, "figures": {"generator_delay_percent": 100 * delay}})


def accuracy(runs: Sequence[Sequence[Run]]) -> dict[str, Any]:
    """Errors and seconds over the runs of all subjects."""
    every = [run for of_subject in runs for run in of_subject]
    errors = [abs(run["error"]) for run in every]
    seconds = [run["load_seconds"] for run in every]
    return {
        "runs": len(every),
        "within_3_percent": sum(error <= 0.03 for error in errors),
        "inside_interval": sum(run["inside_interval"] for run in every),
        "error_median": statistics.median(errors),
        "error_p95": ranked(errors, 0.95),
        "error_worst": max(errors),
        "error_mean_signed": statistics.fmean(run["error"] for run in every),
        "half_width_median": statistics.median(run["half_width"] for run in every),
        "load_seconds_median": statistics.median(seconds),
        "load_seconds_p95": ranked(seconds, 0.95),
        "load_seconds_worst": max(seconds),
        "errors": [[round(run["error"], 4) for run in of_subject] for of_subject in runs],
    }


def fixed(runs: Sequence[Sequence[Run]]) -> dict[str, Any]:
    """1, 2 and 4 workers together."""
    seen = accuracy(runs)
    soon = seen["load_seconds_median"] <= 8 and seen["load_seconds_p95"] <= 12
    return {**seen, "reached": at_least(seen["within_3_percent"], seen["runs"], 55, 60) and soon}


def exponential(runs: Sequence[Sequence[Run]]) -> dict[str, Any]:
    """Service times that scatter as much as they last: the interval must be honest."""
    seen = accuracy(runs)
    soon = seen["load_seconds_worst"] <= 60
    return {**seen, "reached": at_least(seen["inside_interval"], seen["runs"], 90, 100) and soon}


def pairs(runs: Sequence[Run]) -> list[tuple[Run, Run]]:
    """The first with the second, the third with the fourth ...; a last one without a partner is left out."""
    return list(zip(runs[0::2], runs[1::2], strict=False))


def sample(run: Run) -> Sample:
    """A run as the comparison of two jobs sees it."""
    every = windows_of(run["windows"])
    chosen = tuple(window for window in every if run["first_window"] <= window.sequence <= run["last_window"])
    return Sample(("truth", ()), chosen, every, run["users"], 95.0, None, None, run["lost"])


def compared(pair: tuple[Run, Run]) -> Comparison:
    """The second beside the first."""
    return compare(sample(pair[0]), sample(pair[1]))


def same_things(runs: Sequence[Sequence[Run]]) -> dict[str, Any]:
    """Pairs of the same configuration."""
    verdicts = [compared(pair).verdict for of_subject in runs for pair in pairs(of_subject)]
    different = sum(verdict in (Verdict.FASTER, Verdict.SLOWER) for verdict in verdicts)
    return {
        "pairs": len(verdicts),
        "called_different": different,
        "called_same": sum(verdict is Verdict.SAME for verdict in verdicts),
        "verdicts": [str(verdict) for verdict in verdicts],
        "reached": at_most(different, len(verdicts), 3, 60),
    }


FIXED = tuple(f"fixed_{workers}_workers" for workers in (1, 2, 4))
EXPONENTIAL = "exponential_2_workers"
BENCHMARK = Benchmark(
    subjects={
        **{name: Subject(functools.partial(run, "fixed", int(name.split("_")[1])), 20) for name in FIXED},
        EXPONENTIAL: Subject(functools.partial(run, "exponential", 2), 60),
    },
    figures={
        "capacity_fixed": Figure(
            "within 3% of the truth in at least 55 of 60; load: median at most 8 s, p95 at most 12 s", FIXED, fixed
        ),
        "capacity_exponential": Figure(
            "truth inside the stated interval in at least 90%; load: at most 60 s", (EXPONENTIAL,), exponential
        ),
        "same_called_different": Figure(
            "at most 3 of 60 pairs of the same thing called different", (*FIXED, EXPONENTIAL), same_things
        ),
    },
    sleeps=True,
)

if __name__ == "__main__":
    main("benchmarks.capacity", __doc__, BENCHMARK)
