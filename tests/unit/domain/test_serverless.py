"""How many servers a serverless variant has, and what one is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as some

from modeldyno.domain.catalog import PriceBasis
from modeldyno.domain.endpoint import EndpointStatus, Rollout, ServerStatus, Update, VariantSpec
from modeldyno.domain.rollout import Step, step, update_to
from modeldyno.domain.routing import route_of
from modeldyno.domain.serverless import Demand, Serverless, serverless_types
from tests.unit.domain.hosted import World, an_endpoint, fleet_spec, variant


def a_serverless(most: int = 3, provisioned: int = 0, image: str = "acme/a:1") -> VariantSpec:
    return replace(variant(image=image), serverless=Serverless(1024, most, provisioned))


def in_service(spec: VariantSpec) -> World:
    return World(an_endpoint(fleet_spec(spec))).turn()


def asked(world: World, demand: int) -> Step:
    """The step when so many servers are needed."""
    return step(world.alive, tuple(world.servers.values()), world.now, {"main": demand})


def test_one_server_shows_that_the_model_starts_and_then_none_is_left() -> None:
    world = World(an_endpoint(fleet_spec(a_serverless()))).turn(ready=False)
    assert len(world.servers) == 1
    assert world.alive.status is EndpointStatus.CREATING
    world.come_up().turn()
    assert world.alive.status is EndpointStatus.IN_SERVICE
    assert world.servers == {}


def test_a_model_that_does_not_start_fails_the_endpoint() -> None:
    world = World(an_endpoint(fleet_spec(a_serverless()))).turn(ready=False).fail(1).turn()
    assert world.alive.status is EndpointStatus.FAILED


@pytest.mark.parametrize(("demand", "provisioned", "servers"), [(0, 0, 0), (2, 0, 2), (9, 0, 3), (0, 2, 2), (3, 2, 3)])
def test_there_are_as_many_as_are_needed_and_no_more_than_the_concurrency(
    demand: int, provisioned: int, servers: int
) -> None:
    world = in_service(a_serverless(3, provisioned))
    assert len(world.servers) + len(asked(world, demand).add) == servers


def test_one_that_ends_at_its_start_later_is_tried_again() -> None:
    (server,) = asked(in_service(a_serverless()), 1).add
    assert server.was_ready


def test_servers_that_are_not_needed_any_more_go_and_those_that_serve_stay() -> None:
    world = in_service(a_serverless())
    world._carry_out(asked(world, 2), ready=True)
    first, second = world.servers.values()
    world.servers[first.id] = replace(first, status=ServerStatus.UNHEALTHY)
    assert asked(world, 1).unwant == (first.id,)
    assert set(asked(world, 0).unwant) == {first.id, second.id}


def test_an_update_proves_the_new_fleet_before_it_gets_requests() -> None:
    world = in_service(a_serverless())
    new = fleet_spec(a_serverless(image="acme/b:1"), config="next")
    world.endpoint = update_to(world.alive, new, Update(world.alive.fleet, Rollout(), world.now), world.now)
    world.turn(ready=False)
    assert [server.fleet for server in world.servers.values()] == [2]
    assert [choice.fleet for choice in route_of(world.alive, ()).choices] == [1]
    world.come_up().turn()
    assert world.alive.status is EndpointStatus.IN_SERVICE
    assert world.alive.fleet.number == 2


def test_requests_may_come_while_nothing_runs_but_not_before_it_is_in_service() -> None:
    world = World(an_endpoint(fleet_spec(a_serverless()))).turn(ready=False)
    servers = [replace(one, status=ServerStatus.READY, url="http://127.0.0.1:1") for one in world.servers.values()]
    (choice,) = route_of(world.alive, servers).choices
    assert (choice.concurrency, choice.servers) == (0, ())
    (choice,) = route_of(in_service(a_serverless()).alive, ()).choices
    assert choice.concurrency == 3
    assert choice.servers == ()


@given(
    some.lists(some.tuples(some.sampled_from(["need", "ready", "fail", "gone"]), some.integers(0, 6)), max_size=30),
    some.integers(0, 3),
)
def test_whatever_happens_servers_end_up_as_many_as_are_needed(
    happens: list[tuple[str, int]], provisioned: int
) -> None:
    world = in_service(a_serverless(4, provisioned))
    demand = 0
    for what, number in happens:
        names = sorted(world.servers)
        if what == "need":
            demand = number
        elif what == "gone":
            world.servers = {name: one for name, one in world.servers.items() if one.wanted}
        elif names:
            name = names[number % len(names)]
            status, url = (
                (ServerStatus.READY, "http://127.0.0.1:1") if what == "ready" else (ServerStatus.UNHEALTHY, None)
            )
            world.servers[name] = replace(world.servers[name], status=status, url=url)
        made = asked(world, demand)
        world._carry_out(made, ready=False)
        wanted = [one for one in world.servers.values() if one.wanted]
        assert len(wanted) == min(4, max(provisioned, demand))
        assert len({one.id for one in wanted}) == len(wanted)
        assert world.alive.status is EndpointStatus.IN_SERVICE


def test_demand_is_the_most_at_once_of_late() -> None:
    demand = Demand(idle_seconds=10)
    assert demand.servers(0.0) == 0
    demand.see(3, 0.0)
    demand.see(1, 5.0)
    assert demand.servers(9.0) == 3
    assert demand.servers(10.0) == 1
    demand.see(2, 14.0)
    assert demand.servers(20.0) == 2
    assert demand.servers(24.0) == 0


def test_vcpus_are_in_proportion_to_memory_and_only_what_has_a_price_costs() -> None:
    types = serverless_types(2048, {1024: 0.00002})
    assert list(types) == [f"serverless {size} MB" for size in (1024, 2048, 3072, 4096, 5120, 6144)]
    small, large = types["serverless 1024 MB"], types["serverless 6144 MB"]
    assert (small.vcpus, small.memory_mib, small.price_basis) == (0.5, 1024, PriceBasis.CONFIGURED)
    assert (large.vcpus, large.priced) == (3.0, False)
