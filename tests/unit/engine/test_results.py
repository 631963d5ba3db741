"""Every ended job gets its result file, also when the worker was killed in the instant between the two."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modeldyno.domain.job import JobStatus
from modeldyno.domain.trial import Placement, TrialSpec, TrialStatus
from tests.unit.engine.world import TYPES, World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World.at(tmp_path) as made:
        yield made


def ended_by(world: World, worker_id: str, name: str = "job", days_ago: float = 0.0) -> None:
    """What a worker leaves that was killed between the end of a job and its file."""
    world.submit(name)
    now = world.clock.now()
    world.store.heartbeat(worker_id, world.host, now, 60.0)
    assert world.store.plan_job(name, [TrialSpec(0, "sm-epc-0", TYPES["one"])], [], now)
    claim = world.store.claim_trial(worker_id, lambda trial, busy: Placement((1,), None), now, 60.0)
    assert claim is not None
    assert world.store.finish_trial(claim.trial.id, 1, TrialStatus.FAILED, now, failure_reason="so")
    assert world.store.finish_job(name, JobStatus.FAILED, now - days_ago * 86_400, "so")


async def test_a_job_that_a_killed_worker_ended_is_published_at_its_next_start(world: World) -> None:
    ended_by(world, "w1")
    async with world.worker("w1"):
        await world.until(lambda: world.published == ["job"])


async def test_what_is_there_is_not_written_again(world: World) -> None:
    ended_by(world, "w1", "old")
    world.published.append("old")
    ended_by(world, "w1", "new")
    async with world.worker("w1"):
        await world.until(lambda: "new" in world.published)
    assert world.published == ["old", "new"]


async def test_what_another_host_measured_is_published_there(world: World) -> None:
    ended_by(world, "elsewhere", "theirs")
    ended_by(world, "w1", "ours")
    async with world.worker("w1"):
        await world.until(lambda: bool(world.published))
    assert world.published == ["ours"]


async def test_what_is_past_its_retention_stays_away(world: World) -> None:
    ended_by(world, "w1", "old", days_ago=31)
    ended_by(world, "w1", "new")
    async with world.worker("w1"):
        await world.until(lambda: bool(world.published))
    assert world.published == ["new"]


async def test_a_file_that_the_disk_had_no_room_for_is_written_once_there_is_room(world: World) -> None:
    world.disk_full = True
    world.submit()
    async with world.worker():
        assert (await world.ended()).status is JobStatus.COMPLETED
        await world.until(lambda: any("the result of job job could not be written" in note for note in world.notes))
        assert world.published == []
        world.disk_full = False
        await world.until(lambda: world.published == ["job"])


async def test_a_job_that_was_deleted_meanwhile_is_forgotten(world: World) -> None:
    world.disk_full = True
    world.submit()
    async with world.worker():
        await world.ended()
        await world.until(lambda: any("could not be written" in note for note in world.notes))
        world.store.remove_job("us-east-1", "job")
        world.disk_full = False
        world.submit("next")
        await world.until(lambda: bool(world.published))
    assert world.published == ["next"]


async def test_a_job_s_trials_are_read_once_a_round(world: World) -> None:
    class Counting:
        rounds = reads = 0

        def __getattr__(self, name: str) -> Any:
            self.rounds += name == "active_jobs"
            self.reads += name == "trials"
            return getattr(world.store, name)

    store: Any = Counting()
    world.submit("job", "one", "two")
    async with world.worker(store=store):
        await world.ended()
    assert store.reads <= store.rounds + len(world.trials())  # and each trial looks once for what it must beat
