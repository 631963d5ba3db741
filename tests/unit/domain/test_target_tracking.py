"""Target tracking: when a variant gets more instances, and when fewer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from modeldyno.domain.target_tracking import Decision, Policy, ScalableTarget, decide

NOW = 10_000.0
POLICY = Policy("p", "arn", "AWS/SageMaker", "InvocationsPerInstance", "Sum", 100.0, 300, 300, True, 0.0)
TARGET = ScalableTarget("r", "e", "v", "arn", 1, 10, "role", 0.0, (POLICY,))


def seen(*last: float | None, before: float | None = None) -> dict[str, list[float | None]]:
    return {"p": [before] * (15 - len(last)) + list(last)}


def count(target: ScalableTarget, values: dict[str, list[float | None]], current: int = 2, **more: float) -> int | None:
    found = decide(target, values, current, int(more.get("room", 100)), more.get("now", NOW))
    return None if found is None else found.count


def test_three_minutes_above_the_target_scale_out_by_the_last() -> None:
    assert count(TARGET, seen(300.0, 101.0, 151.0)) == 4
    assert count(TARGET, seen(101.0, 101.0, 150.0)) == 3
    assert count(TARGET, seen(101.0, 101.0, 100.1)) == 3


@pytest.mark.parametrize(
    "last", [(100.0, 200.0, 200.0), (200.0, 100.0, 200.0), (200.0, 200.0, 100.0), (None, 200.0, 200.0), (200.0, 200.0)]
)
def test_two_minutes_are_not_enough(last: tuple[float | None, ...]) -> None:
    assert count(TARGET, seen(*last)) is None


def test_fifteen_minutes_below_nine_tenths_scale_in_by_the_greatest() -> None:
    assert count(TARGET, seen(30.0, before=10.0), current=4) == 2
    assert count(TARGET, seen(before=10.0), current=4) == 1
    assert count(TARGET, seen(before=89.9), current=4) is None  # four times 89.9 need four
    assert count(TARGET, seen(before=0.0), current=4) == 1


@pytest.mark.parametrize("one", [90.0, None])
def test_a_minute_that_is_high_or_unknown_keeps_from_scaling_in(one: float | None) -> None:
    values = [10.0] * 15
    for place in range(15):
        held = {"p": [*values[:place], one, *values[place + 1 :]]}
        assert count(TARGET, held, current=4) is None


def test_without_values_nothing_happens() -> None:
    assert count(TARGET, seen()) is None


def test_bounds_hold() -> None:
    assert count(replace(TARGET, most=3), seen(500.0, 500.0, 500.0)) == 3
    assert count(replace(TARGET, most=2), seen(500.0, 500.0, 500.0)) is None
    assert count(replace(TARGET, least=2), seen(before=1.0), current=4) == 2
    assert count(replace(TARGET, least=4), seen(before=1.0), current=4) is None


def test_a_bound_never_turns_a_change_round() -> None:
    assert count(replace(TARGET, most=3), seen(500.0, 500.0, 500.0), current=5) is None
    assert count(replace(TARGET, least=6), seen(before=1.0), current=4) is None


def test_the_host_bounds_what_is_added_and_takes_nothing_away() -> None:
    found = decide(TARGET, seen(500.0, 500.0, 500.0), 2, 3, NOW)
    assert found is not None
    assert found.count == 3
    assert "room for 3 on this host" in found.why
    assert decide(TARGET, seen(500.0, 500.0, 500.0), 2, 1, NOW) is None
    assert count(TARGET, seen(before=1.0), current=4, room=0) == 1


def test_cooldowns_hold_each_direction() -> None:
    out, back = seen(500.0, 500.0, 500.0), seen(before=1.0)
    assert count(replace(TARGET, out_at=NOW - 299), out) is None
    assert count(replace(TARGET, out_at=NOW - 300), out) == 10
    assert count(replace(TARGET, in_at=NOW - 1), out) == 10  # more is never late
    assert count(replace(TARGET, in_at=NOW - 299), back) is None
    assert count(replace(TARGET, out_at=NOW - 299), back) is None
    assert count(replace(TARGET, in_at=NOW - 300, out_at=NOW - 300), back) == 1


def test_what_is_suspended_rests() -> None:
    out, back = seen(500.0, 500.0, 500.0), seen(before=1.0)
    assert count(replace(TARGET, out_suspended=True), out) is None
    assert count(replace(TARGET, in_suspended=True), back) is None
    assert count(replace(TARGET, out_suspended=True), back) == 1


def test_a_policy_may_only_scale_out() -> None:
    only = replace(TARGET, policies=(replace(POLICY, scales_in=False),))
    assert count(only, seen(before=1.0)) is None
    assert count(only, seen(500.0, 500.0, 500.0)) == 10


def test_of_several_policies_the_greatest_number_wins() -> None:
    other = replace(POLICY, name="q", metric="CPUUtilization", target=50.0)
    both = replace(TARGET, policies=(POLICY, other))
    high, higher, low, lower = [150.0] * 15, [200.0] * 15, [30.0] * 15, [5.0] * 15
    assert decide(both, {"p": high, "q": higher}, 2, 100, NOW) == Decision(
        8, "CPUUtilization was above 50 for 3 minutes, 200 in the last (policy q)"
    )
    assert count(both, {"p": high, "q": lower}) == 3  # one is enough to scale out
    assert count(both, {"p": low, "q": [45.0] * 15}, current=4) is None  # to scale in, all must say so
    assert count(both, {"p": low, "q": lower}, current=4) == 2
    outward = replace(TARGET, policies=(POLICY, replace(other, scales_in=False)))
    assert count(outward, {"p": low, "q": [45.0] * 15}, current=4) == 2  # one that never scales in is not asked


def test_a_product_that_is_whole_is_not_rounded_up() -> None:
    third = replace(TARGET, policies=(replace(POLICY, target=0.1),))
    assert count(third, seen(0.3, 0.3, 0.3), current=1) == 3


def test_a_target_of_next_to_nothing_goes_to_the_bound() -> None:
    target = replace(TARGET, policies=(replace(POLICY, target=5e-324),))
    assert count(target, seen(1e300, 1e300, 1e300)) == 10
