"""The search for the open-loop rate, against queues whose truth is a formula."""

from __future__ import annotations

import math
import random

import pytest

from modeldyno.domain.job import LatencyThreshold
from modeldyno.domain.measurement import Window
from modeldyno.domain.quality import OPEN_LOOP_LIMIT, open_loop_flags
from modeldyno.domain.statistics import Interval
from modeldyno.domain.stopping import Hold, Rate, Stop
from modeldyno.domain.sustainable import HIGHEST_SHARE, SustainableSearch
from modeldyno.domain.trial import Flag, OpenLoop
from modeldyno.testing.open_loop import OpenLoop as Queue
from modeldyno.testing.open_loop import Service
from modeldyno.testing.simulation import exponential, fixed

P95_25_MS = LatencyThreshold(95.0, 25)


def searched(
    service: Service,
    workers: int,
    peak: float,
    threshold: LatencyThreshold,
    seed: int,
    seconds: float = 60.0,
    **more: float,
) -> SustainableSearch:
    search = SustainableSearch(threshold, peak, seconds)
    Queue(workers, service, seed, **more).drive(search)
    return search


def rate_of(search: SustainableSearch) -> Interval:
    found = search.found()
    assert found is not None
    return found.rate


def test_the_rate_of_two_exponential_servers_is_found_within_8_percent_and_its_interval_is_honest() -> None:
    truth = 0.659 * 400  # M/M/2, P95 within five mean service times: see tests/benchmarks of the exact formula
    rates = [rate_of(searched(exponential(0.005), 2, 400.0, P95_25_MS, seed)) for seed in range(20)]
    assert sum(abs(rate.value / truth - 1) <= 0.08 for rate in rates) >= 18
    assert sum(rate.low <= truth <= rate.high for rate in rates) >= 17


def test_the_rate_of_one_exponential_server_is_inside_its_interval() -> None:
    truth = 1000 + math.log(0.05) / 0.005  # M/M/1: P(T > t) = exp(-(mu - lambda) t)
    threshold = LatencyThreshold(95.0, 5)
    rates = [rate_of(searched(exponential(0.001), 1, 1000.0, threshold, seed)) for seed in range(12)]
    assert sum(rate.low <= truth <= rate.high for rate in rates) >= 10
    assert sum(abs(rate.value / truth - 1) <= 0.08 for rate in rates) >= 10


def test_a_steady_server_is_told_sooner_than_one_whose_times_vary() -> None:
    steady = rate_of(searched(fixed(0.003, 0.2), 1, 333.0, LatencyThreshold(95.0, 20), seed=3, seconds=30.0))
    varying = rate_of(searched(exponential(0.003), 1, 333.0, LatencyThreshold(95.0, 20), seed=3, seconds=30.0))
    assert steady.relative_half_width < varying.relative_half_width
    assert steady.value > varying.value


@pytest.mark.parametrize("seed", range(4))
def test_a_limit_that_no_queue_reaches_holds_up_to_the_highest_rate_that_is_tried(seed: int) -> None:
    found = searched(exponential(0.002), 4, 2000.0, LatencyThreshold(95.0, 5000), seed).found()
    assert found is not None
    assert found.at_least
    assert found.rate.low >= 0.9 * HIGHEST_SHARE * 2000


def test_a_limit_that_even_single_arrivals_break_has_no_rate() -> None:
    assert searched(fixed(0.020, 0.0), 2, 100.0, LatencyThreshold(95.0, 19), seed=1).found() is None


def test_one_failure_in_a_hundred_breaks_a_rate_whatever_the_percentile_leaves() -> None:
    assert searched(exponential(0.005), 2, 400.0, P95_25_MS, seed=1, fail_share=0.03).found() is None
    few = rate_of(searched(exponential(0.005), 2, 400.0, P95_25_MS, seed=1, fail_share=0.001))
    assert few.low > 150


def test_pauses_of_a_server_are_in_the_interval() -> None:
    truth = 107.0  # simulated for an hour; without pauses it would hold 420

    def pausing(chance: random.Random, now: float) -> float:
        return 0.004 * chance.gauss(1, 0.05) + (0.4 if now % 10 < 0.4 else 0.0)

    found = [searched(pausing, 2, 500.0, P95_25_MS, seed).found() for seed in range(5, 9)]
    sure = [one.rate for one in found if one is not None and one.rate.relative_half_width < OPEN_LOOP_LIMIT]
    assert all(rate.low <= truth <= rate.high for rate in sure)
    assert len(sure) < len(found)  # most are too wide to plan with, and flagged


def test_a_rate_whose_queue_grows_is_left_at_once_and_the_next_waits_until_it_has_drained() -> None:
    search = SustainableSearch(P95_25_MS, 400.0)
    assert search.beginning == Rate(280.0)
    growing = Window(0, 0.0, 1.0, 0, {4000: 3}, rate_per_second=280.0, offered=280, in_flight=200)
    assert search.observe(growing) == Hold()  # it may be a pause
    assert search.observe(growing) == Rate(0.0)
    assert search.observe(Window(1, 1.0, 1.0, 0, {4000: 150}, in_flight=50)) == Hold()
    again = search.observe(Window(2, 2.0, 1.0, 0, {4000: 50}, in_flight=0))
    assert isinstance(again, Rate)
    assert 100 < again.per_second < 280


def test_a_window_of_the_load_before_says_nothing_of_a_rate() -> None:
    search = SustainableSearch(P95_25_MS, 400.0)
    for sequence in range(12):
        late = Window(sequence, sequence, 1.0, 8, {200_000: 300})
        assert search.observe(late) == Hold()
    assert search.found() is None


def test_the_search_ends_when_its_time_is_over_and_says_so() -> None:
    search = SustainableSearch(P95_25_MS, 400.0, max_seconds=3.0)
    steps = [search.observe(Window(n, n, 1.0, 0, {1000: 280}, rate_per_second=280.0)) for n in range(3)]
    assert steps[-1] == Stop("the open loop took 3 seconds")


def told(**more: object) -> OpenLoop:
    values: dict[str, object] = {
        "per_minute": 1000.0,
        "low_per_minute": 950.0,
        "high_per_minute": 1050.0,
        "at_least": False,
        "requests": 700,
        "seconds": 45.0,
    }
    return OpenLoop(**values | more)  # type: ignore[arg-type]


def test_a_rate_that_is_known_badly_or_not_at_all_says_so_in_words() -> None:
    late = Window(0, 0.0, 1.0, 0, {}, send_lag_ns=20_000_000)
    assert open_loop_flags(told(), [], P95_25_MS) == {}
    assert "only" in open_loop_flags(told(low_per_minute=600.0), [], P95_25_MS)[Flag.OPEN_LOOP]
    assert "it died" in open_loop_flags(told(per_minute=None, note="it died"), [], P95_25_MS)[Flag.OPEN_LOOP]
    assert "others used 40% of the model's cores" in open_loop_flags(told(), [], P95_25_MS, 0.4)[Flag.OPEN_LOOP]
    assert "up to 20.0 ms late" in open_loop_flags(told(), [late], P95_25_MS)[Flag.OPEN_LOOP]


def test_the_flag_tells_the_wider_side_as_the_table_does() -> None:
    assert "known to ±40% only" in open_loop_flags(told(low_per_minute=600.0), [], P95_25_MS)[Flag.OPEN_LOOP]
