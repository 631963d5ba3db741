"""Whatever happens in whatever order: production is served, every change ends, and no server is left over."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from modeldyno.domain.endpoint import EndpointStatus, Rollout, RolloutKind, ServerStatus, Size, Update
from modeldyno.domain.rollout import Step, change_to, step, update_to
from modeldyno.domain.routing import route_of
from tests.unit.domain.hosted import World, an_endpoint, fleet_spec, variant

DAY = 86_400.0
ROLLOUTS = [
    Rollout(),
    Rollout(termination_seconds=30),
    Rollout(RolloutKind.CANARY, Size(30, percent=True), bake_seconds=20),
    Rollout(RolloutKind.LINEAR, Size(40, percent=True), bake_seconds=20, termination_seconds=20),
    Rollout(RolloutKind.ROLLING, Size(1, percent=False), bake_seconds=20),
    Rollout(RolloutKind.ROLLING, Size(50, percent=True), bake_seconds=20),
]
HAPPENS = ["step", "step", "ready", "fail", "die", "remove", "wait", "update", "shadow", "resize"]


class Rows(World):
    """Of which the old fleet is never touched: what dies or fails is the latest fleet."""

    def once(self) -> None:
        made = step(self.alive, tuple(self.servers.values()), self.now)
        if made != Step(self.endpoint):
            self._carry_out(made, ready=False)

    def each(self, change: str, fleet: int, which: int) -> None:
        names = sorted(name for name, server in self.servers.items() if server.fleet == fleet and server.wanted)
        if not names:
            return
        name = names[which % len(names)]
        server = self.servers[name]
        if change == "ready":
            now = replace(server, status=ServerStatus.READY, url="http://127.0.0.1:1", was_ready=True)
        else:
            down = ServerStatus.UNHEALTHY if server.was_ready else ServerStatus.FAILED
            now = replace(server, status=down, url=None, reason="exited with status 1")
        self.servers[name] = now

    def gone(self) -> None:
        self.servers = {name: server for name, server in self.servers.items() if server.wanted}

    def change(self, what: str, which: int) -> None:
        if self.alive.status is not EndpointStatus.IN_SERVICE:
            return
        spec = self.alive.fleet.spec
        count = 1 + which % 4
        if what == "update":
            fresh = fleet_spec(variant("main", count, image=f"acme/{self.now}:1"), config="next")
            rollout = ROLLOUTS[which % len(ROLLOUTS)]
            self.endpoint = update_to(self.alive, fresh, Update(self.alive.fleet, rollout, self.now), self.now)
        elif what == "shadow":
            shadows = () if which % 3 == 0 else (variant("shadow", image=f"acme/s{which % 3}:1"),)
            self.endpoint = change_to(self.alive, replace(spec, shadows=shadows), Rollout(), self.now)
        else:
            sized = replace(spec, variants=(replace(spec.variants[0], count=count),))
            before = spec
            self.endpoint = replace(
                self.alive,
                status=EndpointStatus.UPDATING,
                before=before,
                fleet=replace(self.alive.fleet, spec=sized),
                modified_at=self.now,
            )

    def happens(self, what: str, which: int) -> None:
        latest = max(fleet.number for fleet in self.alive.fleets)
        if what == "step":
            self.once()
        elif what == "remove":
            self.gone()
        elif what == "wait":
            self.now += 11.0
        elif what == "ready":
            self.each("ready", latest - which % 2, which)
        elif what not in ("fail", "die"):
            self.change(what, which)
        elif self.alive.update is not None:  # else it is the one that serves
            self.each(what, latest, which)

    def is_served(self) -> bool:
        route = route_of(self.alive, tuple(self.servers.values()))
        return bool(route.choices) and all(choice.servers for choice in route.choices if choice.share > 0)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(HAPPENS), st.integers(0, 23)), max_size=60))
@example([("update", 4), ("step", 0), ("ready", 0), ("step", 0), ("fail", 0)])
def test_production_is_served_while_a_fleet_of_it_is_healthy_and_every_change_ends(
    happens: list[tuple[str, int]],
) -> None:
    rows = Rows(an_endpoint(fleet_spec(variant("main", 2))))
    rows.turn()
    for name, server in rows.servers.items():
        rows.servers[name] = replace(server, was_ready=True)
    for what, which in happens:
        rows.happens(what, which)
        assert rows.is_served(), (what, which)
    rows.now += 2 * DAY
    for _ in range(10):
        rows.come_up().turn(ready=False)
        rows.gone()
        rows.now += 60
    assert rows.alive.status in (EndpointStatus.IN_SERVICE, EndpointStatus.UPDATE_ROLLBACK_FAILED)
    assert rows.alive.update is None
    wanted = sum(spec.count for spec in rows.alive.fleet.spec.every)
    assert len(rows.servers) == len(rows.serving(rows.alive.fleet.number)) == wanted


def rolling(share_steps: int) -> World:
    world = World(an_endpoint(fleet_spec(variant("main", 2)))).turn()
    rollout = Rollout(RolloutKind.ROLLING, Size(1, percent=False), bake_seconds=5)
    spec = fleet_spec(variant("main", 2, image="acme/b:1"), config="next")
    world.endpoint = update_to(world.alive, spec, Update(world.alive.fleet, rollout, world.now), world.now)
    world.turn()
    for _ in range(share_steps - 1):
        world.now += 6
        world.turn()
    return world


def test_a_rolling_update_goes_back_once_the_old_fleet_is_whole_again() -> None:
    world = rolling(2)
    assert world.alive.update is not None
    assert (world.alive.update.share, world.serving(1)) == (1.0, ["main"])  # the last batch bakes
    name = next(name for name, server in world.servers.items() if server.fleet == 2)
    world.servers[name] = replace(world.servers[name], status=ServerStatus.UNHEALTHY, url=None, reason="died")
    world.turn(ready=False)
    assert world.alive.status is EndpointStatus.ROLLING_BACK
    choices = route_of(world.alive, tuple(world.servers.values())).choices
    assert [len(choice.servers) for choice in choices] == [1]
    assert len([one for one in world.servers.values() if one.fleet == 2]) == 2  # none is added to what is going
    world.come_up().turn()
    assert world.alive.status is EndpointStatus.IN_SERVICE
    assert world.serving() == world.serving(1) == ["main", "main"]


def test_fewer_instances_are_those_that_serve() -> None:
    world = World(an_endpoint(fleet_spec(variant("main", 3)))).turn()
    first = sorted(world.servers)[0]
    world.servers[first] = replace(world.servers[first], status=ServerStatus.UNHEALTHY, url=None, was_ready=True)
    world.endpoint = replace(
        world.alive,
        status=EndpointStatus.UPDATING,
        before=world.alive.fleet.spec,
        fleet=replace(world.alive.fleet, spec=fleet_spec(variant("main", 1))),
        modified_at=world.now,
    )
    world.turn()
    assert world.serving() == ["main"]
    assert first not in world.servers


def test_a_shadow_of_the_same_name_with_another_model_is_another_shadow() -> None:
    with_shadow = fleet_spec(variant("main"), shadows=(variant("shadow", image="acme/b:1"),))
    world = World(an_endpoint(with_shadow)).turn()
    other = fleet_spec(variant("main"), shadows=(variant("shadow", image="acme/c:1"),), config="x")
    world.endpoint = change_to(world.alive, other, Rollout(), world.now)
    mirror = route_of(world.alive, tuple(world.servers.values())).mirror
    assert mirror is None or mirror.servers == ()
    world.turn(ready=False)
    assert world.alive.status is EndpointStatus.UPDATING
    world.come_up().turn()
    assert [one.variant.source.image for one in world.servers.values() if one.shadow] == ["acme/c:1"]


@pytest.mark.parametrize("status", [EndpointStatus.CREATING, EndpointStatus.UPDATING, EndpointStatus.ROLLING_BACK])
def test_an_endpoint_whose_server_never_comes_back_is_not_at_work_for_ever(status: EndpointStatus) -> None:
    world = World(an_endpoint()) if status is EndpointStatus.CREATING else rolling(1)
    world.turn(ready=False)
    if status is EndpointStatus.UPDATING:
        world = World(an_endpoint()).turn()
        shadows = (variant("shadow"),)
        world.endpoint = change_to(world.alive, fleet_spec(shadows=shadows), Rollout(), world.now)
        world.turn(ready=False)
    for name, server in world.servers.items():
        world.servers[name] = replace(server, status=ServerStatus.UNHEALTHY, url=None, was_ready=True, reason="died")
    world.turn(ready=False)
    assert world.alive.status is status
    world.now += DAY
    world.turn(ready=False)
    assert not world.alive.status.in_progress
