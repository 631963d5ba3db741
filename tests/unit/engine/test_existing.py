"""Endpoints measured as they serve, by a worker in a world of fakes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from modeldyno.domain.endpoint import EndpointStatus
from modeldyno.domain.job import Candidate, ExistingEndpoint, JobSpec, JobStatus, JobType, LatencyThreshold
from modeldyno.domain.job import StoppingRules as Rules
from modeldyno.domain.recommend import performances, recommend
from modeldyno.domain.traffic import Phase, Traffic
from modeldyno.domain.trial import Flag, TrialStatus
from modeldyno.ports import LoadTarget
from modeldyno.testing.fake_load import FakeServer
from tests.unit.domain.builders import a_spec
from tests.unit.engine.test_hosting import a_variant, add, endpoint, in_service, instance
from tests.unit.engine.world import TYPES, World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World.at(tmp_path) as world:
        yield world


def asking(world: World, count: int = 1, **more: object) -> JobSpec:
    existing = ExistingEndpoint("e", endpoint(world).id, "main", TYPES["one"], count)
    return replace(a_spec(supported_instance_types=("one",)), endpoint=existing, **more)  # type: ignore[arg-type]


async def test_an_endpoint_is_measured_first_without_being_deployed_and_is_no_recommendation(world: World) -> None:
    add(world)
    async with world.worker(hosts=True):
        await in_service(world)
        world.submit(spec=asking(world))
        job = await world.ended()
        assert endpoint(world).status is EndpointStatus.IN_SERVICE
        assert len(world.backend.live) == 1
    assert job.status is JobStatus.COMPLETED
    first, second = world.trials()
    assert (first.spec.existing, first.spec.endpoint_name, second.spec.existing) == (endpoint(world).id, "e", None)
    assert len(world.backend.requests) == 2  # the endpoint's server, and the second trial's
    assert [one.trial.id for one in performances(job, world.trials())] == [first.id]
    assert [row.trial.id for row in recommend(job, world.trials())] == [second.id]
    assert first.result is not None
    assert Flag.LIVE_TRAFFIC in first.result.flags


async def test_every_instance_is_driven_and_their_use_adds_up(world: World) -> None:
    targets: list[LoadTarget] = []

    def seen(target: LoadTarget) -> FakeServer:
        targets.append(target)
        return FakeServer()

    world.server = seen
    add(world, a_variant(count=2))
    async with world.worker(hosts=True):
        await in_service(world)
        world.submit(spec=asking(world, 2))
        await world.ended()
    assert [1 + len(target.also) for target in targets] == [2, 1]
    placement = world.trials()[0].placement
    assert placement is not None
    servers = [server.variant.instance_type.memory_mib or 0 for server in world.store.servers()]
    assert placement.memory_bytes == sum(servers) * 1024**2


async def test_a_missed_ping_ends_the_load_before_the_server_is_taken_out(world: World) -> None:
    traffic = Traffic(phases=(Phase(1, 0, 600),))
    add(world)
    async with world.worker(hosts=True):
        await in_service(world)
        candidates = (Candidate("one", {}),)
        spec = replace(asking(world), job_type=JobType.ADVANCED, traffic=traffic, candidates=candidates, max_tests=2)
        world.submit(spec=spec)
        await world.until(lambda: bool(world.trials()) and len(world.store.windows(world.trials()[0].id)) > 10)
        instance(world).ill = "no answer within 2 s"
        await world.until(lambda: world.trials()[0].status.ended)
        instance(world).ill = None
    (first, *_) = world.trials()
    assert first.status is TrialStatus.COMPLETED
    assert first.result is not None
    assert "did not answer /ping in time" in first.result.stop_reason
    assert Flag.STOPPED_EARLY in first.result.flags
    assert first.result.figures.total_seconds < 600


async def test_no_arrivals_that_do_not_wait_are_sent_to_a_live_endpoint(world: World) -> None:
    add(world)
    async with world.worker(hosts=True):
        await in_service(world)
        world.submit(spec=asking(world, rules=Rules(threshold=LatencyThreshold(95.0, 500))))
        await world.ended()
    first, second = (trial.result for trial in world.trials())
    assert first is not None
    assert second is not None
    assert (first.open_loop, second.open_loop is None) == (None, False)


async def test_an_endpoint_that_an_experiment_took_ends_its_trial_by_name(world: World) -> None:
    add(world)
    async with world.worker(hosts=True):
        await in_service(world)
        world.store.change_endpoint("us-east-1", "e", lambda row: replace(row, experiment="x"))
        world.submit(spec=asking(world))
        job = await world.ended()
    assert job.status is JobStatus.COMPLETED
    assert "belongs to the inference experiment x" in (world.trials()[0].failure_reason or "")


async def test_an_endpoint_that_was_resized_since_ends_its_trial_by_name(world: World) -> None:
    add(world, a_variant(count=2))
    async with world.worker(hosts=True):
        await in_service(world)
        world.submit(spec=asking(world, 1))
        await world.ended()
    assert "was changed after the job had been created" in (world.trials()[0].failure_reason or "")


async def test_an_endpoint_that_is_gone_fails_its_trial_alone(world: World) -> None:
    add(world)
    async with world.worker(hosts=True):
        await in_service(world)
        spec = asking(world)
        world.store.change_endpoint("us-east-1", "e", lambda row: replace(row, status=EndpointStatus.DELETING))
        await world.until(lambda: not world.store.endpoints())
        world.submit(spec=spec)
        job = await world.ended()
    assert (job.status, world.trials()[0].status) == (JobStatus.COMPLETED, TrialStatus.FAILED)
    assert "was deleted" in (world.trials()[0].failure_reason or "")


async def test_a_worker_that_serves_no_endpoints_says_who_does(world: World) -> None:
    add(world)
    world.submit(spec=asking(world))
    async with world.worker():
        await world.ended()
    assert "serves no endpoints" in (world.trials()[0].failure_reason or "")
