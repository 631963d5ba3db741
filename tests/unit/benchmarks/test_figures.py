"""Figures rest on the runs of subjects, which are measured once, in mixed order."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

from benchmarks.figures import Benchmark, Effort, Figure, Subject, at_least, at_most, figures_of, orders, ranked
from benchmarks.journal import Journal


def test_shares_scale_with_the_number_of_runs() -> None:
    assert at_least(55, 60, 55, 60)
    assert not at_least(54, 60, 55, 60)
    assert at_least(11, 12, 55, 60)
    assert not at_least(5, 6, 55, 60)
    assert at_most(3, 60, 3, 60)
    assert not at_most(1, 10, 3, 60)


def test_without_runs_nothing_is_reached() -> None:
    assert not at_least(0, 0, 55, 60)
    assert not at_most(0, 0, 3, 60)


def test_the_95th_of_a_hundred() -> None:
    assert ranked(list(range(1, 101)), 0.95) == 95
    assert ranked([3.0], 0.95) == 3.0


def test_every_run_has_its_turn_and_subjects_are_spread_over_the_time() -> None:
    order = list(orders({"many": 60, "few": 3}))
    assert sorted(order) == sorted([("many", n) for n in range(60)] + [("few", n) for n in range(3)])
    places = [place for place, (name, _) in enumerate(order) if name == "few"]
    assert [order[place][1] for place in places] == [0, 1, 2]
    assert places[0] < 25
    assert places[2] > 38


class World:
    """Notes what was measured, and how much at once."""

    def __init__(self) -> None:
        self.measured: list[int] = []
        self.busy = self.most_busy = 0

    async def measure(self, number: int, stack: AsyncExitStack) -> dict[str, Any]:
        self.busy += 1
        self.most_busy = max(self.most_busy, self.busy)
        await asyncio.sleep(0)
        self.busy -= 1
        self.measured.append(number)
        return {"number": number}

    def benchmark(self, *, sleeps: bool) -> Benchmark:
        told = {"numbers": lambda runs: {"reached": True, "seen": [run["number"] for of in runs for run in of]}}
        figures = {name: Figure("", ("one",), tell) for name, tell in {**told, "again": told["numbers"]}.items()}
        return Benchmark({"one": Subject(self.measure, 6), "other": Subject(self.measure, 6)}, figures, sleeps)


async def test_figures_share_the_runs_of_a_subject_and_others_are_left_alone() -> None:
    world = World()
    told = await figures_of(world.benchmark(sleeps=True), ["numbers", "again"], Journal(), Effort())
    assert world.measured == [0, 1, 2, 3, 4, 5]
    assert told["numbers"] == told["again"] == {"must": "", "reached": True, "seen": [0, 1, 2, 3, 4, 5]}


async def test_what_the_journal_holds_is_not_measured() -> None:
    world, journal = World(), Journal()
    for number in (0, 2):
        journal.keep(f"one {number}", {"number": number})
    told = await figures_of(world.benchmark(sleeps=True), ["numbers"], journal, Effort(runs=3))
    assert world.measured == [1]
    assert told["numbers"]["seen"] == [0, 1, 2]


async def test_only_subjects_that_sleep_are_measured_several_at_once() -> None:
    sleeping, busy = World(), World()
    await figures_of(sleeping.benchmark(sleeps=True), ["numbers"], Journal(), Effort(parallel=3))
    await figures_of(busy.benchmark(sleeps=False), ["numbers"], Journal(), Effort(parallel=3))
    assert sleeping.most_busy == 3
    assert busy.most_busy == 1


async def test_a_quick_measurement_takes_a_few_runs() -> None:
    world = World()
    await figures_of(world.benchmark(sleeps=False), ["numbers"], Journal(), Effort(quick=True))
    assert world.measured == [0, 1]
