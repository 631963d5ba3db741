"""Figures that must reach something, and the runs that they rest on: measured in random order, resumable, told as JSON.

1. A *subject* is a configuration that is measured again and again; one measurement of it is a run.
2. A *figure* is a row of the table: it rests on the runs of one or more subjects, and two figures may share them.
3. A *benchmark* holds subjects and figures. The runs of all its subjects are mixed at random, so that whatever else the
   machine does meets all of them. Where subjects only sleep, several runs may go on at once.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import random
import signal
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.journal import Journal, Run
from benchmarks.summary import machine
from modeldyno.domain.statistics import prepare


@dataclass(frozen=True)
class Subject:
    """What is measured: `measure` makes the run of a number; what it enters into the stack lasts for all runs."""

    measure: Callable[[int, AsyncExitStack], Awaitable[Run]]
    runs: int
    quick: int = 2


@dataclass(frozen=True)
class Figure:
    """A row of the table. `tell` makes it, with ``reached``, of the runs of each subject."""

    must: str
    subjects: tuple[str, ...]
    tell: Callable[[Sequence[Sequence[Run]]], dict[str, Any]]


@dataclass(frozen=True)
class Benchmark:
    """Subjects and figures. `sleeps`: its subjects use so little of a core that several may be measured at once."""

    subjects: Mapping[str, Subject]
    figures: Mapping[str, Figure]
    sleeps: bool = False


@dataclass(frozen=True)
class Effort:
    """How much is measured. `runs` None: of each subject what a full measurement needs."""

    runs: int | None = None
    quick: bool = False
    parallel: int = 1

    def of(self, subject: Subject) -> int:
        """How many runs."""
        if self.runs is not None:
            return self.runs
        return subject.quick if self.quick else subject.runs


def at_least(count: int, total: int, wanted: int, out_of: int) -> bool:
    """Whether as large a share counts as `wanted` of `out_of`. Nothing measured has reached nothing."""
    return total > 0 and count * out_of >= wanted * total


def at_most(count: int, total: int, allowed: int, out_of: int) -> bool:
    """Whether no larger a share counts than `allowed` of `out_of`."""
    return total > 0 and count * out_of <= allowed * total


def ranked(values: Sequence[float], share: float) -> float:
    """The value at that rank of all."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def orders(counts: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    """Every (subject, number): numbers rise within a subject, and subjects of few runs are spread over the time."""
    chance = random.Random(0)
    places = [((number + chance.random()) / count, name) for name, count in counts.items() for number in range(count)]
    numbers = dict.fromkeys(counts, 0)
    for _, name in sorted(places):
        yield name, numbers[name]
        numbers[name] += 1


async def figures_of(benchmark: Benchmark, names: Sequence[str], journal: Journal, effort: Effort) -> dict[str, Any]:
    """The figures of these names, from the journal's runs and those that it lacks."""
    figures = {name: benchmark.figures[name] for name in names}
    needed = dict.fromkeys(subject for figure in figures.values() for subject in figure.subjects)
    counts = {name: effort.of(benchmark.subjects[name]) for name in needed}
    missing = iter([order for order in orders(counts) if journal.get(_key(*order)) is None])

    async def work() -> None:
        for name, number in missing:
            journal.keep(_key(name, number), await benchmark.subjects[name].measure(number, stack))

    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        for _ in range(effort.parallel if benchmark.sleeps else 1):
            group.create_task(work())
    return {name: _told(figure, counts, journal) for name, figure in figures.items()}


def _key(name: str, number: int) -> str:
    return f"{name} {number}"


def _told(figure: Figure, counts: Mapping[str, int], journal: Journal) -> dict[str, Any]:
    runs = [[journal.get(_key(name, number)) or {} for number in range(counts[name])] for name in figure.subjects]
    return {"must": figure.must, **figure.tell(runs)}


def main(name: str, caption: str | None, *benchmarks: Benchmark) -> None:
    """The command of these benchmarks: prints the machine and the figures."""
    figures = [figure for benchmark in benchmarks for figure in benchmark.figures]
    parser = argparse.ArgumentParser(prog=f"python -m {name}", description=(caption or "").splitlines()[0])
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help=f"of {', '.join(figures)}; default: all")
    parser.add_argument("--runs", type=int, help="runs of each subject; default: what the figures need")
    parser.add_argument("--quick", action="store_true", help="a few runs only, to see that it works")
    parser.add_argument("--parallel", type=int, default=1, help="deployments at once, of servers that only sleep")
    parser.add_argument("--resume", type=Path, help="a file that keeps finished runs")
    given = parser.parse_args()
    if unknown := [figure for figure in given.figures if figure not in figures]:
        parser.error(f"there is no figure {unknown[0]}; there are {', '.join(figures)}")
    if min(given.runs or 1, given.parallel) < 1:
        parser.error("--runs and --parallel must be 1 or more")
    effort = Effort(given.runs, given.quick, given.parallel)
    prepare()
    try:
        results = asyncio.run(_all(benchmarks, given.figures or figures, Journal(given.resume), effort))
    except (asyncio.CancelledError, KeyboardInterrupt):
        parser.exit(130, "interrupted; what was started is ended\n")
    print(json.dumps({"machine": machine(), "quick": given.quick, "results": results}, indent=2))


async def _all(
    benchmarks: Sequence[Benchmark], chosen: Sequence[str], journal: Journal, effort: Effort
) -> dict[str, Any]:
    """One benchmark after the other. SIGTERM ends what was started, too."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    results: dict[str, Any] = {}
    for benchmark in benchmarks:
        names = [name for name in benchmark.figures if name in chosen]
        results |= await figures_of(benchmark, names, journal, effort)
    return results
