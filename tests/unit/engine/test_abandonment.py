"""What a worker does with configurations that cannot win: it measures them only until that is sure, and says so."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modeldyno.domain.job import Candidate, JobStatus, JobType, StoppingRules
from modeldyno.domain.recommend import recommend
from modeldyno.domain.traffic import Phase, Traffic
from modeldyno.domain.trial import Flag, TrialResult
from modeldyno.testing.fake_load import FakeServer
from tests.unit.domain.builders import a_spec
from tests.unit.engine.world import World


class Restless(FakeServer):
    """Throughput goes up and down by 6%, so that an interval of 2% takes many windows. 100 a second in the mean."""

    beats = itertools.count()

    def per_second(self, users: int) -> float:
        return super().per_second(users) * (1.06 if next(self.beats) % 2 else 0.94)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World.at(tmp_path, server=lambda _: Restless()) as made:
        yield made


async def results(world: World, **job: Any) -> list[TrialResult]:
    """Of two types that serve alike, the second at twice the price."""
    world.submit("job", "one", "two", **job)
    async with world.worker():
        assert (await world.ended()).status is JobStatus.COMPLETED
    return [trial.result for trial in world.trials() if trial.result]


async def test_the_dearer_of_two_that_serve_alike_is_given_up_and_says_what_it_would_need(world: World) -> None:
    best, lost = await results(world)
    assert Flag.CANNOT_WIN not in best.flags
    assert lost.flags[Flag.CANNOT_WIN].startswith("cannot win: about ")
    assert "to be as cheap as one" in lost.flags[Flag.CANNOT_WIN]
    assert lost.stop_reason == "throughput went flat, and the configuration cannot win"
    assert lost.figures.total_seconds < 0.65 * best.figures.total_seconds
    assert (lost.figures.capacity_low_per_minute or 0) <= 6000 <= (lost.figures.capacity_high_per_minute or 0)


async def test_what_was_given_up_is_ranked_behind_with_the_rest(world: World) -> None:
    await results(world)
    rows = recommend(world.job(), world.trials())
    assert [row.trial.spec.instance_type.name for row in rows] == ["one", "two"]


@pytest.mark.parametrize("more", [{"thorough": True}, {"rules": StoppingRules(target_per_minute=50_000)}])
async def test_where_each_is_judged_or_has_a_target_none_is_given_up(world: World, more: dict[str, Any]) -> None:
    assert not [one for one in await results(world, **more) if Flag.CANNOT_WIN in one.flags]


async def test_the_load_of_an_advanced_job_is_carried_out_whole(world: World) -> None:
    candidates = (Candidate("one", {}), Candidate("two", {}))
    world.submit(spec=a_spec(JobType.ADVANCED, candidates=candidates, traffic=Traffic(phases=(Phase(1, 30, 20),))))
    async with world.worker():
        await world.ended()
    found = [trial.result for trial in world.trials() if trial.result]
    assert [one.stop_reason for one in found] == ["the traffic pattern was over"] * 2


async def test_a_trial_beside_others_hears_of_them_while_it_runs(world: World) -> None:
    servers = iter((FakeServer(), Restless()))
    world.server = lambda _: next(servers)
    best, lost = await results(world, max_parallel=2)
    assert Flag.CANNOT_WIN not in best.flags
    assert Flag.CANNOT_WIN in lost.flags
