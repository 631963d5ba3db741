"""Who answers, and who is mirrored."""

from __future__ import annotations

import math
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as some

from modeldyno.domain.endpoint import EndpointStatus, Rollout, RolloutKind, Size, Update
from modeldyno.domain.rollout import update_to
from modeldyno.domain.routing import Sampler, Turns, route_of
from tests.unit.domain.hosted import World, an_endpoint, fleet_spec, variant


@given(some.integers(0, 100), some.integers(1, 2000))
def test_after_n_requests_the_number_selected_is_within_one_of_its_share(percent: int, count: int) -> None:
    sampler = Sampler()
    sampler.set(float(percent))
    selected = sum(sampler.selects() for _ in range(count))
    assert selected == math.floor(count * percent / 100)


def test_another_percentage_counts_anew_and_the_same_one_goes_on() -> None:
    sampler = Sampler(50.0)
    assert [sampler.selects() for _ in range(3)] == [False, True, False]
    sampler.set(50.0)
    assert sampler.selects()
    sampler.set(0.0)
    assert not any(sampler.selects() for _ in range(1000))


@given(some.lists(some.floats(0.01, 10), min_size=1, max_size=5), some.integers(1, 500))
def test_turns_keep_every_share_to_less_than_one_request(weights: list[float], count: int) -> None:
    shares = [weight / sum(weights) for weight in weights]
    turns = Turns()
    taken = [0] * len(shares)
    for _ in range(count):
        taken[turns.next(shares)] += 1
    assert all(abs(took - share * count) < len(shares) for took, share in zip(taken, shares, strict=True))


def test_turns_of_two_are_spread_evenly() -> None:
    turns = Turns()
    assert "".join(str(turns.next([0.75, 0.25])) for _ in range(8)).count("00001") == 0


def test_a_route_goes_by_weights_and_by_what_serves() -> None:
    world = World(an_endpoint(fleet_spec(variant("a", 2, weight=3), variant("b", weight=1)))).turn()
    route = route_of(world.alive, tuple(world.servers.values()))
    assert [(one.variant, one.share, len(one.servers)) for one in route.choices] == [("a", 0.75, 2), ("b", 0.25, 1)]
    assert route.mirror is None


def test_a_canary_has_its_share_of_the_requests() -> None:
    world = World(an_endpoint()).turn()
    update = Update(world.alive.fleet, Rollout(RolloutKind.CANARY, Size(20, percent=True), bake_seconds=60), world.now)
    world.endpoint = update_to(world.alive, fleet_spec(variant("main", image="acme/b:1")), update, world.now)
    world.turn()
    route = route_of(world.alive, tuple(world.servers.values()))
    assert [round(one.share, 6) for one in route.choices] == [0.8, 0.2]


def test_the_old_fleet_answers_when_the_new_one_is_lost_right_after_it_got_everything() -> None:
    world = World(an_endpoint()).turn()
    update = Update(world.alive.fleet, Rollout(termination_seconds=60), world.now)
    world.endpoint = update_to(world.alive, fleet_spec(variant("main", image="acme/b:1")), update, world.now)
    world.turn()
    assert [choice.fleet for choice in route_of(world.alive, tuple(world.servers.values())).choices] == [2]
    world.fail(2)
    (choice,) = route_of(world.alive, tuple(world.servers.values())).choices
    assert (choice.fleet, choice.share, len(choice.servers)) == (1, 1.0, 1)


def test_the_shadow_mirrors_the_share_that_its_weight_is_of_productions() -> None:
    spec = fleet_spec(variant("main", weight=2), shadows=(variant("shadow", weight=0.5),))
    world = World(an_endpoint(spec)).turn()
    mirror = route_of(world.alive, tuple(world.servers.values())).mirror
    assert mirror is not None
    assert (mirror.variant, mirror.percent, len(mirror.servers)) == ("shadow", 25.0, 1)


def test_a_shadow_that_is_coming_up_mirrors_nothing_and_a_lost_one_still_counts() -> None:
    spec = fleet_spec(variant(), shadows=(variant("shadow"),))
    coming = World(an_endpoint(spec)).turn(ready=False)
    assert route_of(coming.alive, tuple(coming.servers.values())).mirror is None
    lost = coming.come_up().turn()
    assert lost.alive.status is EndpointStatus.IN_SERVICE
    servers = tuple(replace(one, url=None) if one.shadow else one for one in lost.servers.values())
    mirror = route_of(lost.alive, servers).mirror
    assert mirror is not None
    assert mirror.servers == ()
