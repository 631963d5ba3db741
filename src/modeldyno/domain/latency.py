"""A mergeable latency histogram: log-linear buckets, under 0.4% wide, from 1 ns to hours.

Values below 256 ns have a bucket each; above, every doubling is cut into 256 equal buckets (the scheme of
HdrHistogram).
So a bucket's width is at most 1/256 of its value, and merging two histograms is adding their counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

_BITS = 8
_SUB = 1 << _BITS


def bucket_of(latency_ns: int) -> int:
    """The bucket that holds a latency in nanoseconds (negative counts as 0)."""
    if latency_ns < _SUB:
        return max(latency_ns, 0)
    shift = latency_ns.bit_length() - _BITS - 1
    return (shift << _BITS) + (latency_ns >> shift)


def bucket_bounds_ns(bucket: int) -> tuple[int, int]:
    """The half-open range [low, high) of nanoseconds that a bucket holds."""
    if bucket < 2 * _SUB:
        return bucket, bucket + 1
    shift = (bucket >> _BITS) - 1
    mantissa = bucket - (shift << _BITS)
    return mantissa << shift, (mantissa + 1) << shift


class LatencyHistogram:
    """Counts by bucket. Immutable; `merge` gives a new one."""

    __slots__ = ("counts",)

    def __init__(self, counts: Mapping[int, int] | None = None) -> None:
        self.counts: dict[int, int] = dict(counts or {})

    @classmethod
    def of(cls, latencies_ns: Iterable[int]) -> LatencyHistogram:
        """The histogram of these latencies in nanoseconds."""
        counts: dict[int, int] = {}
        for latency in latencies_ns:
            bucket = bucket_of(latency)
            counts[bucket] = counts.get(bucket, 0) + 1
        return cls(counts)

    @property
    def count(self) -> int:
        """How many latencies it holds."""
        return sum(self.counts.values())

    def merge(self, other: LatencyHistogram) -> LatencyHistogram:
        """The histogram of the union."""
        counts = dict(self.counts)
        for bucket, count in other.counts.items():
            counts[bucket] = counts.get(bucket, 0) + count
        return LatencyHistogram(counts)

    def quantile_ns(self, fraction: float) -> float | None:
        """The latency (ns, middle of its bucket) at rank ceil(fraction * n); None when empty."""
        total = self.count
        if total == 0:
            return None
        rank = min(max(-int(-fraction * total // 1), 1), total)
        seen = 0
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            if seen >= rank:
                low, high = bucket_bounds_ns(bucket)
                return (low + high - 1) / 2
        raise AssertionError("the ranks of a histogram end at its count")

    def mean_ns(self) -> float | None:
        """The mean latency in nanoseconds (of bucket middles); None when empty."""
        total = self.count
        if total == 0:
            return None
        weighted = 0.0
        for bucket, count in self.counts.items():
            low, high = bucket_bounds_ns(bucket)
            weighted += count * (low + high - 1) / 2
        return weighted / total

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LatencyHistogram) and self.counts == other.counts

    def __hash__(self) -> int:
        return hash(frozenset(self.counts.items()))
