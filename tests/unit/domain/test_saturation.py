"""The search of a Default job, against servers whose truth is a formula."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from modeldyno.domain.job import LatencyThreshold, StoppingRules
from modeldyno.domain.latency import LatencyHistogram
from modeldyno.domain.measurement import Window
from modeldyno.domain.saturation import SaturationSearch
from modeldyno.domain.statistics import relative_half_width, throughput_interval
from modeldyno.domain.stopping import Measured, Stop, Users
from modeldyno.testing.simulation import ClosedLoop, exponential, fixed, warming_up

Server = Callable[[int], tuple[float, float, float]]
"""users -> (invocations a second, latency in ms, share that fails)."""


def queue(workers: int, service_ms: float) -> Server:
    def serve(users: int) -> tuple[float, float, float]:
        rate = min(users, workers) / (service_ms / 1000)
        return rate, 1000 * users / rate, 0.0

    return serve


def run(search: SaturationSearch, server: Server, limit: int = 400) -> tuple[Measured, list[int]]:
    users, levels, owed = search.users, [search.users], 0.0
    for sequence in range(limit):
        rate, latency_ms, failing = server(users)
        owed += rate
        count, owed = int(owed + 1e-9), owed - int(owed + 1e-9)
        failed = math.ceil(count * failing)
        counts = LatencyHistogram.of([int(latency_ms * 1e6)] * (count - failed)).counts
        window = Window(sequence, float(sequence), 1.0, users, counts, {"http_500": failed} if failed else {})
        match search.observe(window):
            case Stop():
                return search.measured(), levels
            case Users(users):
                levels.append(users)
    raise AssertionError("the search did not end")


@pytest.mark.parametrize(("workers", "service_ms"), [(1, 20), (2, 20), (4, 5), (2, 400)])
def test_the_capacity_of_a_queue_is_found_at_the_beginning_of_its_plateau(workers: int, service_ms: float) -> None:
    measured, _ = run(SaturationSearch(StoppingRules()), queue(workers, service_ms))
    seconds = sum(window.duration_seconds for window in measured.windows)
    capacity = sum(window.succeeded for window in measured.windows) / seconds
    assert capacity == pytest.approx(workers * 1000 / service_ms, rel=0.03)
    assert measured.users == workers
    assert measured.reason == "throughput went flat"
    assert measured.failure is None


def test_the_figures_rest_on_fresh_contiguous_windows_at_the_answer() -> None:
    measured, levels = run(SaturationSearch(StoppingRules()), queue(2, 20))
    sequences = [window.sequence for window in measured.windows]
    assert sequences == list(range(sequences[0], sequences[-1] + 1))
    assert levels == [1, 2, 4, 2]
    assert {window.users for window in measured.windows} == {2}
    assert measured.warmup_seconds > 0


def test_fresh_windows_that_fall_short_of_the_plateau_move_the_answer_up() -> None:
    seen: list[int] = []

    def fading(users: int) -> tuple[float, float, float]:
        seen.append(users)
        short = users == 2 and seen.count(2) > 1
        return (80.0 if short else queue(2, 20)(users)[0]), 20.0, 0.0

    measured, levels = run(SaturationSearch(StoppingRules()), fading)
    assert levels == [1, 2, 4, 2, 4]
    assert measured.users == 4


def test_a_latency_threshold_narrows_to_the_last_level_that_holds_it() -> None:
    def linear(users: int) -> tuple[float, float, float]:
        return 1000.0 * users / (10 + users), 10.0 + users, 0.0

    rules = StoppingRules(threshold=LatencyThreshold(95.0, 33))
    measured, _ = run(SaturationSearch(rules), linear)
    assert 20 <= measured.users <= 23
    assert "over the threshold of 33 ms" in measured.reason


def test_a_threshold_that_one_user_breaks_is_a_failure_that_says_so() -> None:
    measured, levels = run(SaturationSearch(StoppingRules(threshold=LatencyThreshold(95.0, 5))), queue(2, 20))
    assert levels == [1]
    assert measured.failure is not None
    assert measured.failure.endswith("at 1 user, over the threshold of 5 ms")


def test_failures_from_a_level_on_leave_the_level_below_as_the_answer() -> None:
    def cliff(users: int) -> tuple[float, float, float]:
        return 100.0 * users, 10.0, 0.2 if users > 4 else 0.0

    measured, levels = run(SaturationSearch(StoppingRules()), cliff)
    assert measured.users == 4
    assert 8 in levels
    assert "invocations failed (http_500" in measured.reason


def test_a_model_that_always_fails_is_given_up_at_once() -> None:
    measured, levels = run(SaturationSearch(StoppingRules()), lambda users: (50.0, 10.0, 1.0), limit=3)
    assert levels == [1]
    assert measured.failure is not None
    assert measured.failure.startswith("100% of invocations failed (http_500 x")


def test_a_model_that_never_answers_is_given_up_at_its_first_timeout() -> None:
    search = SaturationSearch(StoppingRules())
    for sequence in range(59):
        assert not isinstance(search.observe(Window(sequence, sequence, 1.0, 1, {})), Stop)
    assert isinstance(search.observe(Window(59, 59, 1.0, 1, {}, {"timeout": 1})), Stop)
    assert "timeout x 1" in (search.measured().failure or "")


def test_a_target_ends_the_search_where_it_is_reached() -> None:
    measured, levels = run(SaturationSearch(StoppingRules(target_per_minute=11_000)), queue(64, 20))
    assert measured.users == 4
    assert levels == [1, 2, 4, 4]
    assert "the target of 11000 invocations a minute was reached" in measured.reason


def test_a_server_that_never_saturates_ends_at_the_limit_of_users() -> None:
    measured, levels = run(SaturationSearch(StoppingRules(), max_users=16), queue(1000, 20))
    assert levels == [1, 2, 4, 8, 16, 16]
    assert "limit of 16 users" in measured.reason


def test_the_search_ends_in_its_time_with_a_slow_model() -> None:
    measured, _ = run(SaturationSearch(StoppingRules(), max_seconds=60), queue(1, 3000), limit=95)
    assert measured.failure is None
    assert sum(window.succeeded for window in measured.windows) >= 8


def test_scatter_of_the_windows_widens_the_interval() -> None:
    def windows(*rates: int) -> list[Window]:
        return [Window(i, i, 1.0, 1, {1: rate}) for i, rate in enumerate(rates)]

    assert relative_half_width(windows(100, 100, 100)) == 0.0
    assert relative_half_width(windows(100, 120, 80, 100)) > 0.1
    assert relative_half_width(windows(100)) == math.inf


def test_a_closed_loop_with_fixed_service_is_found_within_3_percent_and_soon() -> None:
    errors, seconds = [], []
    for seed in range(60):
        loop = ClosedLoop(workers := 1 + seed % 4, fixed(0.02, 0.1), seed)
        measured = loop.drive(SaturationSearch(StoppingRules()))
        truth = workers / (sum(loop.served) / len(loop.served))
        errors.append(abs(rate(measured) / truth - 1))
        seconds.append(loop.now)
    assert sum(error <= 0.03 for error in errors) >= 55
    assert sorted(seconds)[30] <= 10


def test_the_interval_of_exponential_service_holds_the_truth_in_nine_of_ten() -> None:
    inside, seconds = 0, []
    for seed in range(60):
        loop = ClosedLoop(2, exponential(0.02), seed, gap_seconds=0.0)
        measured = loop.drive(SaturationSearch(StoppingRules()))
        interval = throughput_interval(measured.windows)
        assert interval is not None
        inside += interval.low <= 100 <= interval.high
        seconds.append(loop.now)
    assert inside >= 54
    assert max(seconds) <= 75


def test_a_threshold_just_below_the_true_percentile_is_not_said_to_hold() -> None:
    held = 0
    for seed in range(60):
        loop = ClosedLoop(1, exponential(0.02), seed, gap_seconds=0.0)
        rules = StoppingRules(threshold=LatencyThreshold(95.0, round(59.9 * 0.95)))
        measured = loop.drive(SaturationSearch(rules))
        held += measured.failure is None and not measured.undecided
    assert held <= 2


def test_a_threshold_far_above_the_percentile_holds_without_a_doubt() -> None:
    loop = ClosedLoop(2, fixed(0.02), 1)
    measured = loop.drive(SaturationSearch(StoppingRules(threshold=LatencyThreshold(95.0, 30))))
    assert (measured.failure, measured.undecided, measured.users) == (None, False, 2)


@pytest.mark.parametrize("warm_after", [10.0, 30.0])
def test_a_server_that_warms_up_is_measured_warm(warm_after: float) -> None:
    for seed in range(5):
        loop = ClosedLoop(2, warming_up(0.02, 3.0, warm_after), seed)
        measured = loop.drive(SaturationSearch(StoppingRules()))
        assert rate(measured) == pytest.approx(100, rel=0.05)


def rate(measured: Measured) -> float:
    seconds = sum(window.duration_seconds for window in measured.windows)
    return sum(window.succeeded for window in measured.windows) / seconds
