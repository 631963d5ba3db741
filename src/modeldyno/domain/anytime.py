"""Intervals that hold at every moment at once, however often they are looked at.

With probability `1 - alpha` or more the true value lies in every one of them, from the first pair to the last, so that
a test may be looked at after each request and stopped when it has decided.

1. Of a share, from k of n: the shares p for which the mixture ``Beta(a + k, b + n - k) / Beta(a, b)`` of likelihoods is
   less than ``1 / alpha`` times the likelihood under p. The ratio is a martingale under the true share with mean 1
   (Ville's inequality).
2. Of a quantile: those latencies x at which "so many of n were at or below x" does not contradict the share.

**Source:** Robbins, *Statistical methods related to the law of the iterated logarithm* (1970); Howard and Ramdas,
*Sequential estimation of quantiles with applications to A/B testing and best-arm identification* (2022); Lindon and
Malek, *Anytime-valid inference for multinomial count data* (2022).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from modeldyno.domain.latency import bucket_bounds_ns

# Chosen: a prior about as heavy as twenty observations is sharpest between some hundred and some ten thousand.
_PRIOR_WEIGHT = 20.0
_STEPS = 60


@dataclass(frozen=True, slots=True)
class Range:
    """An interval that holds at every moment. `value` None: nothing is known yet."""

    value: float | None
    low: float
    high: float


def share_range(hits: int, count: int, alpha: float) -> Range:
    """Of the share that `hits` of `count` estimate."""
    if count == 0:
        return Range(None, 0.0, 1.0)
    share = hits / count
    low = _edge(hits, count, alpha, 0.0, share) if hits else 0.0
    high = _edge(hits, count, alpha, 1.0, share) if hits < count else 1.0
    return Range(share, low, high)


def _edge(hits: int, count: int, alpha: float, outside: float, inside: float) -> float:
    """Where the evidence against a share reaches 1/alpha, between one that is out and one that is in."""
    for _ in range(_STEPS):
        middle = (outside + inside) / 2
        if _log_evidence(hits, count, middle, 0.5) >= math.log(1 / alpha):
            outside = middle
        else:
            inside = middle
    return outside


def _log_evidence(hits: int, count: int, share: float, centre: float) -> float:
    """The logarithm of the mixture's likelihood over that of the share."""
    if share <= 0.0:
        return math.inf if hits else -math.inf
    if share >= 1.0:
        return math.inf if hits < count else -math.inf
    weight = 1.0 if centre == 0.5 else _PRIOR_WEIGHT
    a, b = weight * centre, weight * (1 - centre)
    mixture = _log_beta(a + hits, b + count - hits) - _log_beta(a, b)
    return mixture - hits * math.log(share) - (count - hits) * math.log1p(-share)


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def quantile_range_ns(counts: dict[int, int], fraction: float, alpha: float) -> Range:
    """Of the quantile of a latency, in nanoseconds, from the counts of `latency.bucket_of`.

    Low and high are edges of buckets; high is infinite while too little is known of the tail.
    """
    total = sum(counts.values())
    if total == 0:
        return Range(None, 0.0, math.inf)
    low, high, value = 0.0, math.inf, None
    limit = math.log(1 / alpha)
    seen = 0
    for bucket in sorted(counts):
        lowest, highest = bucket_bounds_ns(bucket)
        seen += counts[bucket]
        if value is None and seen >= fraction * total:
            value = (lowest + highest - 1) / 2
        # x is too low for the quantile when too few lie at or below it, too high when too many lie below it: both are
        # looked at where the bucket ends.
        if seen < fraction * total and _log_evidence(seen, total, fraction, fraction) >= limit:
            low = float(highest)
        if seen > fraction * total and _log_evidence(seen, total, fraction, fraction) >= limit:
            high = float(highest)
            break
    return Range(value, low, high)
