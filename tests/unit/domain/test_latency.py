"""A histogram tells counts, quantiles and means to within the width of a bucket."""

import pytest

from modeldyno.domain.latency import LatencyHistogram, bucket_bounds_ns, bucket_of
from modeldyno.domain.measurement import Window, failure_share, merged_latency


def test_small_latencies_have_a_bucket_each():
    assert [bucket_of(value) for value in (0, 1, 255, 256, 511)] == [0, 1, 255, 256, 511]
    assert bucket_of(512) == bucket_of(513) == 512
    assert bucket_bounds_ns(512) == (512, 514)


def test_a_negative_latency_counts_as_none():
    assert bucket_of(-5) == 0


def test_an_empty_histogram_has_no_quantile_and_no_mean():
    empty = LatencyHistogram()
    assert (empty.count, empty.quantile_ns(0.5), empty.mean_ns()) == (0, None, None)


@pytest.mark.parametrize(("fraction", "rank"), [(0.0, 1), (0.5, 50), (0.95, 95), (0.951, 96), (0.99, 99), (1.0, 100)])
def test_a_quantile_is_the_value_at_its_rank(fraction, rank):
    histogram = LatencyHistogram.of(range(1, 101))
    assert histogram.quantile_ns(fraction) == rank


def test_the_mean_of_a_second_is_right_within_a_bucket():
    histogram = LatencyHistogram.of([1_000_000_000] * 3 + [2_000_000_000])
    assert histogram.mean_ns() == pytest.approx(1_250_000_000, rel=1 / 256)


def test_equal_counts_are_equal_histograms():
    assert LatencyHistogram.of([1, 2]) == LatencyHistogram.of([2, 1])
    assert hash(LatencyHistogram.of([1, 2])) == hash(LatencyHistogram.of([2, 1]))
    assert LatencyHistogram.of([1]) != LatencyHistogram.of([1, 1])
    assert LatencyHistogram.of([1]) != "histogram"


def window(sequence, good, bad, seconds=1.0):
    failed = {"http_500": bad} if bad else {}
    return Window(sequence, 0.0, seconds, 1, {bucket_of(1_000_000): good} if good else {}, failed)


def test_a_window_tells_its_rate_over_its_true_duration():
    assert window(0, 30, 2, seconds=1.5).per_second == 20
    assert window(0, 30, 2, seconds=0.0).per_second == 0
    assert window(0, 30, 2).failures == 2


def test_windows_merge_into_one_histogram_and_one_share_of_failures():
    windows = [window(0, 30, 0), window(1, 60, 10)]
    assert merged_latency(windows).count == 90
    assert merged_latency(windows[:1]) == windows[0].latency
    assert failure_share(windows) == 0.1
    assert failure_share([]) == 0
