"""What a worker does when the leaders of a job lie close together: it measures them again in turns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from modeldyno.domain.job import JobStatus, StoppingRules
from modeldyno.domain.recommend import recommend
from modeldyno.domain.trial import Placement, TrialSpec, TrialStatus
from modeldyno.ports import Claim, DeployRequest, LoadTarget, Tag
from modeldyno.testing.clock import FastClock
from modeldyno.testing.fake_instances import A_HOST
from modeldyno.testing.fake_load import FakeServer
from tests.unit.domain.builders import a_trial, a_type
from tests.unit.engine.world import World

# What the trials have measured, in invocations a minute: the first seems the cheapest, by 7%. The second is, by 10%.
MEASURED = {"first": 6000.0, "second": 5600.0, "far": 3000.0}
TRUTH = {"first": 0.0220, "second": 0.0200, "far": 0.0400}


@dataclass(frozen=True, slots=True)
class Drifting(FakeServer):
    """Slower with time, as everything on this host: by a fifth in a minute."""

    clock: FastClock | None = None
    began: float = 0.0

    def per_second(self, users: int) -> float:
        assert self.clock is not None
        return min(users, self.workers) / self.service_seconds * (1 - (self.clock.now() - self.began) / 300)


def url_of(request: DeployRequest) -> str:
    return f"http://127.0.0.1:9/{request.spec.instance_type.name}"


class Site:
    """A world whose servers are told apart by their URLs. `alive`: windows until the generator of the second dies."""

    def __init__(self) -> None:
        self.world: World | None = None
        self.alive: int | None = None

    def server(self, target: LoadTarget) -> FakeServer:
        assert self.world is not None
        name = target.url.rpartition("/")[2]
        alive = self.alive if name == "second" else None
        now = self.world.clock.now()
        return Drifting(2, TRUTH[name], windows_alive=alive, clock=self.world.clock, began=now)


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
def world(tmp_path: Path, site: Site, request: pytest.FixtureRequest) -> Iterator[World]:
    more: dict[str, Any] = getattr(request, "param", {})
    with World.at(tmp_path, server=site.server, url=url_of, **more) as made:
        site.world = made
        yield made


def measured(world: World, *names: str, **job: Any) -> None:
    """A job whose trials have all been measured."""
    world.submit("job", *names, **job)
    store, now = world.store, world.clock.now()
    kinds = [a_type(name, 1, 0.1) for name in names]
    store.heartbeat("w1", world.host, now, 1000.0)
    assert store.plan_job("job", [TrialSpec(i, f"sm-epc-{i}", kind) for i, kind in enumerate(kinds)], [], now)
    for kind in kinds:
        claim = store.claim_trial("w1", lambda trial, busy: Placement((1,), None), now, 1000.0)
        assert claim is not None
        result = a_trial(0, kind, MEASURED[kind.name]).result
        assert result is not None
        result = replace(result, load_started_at=now + 2)
        store.finish_trial(claim.trial.id, claim.trial.attempt, TrialStatus.COMPLETED, now, result=result)


def ranking(world: World) -> list[str]:
    return [row.trial.spec.instance_type.name for row in recommend(world.job(), world.trials())]


def story(world: World) -> list[str]:
    return [line.message for line in world.store.log_lines("job")]


async def test_the_leaders_are_measured_again_side_by_side_and_that_decides_the_ranking(world: World) -> None:
    measured(world, "first", "second", "far")
    before = world.trials()
    assert ranking(world) == ["first", "second", "far"]
    async with world.worker():
        await world.until(lambda: len(world.backend.live) == 2)
        job = await world.ended()
    assert job.status is JobStatus.COMPLETED
    assert job.run_off is not None
    assert job.run_off.together
    chosen, other = job.run_off.standings
    assert (chosen.trial_index, other.trial_index) == (1, 0)
    assert other.ratio == pytest.approx(1.1, abs=0.02)
    assert other.told_apart
    assert chosen.rounds == other.rounds >= 4
    assert ranking(world) == ["second", "first", "far"]
    assert world.trials() == before
    assert job.run_off.note in story(world)
    assert "second ranks first, and that is sure" in job.run_off.note
    assert not world.backend.live


@pytest.mark.parametrize("world", [{"host": replace(A_HOST, memory_mib=1500)}], indirect=True)
async def test_where_the_memory_does_not_hold_two_each_is_deployed_anew_for_its_turns(world: World) -> None:
    measured(world, "first", "second")
    most = 0

    def ended() -> bool:
        nonlocal most
        most = max(most, len(world.backend.live))
        return world.job().status.ended

    async with world.worker():
        await world.until(ended)
    run_off = world.job().run_off
    assert run_off is not None
    assert (most, run_off.together) == (1, False)
    assert ranking(world) == ["second", "first"]
    assert len(world.backend.requests) == len(run_off.turns) >= 8


@pytest.mark.parametrize(
    ("names", "more"),
    [
        (("first", "far"), {}),
        (("first",), {}),
        (("first", "second"), {"rules": StoppingRules(target_per_minute=50_000)}),
    ],
)
async def test_there_is_none_where_the_winner_is_clear_or_nothing_can_be_compared(
    world: World, names: tuple[str, ...], more: dict[str, Any]
) -> None:
    measured(world, *names, **more)
    async with world.worker():
        job = await world.ended()
    assert job.run_off is None
    assert world.store.run_off("job") is None
    assert not world.backend.requests


async def test_one_that_fails_costs_itself_and_is_told(world: World, site: Site) -> None:
    site.alive = 12
    measured(world, "first", "second")
    async with world.worker():
        job = await world.ended()
    assert (job.status, job.run_off) == (JobStatus.COMPLETED, None)
    assert ranking(world) == ["first", "second"]
    told = "There was no run-off: The run-off could not be run on this host: The load generator was ended by signal 9."
    assert f"{told} The ranking is that of the trials." in story(world)
    assert not world.backend.live


async def test_stop_ends_it_and_leaves_nothing_behind(world: World) -> None:
    measured(world, "first", "second")
    async with world.worker():
        await world.until(lambda: len(world.backend.live) == 2)
        world.store.request_stop("us-east-1", "job", world.clock.now())
        job = await world.ended()
    assert (job.status, job.run_off) == (JobStatus.STOPPED, None)
    assert not world.backend.live
    row = world.store.run_off("job")
    assert row is not None
    assert row.status is TrialStatus.STOPPED


async def test_after_a_crash_it_is_repeated_and_its_servers_are_removed(world: World) -> None:
    measured(world, "first", "second")
    claim = claimed_by_a_dead_worker(world)
    tag = Tag(world.store.installation, "w1", claim.trial.id, claim.trial.attempt)
    world.backend.orphans |= {tag, replace(tag, unit=f"{tag.unit}-1")}
    async with world.worker("w1"):
        job = await world.ended()
    row = world.store.run_off("job")
    assert row is not None
    assert (row.status, row.attempt) == (TrialStatus.COMPLETED, 2)
    assert job.run_off is not None
    assert not world.backend.orphans


def claimed_by_a_dead_worker(world: World) -> Claim:
    """A run-off whose worker was killed in its midst."""
    specs = tuple(trial.spec for trial in world.trials())
    row = TrialSpec(len(specs), "run-off", specs[0].instance_type, contenders=specs)
    assert world.store.extend_job("job", [row], world.clock.now())
    claim = world.store.claim_trial("w1", lambda trial, busy: Placement((1,), None), world.clock.now(), 1000.0)
    assert claim is not None
    assert claim.trial.spec == row
    return claim
