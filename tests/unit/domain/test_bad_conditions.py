"""What a search makes of servers that misbehave: it is right, or wider, or says so. Never a confident wrong figure."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from modeldyno.domain.job import StoppingRules
from modeldyno.domain.quality import flags_of
from modeldyno.domain.saturation import SaturationSearch
from modeldyno.domain.statistics import Interval, relative_half_width, throughput_interval
from modeldyno.domain.stopping import Measured
from modeldyno.domain.trial import Flag
from modeldyno.testing.simulation import (
    ClosedLoop,
    Service,
    cold_until,
    disturbed,
    exponential,
    fixed,
    leaking,
    mixed,
    pausing,
    throttling,
    warming_up,
)

SEEDS = range(20)
STEADY = fixed(0.02)


@dataclass(frozen=True)
class Outcome:
    """What a user sees, and the truth of the same invocations."""

    measured: Measured
    interval: Interval
    flags: dict[Flag, str]
    truth: float
    load_seconds: float

    def near(self, per_second: float, share: float = 0.03) -> bool:
        """Whether a value is in the interval, or nearly."""
        return self.interval.low * (1 - share) <= per_second <= self.interval.high * (1 + share)


def outcome(service: Service, seed: int, *, workers: int = 2, fail_share: float = 0.0) -> Outcome:
    loop = ClosedLoop(workers, service, seed, fail_share=fail_share)
    measured = loop.drive(SaturationSearch(StoppingRules()))
    interval = throughput_interval(measured.windows)
    assert interval is not None
    width = relative_half_width(measured.windows)
    flags = flags_of(measured.windows, relative_half_width=width, foreign_share=None, stopped=False, load=loop.windows)
    return Outcome(measured, interval, flags, loop.truth_per_second(measured.windows), loop.now)


@pytest.mark.parametrize("spread", [0.02, 0.1])
def test_a_server_in_good_order_has_no_flag_and_is_known_soon(spread: float) -> None:
    seen = [outcome(fixed(0.02, spread), seed) for seed in SEEDS]
    assert [one.flags for one in seen] == [{}] * len(seen)
    assert sorted(one.load_seconds for one in seen)[10] <= 8


def test_exponential_service_is_not_called_uneven_or_slowed() -> None:
    told = [set(outcome(exponential(0.02), seed).flags) for seed in range(10)]
    assert not any(flags & {Flag.UNEVEN, Flag.SLOWED, Flag.TREND} for flags in told)


@pytest.mark.parametrize("growth", [3e-4, 1e-3, 1e-2])
def test_a_leak_that_slows_it_down_is_told_and_the_figure_is_of_its_own_time(growth: float) -> None:
    for seed in SEEDS:
        seen = outcome(leaking(STEADY, growth), seed)
        assert seen.flags.keys() & {Flag.SLOWED, Flag.TREND}, seed
        assert seen.interval.value == pytest.approx(seen.truth, rel=0.04)


@pytest.mark.parametrize("factor", [2.0, 5.0])
def test_throttling_under_load_is_told_and_the_figure_is_the_throttled_one(factor: float) -> None:
    told = 0
    for seed in SEEDS:
        seen = outcome(throttling(STEADY, random.Random(seed).uniform(2, 9), factor), seed)
        assert seen.near(100 / factor) or seen.flags, seed
        told += Flag.SLOWED in seen.flags
    assert told >= 0.8 * len(SEEDS)  # of the rest, nothing was measured before it throttled


def test_throttling_after_the_search_leaves_the_figure_that_was_true_then() -> None:
    assert outcome(throttling(STEADY, 1000.0, 5.0), 1).near(100)


@pytest.mark.parametrize("pause", [0.5, 1.0, 2.0])
def test_a_pause_every_ten_seconds_is_in_the_interval_or_told_wherever_it_falls(pause: float) -> None:
    for seed in SEEDS:
        first = random.Random(seed).uniform(0.0, 7.0)  # within the load, which takes 7.8 s at least
        seen = outcome(pausing(STEADY, 10.0, pause, first), seed)
        assert Flag.UNEVEN in seen.flags, first
        assert seen.near(100 * (1 - pause / 10), 0.05) or seen.flags.keys() & {Flag.NOT_SETTLED}, first
        assert seen.measured.users >= 2, first  # a pause does not make the throughput flat


@pytest.mark.parametrize(("slower", "share"), [(1.1, 0.3), (1.5, 0.3), (3.0, 0.1), (3.0, 0.5)])
def test_a_noisy_host_gives_what_was_served_on_the_average_or_undisturbed_or_a_flag(
    slower: float, share: float
) -> None:
    for seed in SEEDS:
        seen = outcome(disturbed(STEADY, slower, share, seed), seed)
        average = 100 / (1 + share * (slower - 1))
        right = seen.near(seen.truth) and (seen.near(average, 0.05) or seen.near(100, 0.05))
        assert right or seen.flags, seed


def test_a_short_pause_that_costs_little_changes_little() -> None:
    for seed in SEEDS:
        assert outcome(pausing(STEADY, 10.0, 0.2, random.Random(seed).uniform(0, 10)), seed).near(98)


@pytest.mark.parametrize("warm_after", [10.0, 30.0, 60.0])
def test_a_model_that_warms_up_for_up_to_a_minute_is_measured_warm(warm_after: float) -> None:
    for seed in SEEDS:
        seen = outcome(warming_up(0.02, 3.0, warm_after), seed)
        assert seen.near(100), seed


def test_a_model_that_is_warm_all_at_once_is_measured_warm_or_flagged() -> None:
    for seed in SEEDS:
        seen = outcome(cold_until(STEADY, 3.0, random.Random(seed).uniform(1.0, 9.0)), seed)
        assert seen.near(100) or seen.flags, seed


def test_two_percent_of_failures_are_no_recommendation() -> None:
    for seed in SEEDS:
        failure = outcome(STEADY, seed, fail_share=0.02).measured.failure
        assert failure is not None, seed
        assert "of invocations failed (http_500" in failure


def test_half_a_percent_of_failures_neither_fails_a_model_nor_hides() -> None:
    told = 0
    for seed in SEEDS:
        seen = outcome(STEADY, seed, fail_share=0.005)
        assert seen.measured.failure is None, seed
        assert seen.near(100), seed
        told += Flag.ERRORS in seen.flags
    assert told >= 15


PAYLOADS: dict[str, Callable[[], Service]] = {
    "one in ten costs 50 times as much": lambda: mixed((0.9, fixed(0.005)), (0.1, fixed(0.25))),
    "one in a hundred costs 100 times as much": lambda: mixed((0.99, fixed(0.005)), (0.01, fixed(0.5))),
    "one in a thousand costs 1000 times as much": lambda: mixed((0.999, fixed(0.005)), (0.001, fixed(5.0))),
}


@pytest.mark.parametrize("payloads", PAYLOADS.values(), ids=PAYLOADS.keys())
def test_payloads_of_very_different_cost_are_wide_or_told(payloads: Callable[[], Service]) -> None:
    for seed in range(10):
        seen = outcome(payloads(), seed)
        assert seen.near(seen.truth) or seen.flags, seed
        assert seen.load_seconds < 120


def test_the_interval_of_unlike_payloads_holds_what_they_cost_on_the_average() -> None:
    seen = [outcome(mixed((0.9, fixed(0.005)), (0.1, fixed(0.25))), seed) for seed in SEEDS]
    truth = 2 / (0.9 * 0.005 + 0.1 * 0.25)
    assert sum(one.interval.low <= truth <= one.interval.high for one in seen) >= 0.8 * len(seen)


def test_instant_answers_are_told_to_be_bounded_by_the_generator() -> None:
    told = outcome(fixed(0.0002), 1).flags[Flag.LITTLES_LAW]  # as long as the generator takes between two requests
    assert "its capacity may be higher" in told
