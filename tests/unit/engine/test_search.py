"""What a worker does with a job that has more configurations than tests: it chooses as the trials go, and survives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modeldyno.domain.job import Candidate, JobSpec, JobStatus, JobType
from modeldyno.domain.traffic import Phase, Traffic
from modeldyno.domain.trial import Trial, TrialStatus
from modeldyno.engine import jobs as engine
from modeldyno.testing.fake_load import FakeServer
from tests.unit.domain.builders import a_spec
from tests.unit.engine.world import World

RANGES = {"A": ("1", "2", "4"), "B": ("x", "y")}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World.at(tmp_path) as made:
        yield made


def a_search(*types: str, seconds: int = 30, **more: Any) -> JobSpec:
    """12 configurations and 5 tests, where nothing else is said."""
    candidates = tuple(Candidate(name, RANGES) for name in types or ("one", "two"))
    limits = {"max_tests": 5} | more
    return a_spec(JobType.ADVANCED, candidates=candidates, traffic=Traffic(phases=(Phase(1, 30, seconds),)), **limits)


def configurations(trials: tuple[Trial, ...]) -> set[tuple[str, ...]]:
    return {(trial.spec.instance_type.name, *trial.spec.tuned.values()) for trial in trials}


async def test_a_job_with_more_configurations_than_tests_makes_all_its_tests_each_another(world: World) -> None:
    world.submit(spec=a_search())
    async with world.worker():
        await world.until(lambda: bool(world.trials()))
        begun = len(world.trials())
        job = await world.ended()
    trials = world.trials()
    assert begun < 5
    assert job.status is JobStatus.COMPLETED
    assert [trial.spec.index for trial in trials] == list(range(5))
    assert {trial.status for trial in trials} == {TrialStatus.COMPLETED}
    assert len(configurations(trials)) == 5
    assert len({trial.spec.endpoint_name for trial in trials}) == 5
    assert job.plan_notes[0] == "The job is limited to 5 tests: of 12 configurations, 5 are chosen as the trials go."
    assert job.plan_notes[1].startswith("7 configurations were not tried")
    assert any(line.message.startswith("Next: ") for line in world.store.log_lines("job"))


async def test_after_a_crash_in_the_middle_the_search_goes_on_from_its_rows(world: World) -> None:
    world.submit(spec=a_search())
    store = Dead(world.store)
    async with world.worker("w1", store=store):
        await world.until(lambda: len(world.trials()) == 4 and world.trials()[-1].status is TrialStatus.IN_PROGRESS)
        store.dead = True
    kept = configurations(world.trials())
    assert world.trials()[-1].status is TrialStatus.IN_PROGRESS
    async with world.worker("w1"):
        job = await world.ended()
    assert job.status is JobStatus.COMPLETED
    assert kept < configurations(world.trials())
    assert [trial.status for trial in world.trials()] == [TrialStatus.COMPLETED] * 5
    assert [trial.attempt for trial in world.trials()] == [1, 1, 1, 2, 1]


async def test_a_search_that_is_stopped_tries_nothing_more_and_says_what_it_left(world: World) -> None:
    world.submit(spec=a_search())
    async with world.worker():
        await world.until(lambda: len(world.trials()) == 4)
        world.store.request_stop("us-east-1", "job", world.clock.now())
        job = await world.ended()
    assert job.status is JobStatus.STOPPED
    assert len(world.trials()) == 4
    assert any(note.startswith("8 configurations were not tried") for note in job.plan_notes)


async def test_a_search_whose_time_is_over_ends_with_what_it_has(world: World) -> None:
    world.submit(spec=a_search(duration_seconds=1, max_parallel=1))
    async with world.worker():
        job = await world.ended()
    assert len(world.trials()) < 5
    assert any("not tried" in note for note in job.plan_notes)


async def test_a_search_runs_as_many_at_once_as_it_may_and_no_more(world: World) -> None:
    most = 0

    def watched(_: Any) -> FakeServer:
        nonlocal most
        most = max(most, len(world.backend.live))
        return FakeServer()

    world.server = watched
    world.submit(spec=a_search("one", max_parallel=2))
    async with world.worker():
        await world.ended()
    assert most == 2
    assert len(configurations(world.trials())) == 5


async def test_a_type_that_the_host_cannot_be_costs_a_search_one_test(world: World) -> None:
    world.submit(spec=a_search("one", "huge"))
    async with world.worker():
        job = await world.ended()
    names = [trial.spec.instance_type.name for trial in world.trials()]
    assert sorted(names) == ["huge", "one", "one", "one", "one"]
    assert "5 more of huge were not tried: the host could not be it." in job.plan_notes


async def test_a_search_whose_trials_all_fail_makes_its_tests_and_fails(world: World) -> None:
    candidates = (Candidate("one", {"BEHAVIOUR": ("exits",), "A": ("1", "2", "3", "4", "5")}),)
    world.submit(
        spec=a_spec(JobType.ADVANCED, candidates=candidates, traffic=Traffic((Phase(1, 30, 20),)), max_tests=3)
    )
    async with world.worker():
        job = await world.ended()
    assert job.status is JobStatus.FAILED
    assert len(world.trials()) == 3


async def test_a_defect_in_the_choice_ends_the_search_and_not_the_job(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(engine, "next_trial", broken)
    world.submit(spec=a_search())
    async with world.worker():
        job = await world.ended()
    assert job.status is JobStatus.COMPLETED
    assert 0 < len(world.trials()) < 5
    assert any("a defect" in note for note in world.notes)


class Dead:
    """A store that a killed worker no longer reaches: from then on it changes nothing."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.dead = False

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._store, name)
        if not callable(value):
            return value

        def call(*arguments: Any, **more: Any) -> Any:
            if self.dead:
                raise ConnectionError("dead")
            return value(*arguments, **more)

        return call
