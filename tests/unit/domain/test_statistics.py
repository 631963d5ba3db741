"""Intervals and tests keep what they promise, on series whose truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from modeldyno.domain.latency import LatencyHistogram
from modeldyno.domain.measurement import Window
from modeldyno.domain.statistics import (
    alpha_of_look,
    independence_of,
    passes_ns,
    quantile_interval_ns,
    relative_difference,
    throughput_interval,
    trend,
    warmup_windows,
)


def windows(rates: list[float] | np.ndarray) -> list[Window]:
    return [Window(i, i, 1.0, 1, {10: round(rate)}) for i, rate in enumerate(rates)]


def exponential(generator: np.random.Generator, count: int) -> LatencyHistogram:
    return LatencyHistogram.of(int(value) for value in generator.exponential(1e7, count))


def test_the_throughput_interval_covers_the_truth_as_often_as_it_says() -> None:
    generator = np.random.default_rng(1)
    covered = 0
    for _ in range(400):
        interval = throughput_interval(windows(generator.normal(1000, 50, 10)))
        assert interval is not None
        covered += interval.low <= 1000 <= interval.high
    assert 0.92 <= covered / 400 <= 0.98


def test_correlated_windows_widen_the_interval() -> None:
    generator = np.random.default_rng(2)
    noise = generator.normal(0, 20, 40)
    drifting = 1000 + np.convolve(generator.normal(0, 20, 60), np.ones(20) / 4.5, mode="valid")[:40]
    independent = throughput_interval(windows(1000 + noise / noise.std() * drifting.std()))
    correlated = throughput_interval(windows(drifting))
    assert independent is not None
    assert correlated is not None
    assert correlated.relative_half_width > 1.5 * independent.relative_half_width


def test_one_window_has_no_interval() -> None:
    assert throughput_interval(windows([100])) is None


@pytest.mark.parametrize(("count", "low", "high"), [(1_000, 0.9365, 0.9635), (10_000, 0.946, 0.954)])
def test_the_ranks_of_a_quantile_are_the_published_ones(count: int, low: float, high: float) -> None:
    latency = LatencyHistogram.of(range(1_000_000, 2_000_000, 1_000_000 // count))
    interval = quantile_interval_ns(latency, 0.95)
    assert interval is not None
    assert [round((bound - 1e6) / 1e6, 3) for bound in interval] == pytest.approx([low, high], abs=0.006)


def test_too_few_latencies_have_no_interval_for_a_high_quantile() -> None:
    assert quantile_interval_ns(LatencyHistogram.of(range(1000, 1020)), 0.99) is None
    assert quantile_interval_ns(LatencyHistogram(), 0.5) is None


def test_windows_that_differ_count_as_fewer_independent_latencies() -> None:
    generator = np.random.default_rng(3)
    alike = [Window(i, i, 1.0, 1, exponential(generator, 500).counts) for i in range(10)]
    slow = LatencyHistogram.of(int(value) for value in generator.exponential(4e7, 500))
    mixed = [*alike[:9], Window(9, 9, 1.0, 1, slow.counts)]
    assert independence_of(alike, 0.95) > 0.4
    assert independence_of(mixed, 0.95) < 0.2


def test_warm_up_is_cut_and_a_steady_series_is_left_whole() -> None:
    assert warmup_windows(windows([20, 60, 90, 100, 101, 99, 100, 100])) == 3
    assert warmup_windows(windows([100] * 8)) == 0


def test_a_steady_drift_is_a_trend_and_scatter_is_none() -> None:
    generator = np.random.default_rng(4)
    assert trend(windows([1000 * 1.048**i for i in range(6)])) == pytest.approx(0.25, abs=0.05)
    assert trend(windows(generator.normal(1000, 20, 10))) == 0.0


@pytest.mark.parametrize(
    ("percentile", "fewest"), [(90, [44, 64, 127, 197]), (95, [90, 130, 259, 398]), (99, [459, 662, 1307, 2010])]
)
def test_passing_takes_the_published_number_of_requests(percentile: float, fewest: list[int]) -> None:
    for over, count in zip([0, 1, 5, 10], fewest, strict=True):
        enough = LatencyHistogram.of([1_000] * (count - over) + [9_000] * over)
        short = LatencyHistogram.of([1_000] * (count - over - 1) + [9_000] * over)
        assert passes_ns(enough, percentile, 5_000, 0.01) is True
        assert passes_ns(short, percentile, 5_000, 0.01) is None


def test_a_percentile_clearly_over_its_limit_fails_early() -> None:
    assert passes_ns(LatencyHistogram.of([9_000] * 10), 95, 5_000, 0.01) is False
    assert passes_ns(LatencyHistogram(), 95, 5_000, 0.01) is None


def test_repeated_looks_together_keep_the_level() -> None:
    assert sum(alpha_of_look(look, 0.01) for look in range(1, 10_000)) <= 0.01
    generator = np.random.default_rng(5)
    limit = -math.log(0.05) * 1e7 * 0.95
    wrong = 0
    for _ in range(200):
        seen = LatencyHistogram()
        for look in range(1, 12):
            seen = seen.merge(exponential(generator, 100))
            verdict = passes_ns(seen, 95, limit, alpha_of_look(look, 0.01))
            if verdict is not None:
                wrong += verdict
                break
    assert wrong <= 4


def test_a_difference_is_clear_only_when_it_is() -> None:
    generator = np.random.default_rng(6)
    same = relative_difference(generator.normal(100, 3, 12), generator.normal(100, 3, 12))
    more = relative_difference(generator.normal(100, 3, 12), generator.normal(110, 3, 12))
    assert same is not None
    assert not same.clear
    assert more is not None
    assert more.clear
    assert more.low < 0.10 < more.high
    assert relative_difference([1.0, 2.0], [1.0, 2.0, 3.0]) is None
