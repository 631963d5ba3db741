"""Endpoints by a worker in a world of fakes: what is started, watched, replaced, adopted and drained."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from modeldyno.domain.endpoint import (
    Endpoint,
    EndpointStatus,
    Fleet,
    FleetSpec,
    Rollout,
    Server,
    ServerStatus,
    Update,
    VariantSpec,
)
from modeldyno.domain.experiment import ExperimentStatus
from modeldyno.domain.metric import Minute, minute_of, values_of
from modeldyno.domain.model import ModelSource
from modeldyno.domain.rollout import update_to
from modeldyno.ports import DeployRequest, Instance
from modeldyno.testing.fake_instances import FakeInstance
from tests.unit.domain.hosted import an_endpoint, an_experiment
from tests.unit.engine.world import TYPES, World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World.at(tmp_path) as world:
        yield world


def a_variant(name: str = "main", count: int = 1, behaviour: str = "healthy", kind: str = "one") -> VariantSpec:
    source = ModelSource("acme/server:1", "s3://bucket/model.tar.gz", {"BEHAVIOUR": behaviour})
    return VariantSpec(name, source, TYPES[kind], count, startup_seconds=20.0)


def add(world: World, *variants: VariantSpec, **more: object) -> None:
    spec = FleetSpec("c", variants or (a_variant(),))
    now = world.clock.now()
    row = replace(an_endpoint(spec), created_at=now, modified_at=now)
    world.store.add_endpoint(replace(row, **more))  # type: ignore[arg-type]


def endpoint(world: World) -> Endpoint:
    return world.store.endpoint("us-east-1", "e")


def serving(world: World) -> list[Server]:
    return [server for server in world.store.servers() if server.serves]


async def in_service(world: World) -> None:
    await world.until(lambda: endpoint(world).status is EndpointStatus.IN_SERVICE)


def instance(world: World, unit: str = "main-0") -> FakeInstance:
    return next(one for tag, one in world.backend.live.items() if tag.split("/")[-2].endswith(unit))


async def test_an_endpoint_comes_into_service_with_its_models_files(world: World) -> None:
    add(world, a_variant(count=2))
    async with world.worker(hosts=True):
        await in_service(world)
        assert len(serving(world)) == 2
        assert {request.lasting for request in world.backend.requests} == {True}
        assert all((request.model_dir or Path()).joinpath("model.bin").is_file() for request in world.backend.requests)
        for request in world.backend.requests:
            await request.on_progress("Building the environment.")
    story = [event.message for event in world.store.story(endpoint(world).arn)]
    assert {"main/0: Building the environment.", "main/1: Building the environment."} <= set(story)
    assert world.backend.live == {}
    assert [server.worker_id for server in world.store.servers()] == [None, None]


async def test_a_worker_that_does_not_host_leaves_endpoints_alone(world: World) -> None:
    add(world)
    async with world.worker():
        await asyncio.sleep(0.1)
    assert world.store.servers() == ()


async def test_a_server_that_cannot_start_fails_the_endpoint_and_tells_the_story(world: World) -> None:
    add(world, a_variant(behaviour="exits"))
    async with world.worker(hosts=True):
        await world.until(lambda: endpoint(world).status is EndpointStatus.FAILED)
        await world.until(lambda: world.store.servers() == ())
    story = [event.message for event in world.store.story(endpoint(world).arn)]
    assert any("exited with status 3" in message for message in story)


async def test_a_type_that_the_host_cannot_be_fails_by_name(world: World) -> None:
    add(world, a_variant(kind="huge"))
    async with world.worker(hosts=True):
        await world.until(lambda: endpoint(world).status is EndpointStatus.FAILED)
    assert "This host cannot be huge" in (endpoint(world).failure_reason or "")


async def test_a_server_that_ends_is_replaced_at_once(world: World) -> None:
    add(world)
    async with world.worker(hosts=True):
        await in_service(world)
        instance(world).die("killed by SIGKILL")
        await world.until(lambda: len(world.backend.requests) == 2 and len(serving(world)) == 1)
        assert serving(world)[0].attempt == 2
        assert endpoint(world).status is EndpointStatus.IN_SERVICE


async def test_a_server_that_does_not_answer_is_taken_out_and_comes_back(world: World) -> None:
    add(world)
    async with world.worker(hosts=True):
        await in_service(world)
        instance(world).ill = "no answer within 2 s"
        await world.until(lambda: serving(world) == [])
        instance(world).ill = None
        await world.until(lambda: len(serving(world)) == 1)
        assert serving(world)[0].attempt == 1
        assert len(world.backend.requests) == 1


async def test_a_server_that_stays_silent_is_replaced(world: World) -> None:
    add(world)
    async with world.worker(hosts=True):
        await in_service(world)
        instance(world).ill = "no answer within 2 s"
        await world.until(lambda: len(world.backend.requests) == 2)


async def test_servers_that_outlived_their_worker_are_adopted(world: World) -> None:
    add(world)
    async with world.worker(hosts=True) as task:
        await in_service(world)
        before = serving(world)[0]
        world.backend.crash()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        # a clean end gives the rows back; a kill does not
        world.store.change_server(before.id, before.attempt, lambda row: before)
    async with world.worker(hosts=True):
        await world.until(lambda: bool(world.backend.live))
        assert len(world.backend.requests) == 1
        assert serving(world)[0].attempt == before.attempt
        instance(world).die()
        await world.until(lambda: len(world.backend.requests) == 2)


async def test_what_ended_while_no_worker_watched_is_started_again(world: World) -> None:
    add(world)
    async with world.worker(hosts=True):
        await in_service(world)
        before = serving(world)[0]
    world.store.change_server(before.id, before.attempt, lambda row: before)
    async with world.worker(hosts=True):
        await world.until(lambda: len(world.backend.requests) == 2 and len(serving(world)) == 1)
    assert [tag.unit for tag in world.backend.discarded] == [before.id]  # its children may live


async def test_servers_are_ended_beside_each_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    deploy = world.backend.deploy
    ending = 0
    all_end = asyncio.Event()

    @contextlib.asynccontextmanager
    async def ends_when_all_do(request: DeployRequest) -> AsyncIterator[Instance]:
        nonlocal ending
        async with deploy(request) as instance:
            try:
                yield instance
            finally:
                ending += 1
                if ending == 4:
                    all_end.set()
                await all_end.wait()

    monkeypatch.setattr(world.backend, "deploy", ends_when_all_do)
    add(world, a_variant(count=4))
    async with world.worker(hosts=True):
        await in_service(world)
        world.store.change_endpoint("us-east-1", "e", lambda row: replace(row, status=EndpointStatus.DELETING))
        await world.until(lambda: world.store.servers() == ())
        assert world.backend.live == {}


async def test_a_server_that_served_once_is_tried_again_on_a_host_that_cannot_hold_it_now(world: World) -> None:
    add(world)
    async with world.worker(hosts=True):
        await in_service(world)
    (row,) = world.store.servers()
    large = replace(row.variant, instance_type=TYPES["huge"])
    world.store.change_server(row.id, row.attempt, lambda one: replace(one, variant=large))
    world.store.change_endpoint("us-east-1", "e", lambda one: replace(one, fleet=Fleet(1, FleetSpec("c", (large,)))))
    async with world.worker(hosts=True):
        await world.until(lambda: "cannot be huge" in (world.store.servers()[0].reason or ""))
        assert world.store.servers()[0].status is ServerStatus.UNHEALTHY


async def test_a_server_is_ended_only_when_no_front_uses_it(world: World) -> None:
    add(world)
    store = world.store
    async with world.worker(hosts=True):
        await in_service(world)
        old = serving(world)[0].id
        store.tell_front("f1", store.routes_version(), (), world.clock.now() + 1e6, {})
        spec = FleetSpec("next", (a_variant("other"),))
        now = world.clock.now()
        store.change_endpoint(
            "us-east-1", "e", lambda row: update_to(row, spec, Update(row.fleet, Rollout(), now), now)
        )
        await world.until(lambda: endpoint(world).fleet.number == 2)
        await asyncio.sleep(0.1)
        assert old in {server.id for server in store.servers()}  # the front has not looked yet
        store.tell_front("f1", store.routes_version(), [old], world.clock.now() + 1e6, {})
        await asyncio.sleep(0.1)
        assert old in {server.id for server in store.servers()}  # it has a request there
        store.tell_front("f1", store.routes_version(), [], world.clock.now() + 1e6, {})
        await world.until(lambda: old not in {server.id for server in store.servers()})
        assert [tag.split("/")[-2] for tag in world.backend.live] == [serving(world)[0].id]


async def test_servers_that_share_cores_say_so_whichever_came_first_and_as_long_as_they_do(world: World) -> None:
    add(world, a_variant(count=6))

    def cores(server: Server) -> set[int]:
        return set(server.placement.cores) if server.placement is not None else set()

    def told() -> set[str]:
        return {one.id for one in serving(world) if "shared with other servers" in one.flags.get("oversubscribed", "")}

    def sharing() -> set[str]:
        here = serving(world)
        return {one.id for one in here if any(cores(one) & cores(other) for other in here if other.id != one.id)}

    async with world.worker(hosts=True):
        await in_service(world)
        await world.until(lambda: told() == sharing() != set())
        spec = FleetSpec("c", (a_variant(count=1),))
        world.store.change_endpoint(
            "us-east-1", "e", lambda row: replace(row, status=EndpointStatus.UPDATING, fleet=Fleet(1, spec))
        )
        await world.until(lambda: len(world.store.servers()) == 1)
        await world.until(lambda: told() == set())


async def test_a_deleted_endpoint_is_gone_with_its_servers(world: World) -> None:
    add(world, a_variant(count=2))
    async with world.worker(hosts=True):
        await in_service(world)
        world.store.change_endpoint("us-east-1", "e", lambda row: replace(row, status=EndpointStatus.DELETING))
        await world.until(lambda: world.store.endpoints() == ())
        assert world.store.servers() == ()
        assert world.backend.live == {}


async def test_an_experiment_takes_its_endpoint_and_gives_it_back(world: World) -> None:
    production, shadow = a_variant("main"), replace(a_variant("shadow"), weight=0.5)
    add(world, production)
    now = world.clock.now()
    fleet = FleetSpec("x-1", (production,), (shadow,))
    world.store.add_experiment(an_experiment(fleet=fleet, starts_at=now, ends_at=now + 200.0))
    async with world.worker(hosts=True):

        def status() -> ExperimentStatus:
            return world.store.experiment("us-east-1", "x").status

        await world.until(lambda: status() is ExperimentStatus.RUNNING)
        assert endpoint(world).experiment == "x"
        assert sorted(server.variant.name for server in serving(world)) == ["main", "shadow"]
        await world.until(lambda: status() is ExperimentStatus.COMPLETED)
        await world.until(lambda: [server.variant.name for server in serving(world)] == ["main"])
        assert endpoint(world).experiment is None
        assert endpoint(world).fleet == Fleet(1, FleetSpec("c", (production,)))
    assert len([request for request in world.backend.requests if request.tag.unit.endswith("main-0")]) == 1


async def test_what_a_server_uses_is_kept_by_the_minute(world: World) -> None:
    add(world, a_variant(count=2))

    def looks() -> int:
        now = minute_of(world.clock.now())
        found = world.store.metric_values("us-east-1", "e", "main", "DiskUtilization", now - 3600, now + 60, 60)
        return sum(values.count for _, values in found)

    async with world.worker(hosts=True):
        await in_service(world)
        await world.until(lambda: looks() >= 14)  # six a minute of each of two: over more than one minute
    names = {one.metric for one in world.store.metric_series("us-east-1")}
    assert names == {"CPUUtilization", "MemoryUtilization", "DiskUtilization"}


async def test_metrics_past_their_retention_are_forgotten(world: World) -> None:
    old, young = minute_of(world.clock.now() - 31 * 86_400), minute_of(world.clock.now() - 29 * 86_400)
    for at in (old, young):
        world.store.put_minutes([Minute("us-east-1", "e", "main", at, "s", {"Invocations": values_of([1])})])
    async with world.worker():
        await world.until(lambda: len(kept_at(world, old)) == 1)
    assert kept_at(world, old) == [young]


def kept_at(world: World, begin: int) -> list[int]:
    found = world.store.metric_values("us-east-1", "e", "main", "Invocations", begin, begin + 10**7, 60)
    return [at for at, _ in found]
