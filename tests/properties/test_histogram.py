"""Histograms lose nothing by merging, and are never further off than a bucket is wide."""

from hypothesis import given
from hypothesis import strategies as st

from modeldyno.domain.latency import LatencyHistogram, bucket_bounds_ns, bucket_of

latencies = st.integers(min_value=0, max_value=24 * 3600 * 10**9)
samples = st.lists(latencies, max_size=60)


@given(latencies)
def test_a_latency_lies_in_its_bucket(latency):
    low, high = bucket_bounds_ns(bucket_of(latency))
    assert low <= latency < high


@given(latencies)
def test_a_bucket_is_at_most_one_part_in_256_wide(latency):
    low, high = bucket_bounds_ns(bucket_of(latency))
    assert high - low == 1 or (high - low) * 256 <= low


@given(st.integers(min_value=0, max_value=20_000))
def test_buckets_follow_each_other_without_gaps(bucket):
    _, high = bucket_bounds_ns(bucket)
    assert bucket_bounds_ns(bucket + 1)[0] == high
    assert bucket_of(high) == bucket + 1
    assert bucket_of(high - 1) == bucket


@given(latencies, latencies)
def test_a_longer_latency_is_never_in_an_earlier_bucket(one, other):
    assert (bucket_of(one) <= bucket_of(other)) or one > other


@given(samples, samples)
def test_the_histogram_of_a_union_is_the_merge_of_the_histograms(one, other):
    assert LatencyHistogram.of(one + other) == LatencyHistogram.of(one).merge(LatencyHistogram.of(other))


@given(samples, samples, samples)
def test_the_order_of_merging_does_not_matter(one, two, three):
    a, b, c = map(LatencyHistogram.of, (one, two, three))
    assert a.merge(b).merge(c) == c.merge(a.merge(b)) == b.merge(c).merge(a)


@given(samples)
def test_merging_changes_neither_of_the_two(sample):
    histogram, other = LatencyHistogram.of(sample), LatencyHistogram.of([1, 2, 3])
    histogram.merge(other)
    assert histogram == LatencyHistogram.of(sample)
    assert other.count == 3


@given(st.lists(latencies, min_size=1, max_size=60), st.integers(min_value=0, max_value=1000))
def test_a_quantile_is_the_ranked_value_within_a_bucket(sample, per_mille):
    rank = max(-(-per_mille * len(sample) // 1000), 1)
    true = sorted(sample)[rank - 1]
    low, high = bucket_bounds_ns(bucket_of(true))
    quantile = LatencyHistogram.of(sample).quantile_ns(per_mille / 1000)
    assert quantile is not None
    assert low <= quantile < high


@given(st.lists(latencies, min_size=1, max_size=60))
def test_the_mean_is_right_within_a_bucket(sample):
    mean = LatencyHistogram.of(sample).mean_ns()
    true = sum(sample) / len(sample)
    assert mean is not None
    assert abs(mean - true) <= max(1, true / 256)
