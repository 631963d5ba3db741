"""Serverless by a worker in a world of fakes: servers come and go with demand, and trials have one for each user."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from modeldyno.domain.catalog import InstanceType
from modeldyno.domain.endpoint import EndpointStatus, FleetSpec, Server, VariantSpec
from modeldyno.domain.host import Cgroup, Host
from modeldyno.domain.job import JobStatus
from modeldyno.domain.model import ModelSource
from modeldyno.domain.serverless import Serverless, demand_key
from modeldyno.domain.trial import TrialSpec, TrialStatus
from modeldyno.engine.group import place_type
from tests.unit.domain.builders import a_spec
from tests.unit.domain.hosted import an_endpoint
from tests.unit.engine.world import World

SMALL = InstanceType("serverless 1024 MB", 0.5, 1024)
HOST = Host("h", (0, 1, 2, 3), 4096, "x86_64", Cgroup.V2, root=True)
NEVER = 1e6


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World.at(tmp_path, host=HOST) as world:
        yield world


def add(world: World, most: int = 10, provisioned: int = 0) -> None:
    source = ModelSource("acme/server:1", "s3://bucket/model.tar.gz", {})
    variant = VariantSpec("main", source, SMALL, startup_seconds=20.0, serverless=Serverless(1024, most, provisioned))
    now = world.clock.now()
    world.store.add_endpoint(replace(an_endpoint(FleetSpec("c", (variant,))), created_at=now, modified_at=now))


def need(world: World, servers: int) -> None:
    """What a front tells when so many requests are there at once."""
    demand = {demand_key("e1", "main"): servers}
    expires_at = world.clock.now() + NEVER
    world.store.tell_front("f", world.store.routes_version() + 1000, (), expires_at, demand)


def serving(world: World) -> list[Server]:
    return [server for server in world.store.servers() if server.serves]


async def scaled_to_zero(world: World) -> None:
    await world.until(
        lambda: world.store.endpoint("us-east-1", "e").status is EndpointStatus.IN_SERVICE and not world.store.servers()
    )


async def test_servers_come_and_go_with_what_is_needed(world: World) -> None:
    add(world)
    async with world.worker(hosts=True):
        await scaled_to_zero(world)
        assert len(world.backend.requests) == 1  # the one that showed that the model starts
        need(world, 2)
        await world.until(lambda: len(serving(world)) == 2)
        assert all(server.setup_seconds is not None for server in serving(world))
        need(world, 1)
        await world.until(lambda: len(world.store.servers()) == 1 and len(serving(world)) == 1)
        need(world, 0)
        await world.until(lambda: not world.store.servers() and not world.backend.live)


async def test_the_model_is_fetched_anew_for_a_cold_start(world: World) -> None:
    add(world)
    async with world.worker(hosts=True):
        await scaled_to_zero(world)
        await world.until(lambda: not any((world.root / "hosted").iterdir()))
        need(world, 1)
        await world.until(lambda: len(serving(world)) == 1)
        assert (world.backend.requests[-1].model_dir or Path()).joinpath("model.bin").is_file()


async def test_no_more_servers_are_started_than_the_hosts_memory_holds(world: World) -> None:
    add(world)
    async with world.worker(hosts=True):
        await scaled_to_zero(world)
        need(world, 9)
        await world.until(lambda: len(serving(world)) == 4)
        await world.until(lambda: any("the host's memory holds 4" in one.message for one in told(world)))
        assert len(world.store.servers()) == 4


def told(world: World) -> tuple[object, ...]:
    return world.store.story(world.store.endpoint("us-east-1", "e").arn)


async def test_a_trial_has_a_server_for_each_invocation_at_once(world: World) -> None:
    world.submit(spec=a_spec(serverless=True))
    job = world.job()
    spec = TrialSpec(0, "sm-epc", SMALL, serverless=Serverless(1024, 3))
    assert world.store.plan_job(job.id, [spec], (), world.clock.now())
    async with world.worker():
        await world.until(lambda: world.job().status.ended)
    assert world.job().status is JobStatus.COMPLETED
    (trial,) = world.trials()
    assert trial.status is TrialStatus.COMPLETED
    assert trial.result is not None
    assert trial.result.setup_seconds is not None
    assert trial.result.setup_seconds >= 0.25  # what the fake takes to start
    cores = [request.placement.cores for request in world.backend.requests]
    assert sorted(cores) == [(1,), (2,), (3,)]
    assert {request.placement.cpu_quota for request in world.backend.requests} == {0.5}
    assert {request.placement.memory_bytes for request in world.backend.requests} == {1024**3}
    assert len({str(request.tag) for request in world.backend.requests}) == 3
    assert len({request.log_path for request in world.backend.requests}) == 3


async def test_a_trial_that_begins_leaves_the_servers_of_another_alone(world: World) -> None:
    kept: list[Collection[str]] = []
    remove = world.backend.remove_orphans

    def watched(installation: str, worker: str, keep: Collection[str] = ()) -> int:
        kept.append(keep)
        return remove(installation, worker, keep)

    world.backend.remove_orphans = watched  # type: ignore[method-assign]
    world.submit(spec=a_spec(serverless=True, max_parallel=2))
    two = Serverless(1024, 2)
    specs = [TrialSpec(0, "sm-epc-0", SMALL, serverless=two), TrialSpec(1, "sm-epc-1", SMALL)]
    assert world.store.plan_job(world.job().id, specs, (), world.clock.now())
    async with world.worker():
        await world.until(lambda: world.job().status.ended)
    first = {str(request.tag) for request in world.backend.requests if request.spec.index == 0}
    assert len(first) == 2
    assert any(first <= set(keep) for keep in kept)


def test_a_trial_takes_whole_cores_for_each_of_its_servers() -> None:
    taken = place_type(TrialSpec(0, "e", SMALL, serverless=Serverless(1024, 3)))
    assert (taken.name, taken.vcpus, taken.memory_mib) == ("serverless 1024 MB x 3", 3, 3072)
    assert place_type(TrialSpec(0, "e", SMALL, serverless=Serverless(1024, 1))) == SMALL
