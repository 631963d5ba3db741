"""Variants scaled by a worker in a world of fakes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from modeldyno.domain.endpoint import Endpoint, EndpointStatus, FleetSpec, Server, VariantSpec
from modeldyno.domain.host import Cgroup, Host
from modeldyno.domain.metric import PER_INSTANCE, Minute, Values, minute_of
from modeldyno.domain.model import ModelSource
from modeldyno.domain.target_tracking import Policy, ScalableTarget
from modeldyno.engine.scaling import room_for
from tests.unit.domain.hosted import an_endpoint, variant
from tests.unit.engine.world import TYPES, World

REGION = "us-east-1"
POLICY = Policy("p", "arn", PER_INSTANCE.namespace, PER_INSTANCE.name, "Sum", 100.0, 60, 60, True, 0.0)
TARGET = ScalableTarget(REGION, "e", "main", "arn", 1, 3, "role", 0.0, (POLICY,))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World.at(tmp_path) as world:
        yield world


def a_variant(count: int = 1, kind: str = "one", name: str = "main") -> VariantSpec:
    source = ModelSource("acme/server:1", "s3://bucket/model.tar.gz", {"BEHAVIOUR": "healthy"})
    return VariantSpec(name, source, TYPES[kind], count, startup_seconds=20.0)


def add(world: World, count: int, target: ScalableTarget = TARGET, **more: object) -> None:
    """An endpoint that has been there for an hour, with a target."""
    long_ago = world.clock.now() - 3600
    row = replace(an_endpoint(FleetSpec("c", (a_variant(count),))), created_at=long_ago, modified_at=long_ago, **more)  # type: ignore[arg-type]
    world.store.add_endpoint(replace(row, status=EndpointStatus.IN_SERVICE))
    world.store.change_scaling(REGION, "e", "main", lambda before: target)


def told(world: World, per_minute: float, minutes: int = 20) -> None:
    """So many invocations of each instance in each of the last minutes, this one too."""
    values = Values()
    values.add(round(per_minute * PER_INSTANCE.steps))
    now = minute_of(world.clock.now())
    rows = [Minute(REGION, "e", "main", now - 60 * back, "s", {PER_INSTANCE.name: values}) for back in range(minutes)]
    world.store.put_minutes(rows)


def endpoint(world: World) -> Endpoint:
    return world.store.endpoint(REGION, "e")


def stands(world: World, count: int) -> bool:
    row = endpoint(world)
    return row.status is EndpointStatus.IN_SERVICE and row.fleet.spec.variants[0].count == count


async def test_a_variant_under_load_gets_more_instances(world: World) -> None:
    add(world, 1)
    told(world, 250.0)
    async with world.worker(hosts=True):
        await world.until(lambda: stands(world, 3))
        assert sum(server.serves for server in world.store.servers()) == 3
    (target,) = world.store.scalable_targets()
    assert target.out_at > 0
    assert target.in_at == 0
    said = [event.message for event in world.store.story(endpoint(world).arn)]
    reason = "InvocationsPerInstance was above 100 for 3 minutes, 250 in the last (policy p)"
    assert f"main is scaled out from 1 to 3: {reason}." in said


async def test_a_variant_at_rest_gives_instances_back(world: World) -> None:
    add(world, 3)
    told(world, 20.0)
    async with world.worker(hosts=True):
        await world.until(lambda: stands(world, 1))
    (target,) = world.store.scalable_targets()
    assert target.in_at > 0


async def test_after_a_change_only_a_minute_after_it_decides(world: World) -> None:
    add(world, 1, replace(TARGET, most=2))
    told(world, 250.0)
    async with world.worker(hosts=True):
        await world.until(lambda: stands(world, 2))
        changed_at = endpoint(world).modified_at
        world.store.change_scaling(REGION, "e", "main", lambda row: row and replace(row, most=3))
        await world.until(lambda: world.clock.now() > changed_at + 150)  # long past the cooldown, without new minutes
        assert stands(world, 2)
        told(world, 250.0, minutes=10)
        await world.until(lambda: stands(world, 3))


async def test_a_target_goes_with_its_endpoint(world: World) -> None:
    world.store.change_scaling(REGION, "e", "main", lambda before: TARGET)
    async with world.worker(hosts=True):
        await world.until(lambda: world.store.scalable_targets() == ())


async def test_an_experiment_scales_by_itself(world: World) -> None:
    add(world, 1, experiment="x", experiment_id="id-x")
    told(world, 250.0)
    began = world.clock.now()
    async with world.worker(hosts=True):
        await world.until(lambda: world.clock.now() > began + 60)
        assert endpoint(world).fleet.spec.variants[0].count == 1


def test_room_is_what_others_leave() -> None:
    host = Host("h", tuple(range(8)), 8192, "x86_64", Cgroup.V1, root=True)
    mine, other = variant("main"), variant("other")  # one vCPU and 512 MiB each
    row = an_endpoint(FleetSpec("c", (mine,)))
    servers = [Server(f"m{number}", row.id, REGION, "e", 1, mine, number) for number in range(3)]
    assert room_for(mine, row, servers, host) == 8
    others = [Server(f"o{number}", "another", REGION, "o", 1, other, number) for number in range(2)]
    assert room_for(mine, row, [*servers, *others], host) == 6
    assert room_for(mine, row, [*servers, replace(others[0], wanted=False), others[1]], host) == 7
    assert room_for(mine, row, servers, replace(host, memory_mib=2048)) == 4
    half = replace(mine, instance_type=replace(mine.instance_type, vcpus=0.5))
    assert room_for(half, row, others, host) == 12
    crowd = [Server(f"c{number}", "another", REGION, "o", 1, other, number) for number in range(9)]
    assert room_for(mine, row, crowd, host) == 0
