"""The rate of arrivals that do not wait: searched after the capacity, and never in its way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modeldyno.domain.job import Candidate, JobStatus, JobType, LatencyThreshold, StoppingRules
from modeldyno.domain.measurement import Window
from modeldyno.domain.recommend import recommend
from modeldyno.domain.traffic import Phase, Traffic
from modeldyno.domain.trial import Flag, TrialResult, TrialStatus
from tests.unit.domain.builders import a_spec
from tests.unit.engine.world import World

WITH_LIMIT = StoppingRules(threshold=LatencyThreshold(95.0, 50))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World.at(tmp_path) as made:
        yield made


async def result(world: World, **job: Any) -> TrialResult:
    world.submit("job", **job)
    async with world.worker():
        assert (await world.ended()).status is JobStatus.COMPLETED
    (trial,) = world.trials()
    assert trial.result is not None
    return trial.result


def rated(world: World) -> list[Window]:
    """The windows of arrivals that do not wait."""
    windows = [one for trial in world.trials() for one in world.store.windows(trial.id, 1)]
    return [one for one in windows if one.rate_per_second is not None]


async def test_a_job_with_a_threshold_tells_the_arrivals_that_hold_it_beside_its_capacity(world: World) -> None:
    told = await result(world, rules=WITH_LIMIT)
    assert told.open_loop is not None
    assert told.open_loop.per_minute == pytest.approx(6000, rel=0.15)  # it answers what it can do at once
    assert told.open_loop.requests > 1000
    assert sum(one.duration_seconds for one in rated(world)) == pytest.approx(told.open_loop.seconds, rel=0.1)


async def test_the_open_loop_changes_no_figure_of_the_closed_one(world: World, tmp_path: Path) -> None:
    with_it = await result(world, rules=WITH_LIMIT)
    (tmp_path / "other").mkdir()
    with World.at(tmp_path / "other") as other:
        without = await result(other, spec=a_spec(rules=WITH_LIMIT, supported_instance_types=("one",), open_loop=False))
    for name in ("capacity_per_minute", "latency_ms", "users", "requests", "measured_seconds", "last_window"):
        assert getattr(with_it.figures, name) == pytest.approx(getattr(without.figures, name)), name
    closed = [one for one in world.store.windows(world.trials()[0].id, 1) if one.rate_per_second is None]
    *concluded, _ = [one.duration_seconds for one in closed]  # the change to arrivals cuts the last
    assert with_it.figures.total_seconds == pytest.approx(sum(concluded))
    assert without.open_loop is None


async def test_without_a_threshold_there_is_nothing_to_hold(world: World) -> None:
    assert (await result(world)).open_loop is None


async def test_the_load_of_an_advanced_job_is_its_pattern_alone(world: World) -> None:
    traffic = Traffic(phases=(Phase(1, 30, 20),))
    spec = a_spec(JobType.ADVANCED, candidates=(Candidate("one", {}),), traffic=traffic, rules=WITH_LIMIT)
    assert (await result(world, spec=spec)).open_loop is None


async def test_a_server_that_dies_of_arrivals_keeps_its_capacity_and_says_what_ended_it(world: World) -> None:
    world.submit("job", rules=WITH_LIMIT)
    async with world.worker():
        await world.until(lambda: bool(rated(world)))
        for instance in world.backend.live.values():
            instance.die()
        assert (await world.ended()).status is JobStatus.COMPLETED
    (row,) = recommend(world.job(), world.trials())
    told = row.trial.result
    assert told is not None
    assert told.figures.capacity_per_minute == pytest.approx(6000, rel=0.03)
    assert told.open_loop is not None
    assert told.open_loop.per_minute is None
    assert "killed by SIGKILL under load (" in told.flags[Flag.OPEN_LOOP]
    assert "arrivals a minute" in told.flags[Flag.OPEN_LOOP]


async def test_a_stop_ends_the_open_loop_too(world: World) -> None:
    world.submit("job", rules=WITH_LIMIT)
    async with world.worker():
        await world.until(lambda: any("Arrivals" in line.message for line in world.store.log_lines("job")))
        world.store.request_stop("us-east-1", "job", world.clock.now())
        assert (await world.ended()).status is JobStatus.STOPPED
    assert [trial.status for trial in world.trials()] == [TrialStatus.STOPPED]
