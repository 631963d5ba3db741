"""How an endpoint gets where it is to be, step by step."""

from __future__ import annotations

from dataclasses import replace

import pytest

from modeldyno.domain.endpoint import EndpointStatus, Fleet, Rollout, RolloutKind, ServerStatus, Size, Update
from modeldyno.domain.rollout import change_to, update_to
from tests.unit.domain.hosted import World, an_endpoint, fleet_spec, variant


def in_service(*variants: object, shadows: tuple[object, ...] = ()) -> World:
    return World(an_endpoint(fleet_spec(*variants, shadows=shadows))).turn()  # type: ignore[arg-type]


def updating(world: World, rollout: Rollout, **changes: object) -> World:
    spec = fleet_spec(variant("main", **changes), config="next")  # type: ignore[arg-type]
    world.endpoint = update_to(world.alive, spec, Update(world.alive.fleet, rollout, world.now), world.now)
    return world


def test_a_new_endpoint_is_in_service_when_every_instance_is_ready() -> None:
    world = World(an_endpoint(fleet_spec(variant("a", 2), variant("b")))).turn(ready=False)
    assert world.alive.status is EndpointStatus.CREATING
    assert len(world.servers) == 3
    world.come_up().turn()
    assert world.alive.status is EndpointStatus.IN_SERVICE
    assert world.serving() == ["a", "a", "b"]


def test_a_new_endpoint_fails_with_the_reason_of_its_server_and_leaves_none() -> None:
    world = World(an_endpoint()).turn(ready=False).fail(1).turn()
    assert world.alive.status is EndpointStatus.FAILED
    assert world.alive.failure_reason == "The production variant main could not be started: exited with status 1"
    assert world.servers == {}


def test_a_deleted_endpoint_is_gone_when_its_servers_are() -> None:
    world = in_service()
    world.endpoint = replace(world.alive, status=EndpointStatus.DELETING)
    world.turn(ready=False)
    assert world.endpoint is not None
    world.come_up().turn()
    assert world.endpoint is None


def test_an_update_serves_from_the_old_fleet_until_the_new_one_is_whole() -> None:
    world = updating(in_service(), Rollout(), image="acme/b:1").turn(ready=False)
    assert world.alive.status is EndpointStatus.UPDATING
    assert world.alive.update is not None
    assert world.alive.update.share == 0.0
    assert world.serving(1) == ["main"]
    world.come_up().turn()
    assert world.alive.status is EndpointStatus.IN_SERVICE
    assert world.alive.fleet.number == 2
    assert {server.fleet for server in world.servers.values()} == {2}


def test_a_new_fleet_that_fails_is_taken_back_and_production_goes_on() -> None:
    world = updating(in_service(), Rollout(), image="acme/broken:1").turn(ready=False).fail(2).turn()
    assert world.alive.status is EndpointStatus.IN_SERVICE
    assert world.alive.fleet.number == 1
    assert "could not be started" in (world.alive.failure_reason or "")
    assert {server.fleet for server in world.servers.values()} == {1}


def test_a_canary_takes_its_part_bakes_and_then_all() -> None:
    rollout = Rollout(RolloutKind.CANARY, Size(30, percent=True), bake_seconds=60)
    world = updating(in_service(), rollout).turn()
    assert world.alive.update is not None
    assert world.alive.update.share == pytest.approx(0.3)
    world.now += 59
    assert world.turn().alive.update.share == pytest.approx(0.3)  # type: ignore[union-attr]
    world.now += 2
    assert world.turn().alive.update.share == 1.0  # type: ignore[union-attr]
    world.now += 61
    assert world.turn().alive.status is EndpointStatus.IN_SERVICE


def test_a_linear_update_goes_in_steps() -> None:
    world = updating(in_service(), Rollout(RolloutKind.LINEAR, Size(40, percent=True), bake_seconds=10)).turn()
    shares = []
    while world.alive.update is not None:
        shares.append(world.alive.update.share)
        world.now += 11
        world.turn()
    assert shares == pytest.approx([0.4, 0.8, 1.0])


def test_a_server_of_the_new_fleet_that_is_lost_while_it_bakes_moves_all_traffic_back() -> None:
    world = updating(in_service(), Rollout(RolloutKind.CANARY, Size(50, percent=True), bake_seconds=60)).turn()
    for name, server in world.servers.items():
        if server.fleet == 2:
            world.servers[name] = replace(server, status=ServerStatus.UNHEALTHY, reason="killed by SIGKILL")
    world.turn()
    assert world.alive.status is EndpointStatus.IN_SERVICE
    assert world.alive.fleet.number == 1
    assert "killed by SIGKILL" in (world.alive.failure_reason or "")


def test_the_old_fleet_is_kept_for_the_termination_wait() -> None:
    world = updating(in_service(), Rollout(termination_seconds=30)).turn()
    assert world.serving(1) == ["main"]
    assert world.alive.update is not None
    world.now += 31
    world.turn()
    assert world.serving(1) == []
    assert world.alive.status is EndpointStatus.IN_SERVICE


def test_an_update_that_takes_too_long_is_rolled_back() -> None:
    world = updating(in_service(), Rollout(limit_seconds=600)).turn(ready=False)
    world.now += 601
    world.turn()
    assert world.alive.status is EndpointStatus.IN_SERVICE
    assert world.alive.fleet.number == 1
    assert "600 seconds" in (world.alive.failure_reason or "")


def test_a_rolling_update_never_has_more_than_a_batch_too_many() -> None:
    world = in_service(variant("main", 4))
    rollout = Rollout(RolloutKind.ROLLING, Size(1, percent=False), bake_seconds=5)
    spec = fleet_spec(variant("main", 4, image="acme/b:1"), config="next")
    world.endpoint = update_to(world.alive, spec, Update(world.alive.fleet, rollout, world.now), world.now)
    most, least = 0, 99
    while world.turn().alive.update is not None:
        most, least = max(most, len(world.servers)), min(least, len(world.serving()))
        world.now += 6
    assert most <= 5
    assert least >= 4
    assert len(world.serving(2)) == 4
    assert world.serving(1) == []


def test_a_rolling_update_keeps_what_a_batch_replaces_until_the_batch_has_baked() -> None:
    world = in_service(variant("main", 4))
    rollout = Rollout(RolloutKind.ROLLING, Size(2, percent=False), bake_seconds=5)
    spec = fleet_spec(variant("main", 4, image="acme/b:1"), config="next")
    world.endpoint = update_to(world.alive, spec, Update(world.alive.fleet, rollout, world.now), world.now)
    seen = []
    while world.turn().alive.update is not None:
        seen.append((len(world.serving(1)), len(world.serving(2))))
        world.now += 3
    assert seen == [(4, 2), (4, 2), (2, 4), (2, 4)]


def test_more_instances_are_added_and_fewer_are_taken_away_without_a_new_fleet() -> None:
    world = in_service(variant("main", 2))
    for count in (4, 1):
        spec = fleet_spec(variant("main", count))
        world.endpoint = replace(
            world.alive, status=EndpointStatus.UPDATING, before=world.alive.fleet.spec, fleet=Fleet(1, spec)
        )
        world.turn()
        assert world.alive.status is EndpointStatus.IN_SERVICE
        assert len(world.serving(1)) == count


def test_weights_are_in_effect_once_the_instances_are() -> None:
    world = in_service(variant("a"), variant("b"))
    world.endpoint = replace(
        world.alive, status=EndpointStatus.UPDATING, before=world.alive.fleet.spec, weights={"b": 3.0}
    )
    world.turn()
    assert [one.weight for one in world.alive.fleet.spec.variants] == [1.0, 3.0]
    assert world.alive.weights == {}


def test_a_shadow_is_added_and_removed_beside_servers_that_go_on() -> None:
    world = in_service()
    before = set(world.servers)
    with_shadow = fleet_spec(variant("main"), shadows=(variant("shadow", image="acme/b:1"),), config="x")
    world.endpoint = change_to(world.alive, with_shadow, Rollout(), world.now)
    world.turn()
    assert world.serving() == ["main", "shadow"]
    assert before < set(world.servers)
    world.endpoint = change_to(world.alive, fleet_spec(config="back"), Rollout(), world.now)
    world.turn()
    assert set(world.servers) == before
    assert world.alive.status is EndpointStatus.IN_SERVICE


def test_a_shadow_that_cannot_start_leaves_production_as_it_was() -> None:
    world = in_service()
    with_shadow = fleet_spec(variant("main"), shadows=(variant("shadow", image="acme/broken:1"),), config="x")
    world.endpoint = change_to(world.alive, with_shadow, Rollout(), world.now)
    world.turn(ready=False)
    for name, server in world.servers.items():
        if server.shadow:
            world.servers[name] = replace(server, status=ServerStatus.FAILED, reason="exited with status 1")
    world.turn()
    assert world.alive.status is EndpointStatus.IN_SERVICE
    assert world.alive.fleet.spec == fleet_spec()
    assert "shadow variant shadow" in (world.alive.failure_reason or "")
    assert world.serving() == ["main"]
