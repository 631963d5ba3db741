"""How sure a figure is: intervals, warm-up, trend, and tests that may be looked at again and again.

`scipy` is loaded where it is first used: it takes a third of a second, which a start should not wait for (`scipy.stats`
takes two and 60 MB, and is not used).

Sources: order statistics for quantiles and early stopping, MLPerf LoadGen (early_stopping.md); truncation, White,
"An effective truncation heuristic for bias reduction in simulation output" (MSER); alpha spending over looks with
p-values that sum to the level, a Bonferroni bound (union bound) over geometrically spaced looks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from modeldyno.domain.latency import LatencyHistogram, bucket_bounds_ns
from modeldyno.domain.measurement import Window, merged_latency, throughput_per_second

CONFIDENCE = 0.95
BETWEEN_DEPLOYMENTS = 0.007
"""Standard deviation between deployments of the same thing, as a share of the figure."""


def prepare() -> None:
    """Load what is else loaded at its first use, in the middle of a measurement."""
    import scipy.special  # noqa: F401


_LONG_NS = 0.25e9
_FAR = 20


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its interval; `low <= value <= high`, all in the unit of the figure."""

    value: float
    low: float
    high: float

    @property
    def relative_half_width(self) -> float:
        """Half of the interval over the figure; infinite for a figure of 0."""
        return (self.high - self.low) / 2 / self.value if self.value > 0 else math.inf


def throughput_interval(windows: Sequence[Window], confidence: float = CONFIDENCE) -> Interval | None:
    """Invocations a second over contiguous windows, with Student's interval of the window means.

    Successive windows correlate when a server pauses or drifts: the number of windows counts as n (1 - r) / (1
    + r), with r
    the correlation of neighbours, when that is positive. None with fewer than two windows.
    """
    if len(windows) < 2 or not any(window.duration_seconds for window in windows):
        return None
    rates = np.array([window.per_second for window in windows])
    value = throughput_per_second(windows)
    effective = max(2.0, len(rates) * _independence(rates))
    half = student(confidence, effective - 1) * float(rates.std(ddof=1)) / math.sqrt(effective)
    return Interval(value, max(0.0, value - half), value + half)


def relative_half_width(windows: Sequence[Window]) -> float:
    """Half of the 95% interval of the throughput over it; infinite when unknown."""
    interval = throughput_interval(windows)
    return math.inf if interval is None else interval.relative_half_width


def student(confidence: float, freedom: float) -> float:
    """The two-sided quantile of Student's distribution with `freedom` degrees."""
    from scipy import special

    return float(special.stdtrit(freedom, (1 + confidence) / 2))


@cache
def normal_quantile(confidence: float) -> float:
    """The two-sided quantile of the normal distribution: 1.96 for 0.95."""
    from scipy import special

    return float(special.ndtri((1 + confidence) / 2))


def deployments_apart(confidence: float) -> float:
    """What two deployments of the same thing may lie apart, on the logarithms' scale."""
    return normal_quantile(confidence) * math.sqrt(2) * BETWEEN_DEPLOYMENTS


def _binomial_quantile(share: float, count: int, chance: float) -> int:
    """The least k with P(X <= k) >= share, of `count` draws that succeed with `chance`."""
    from scipy import special

    guess = max(0, math.floor(float(special.bdtrik(share, count, chance))) - 1)
    while special.bdtr(guess, count, chance) < share:
        guess += 1
    return guess


def independence_of_rates(windows: Sequence[Window]) -> float:
    """Share of these windows that count as independent for the throughput, 0..1."""
    return _independence(np.array([window.per_second for window in windows]))


def _independence(values: np.ndarray) -> float:
    """Share of the values that count as independent, 0..1."""
    if len(values) < 8 or values.std() == 0:
        return 1.0
    centred = values - values.mean()
    correlation = float((centred[1:] * centred[:-1]).sum() / (centred**2).sum())
    return (1 - correlation) / (1 + correlation) if correlation > 0 else 1.0


def quantile_interval_ns(
    latency: LatencyHistogram, fraction: float, confidence: float = CONFIDENCE, independence: float = 1.0
) -> tuple[float, float] | None:
    """The interval of a quantile from order statistics, in nanoseconds; None when empty or too few for that quantile.

    independence: share of the latencies that count as independent, 0..1 (`independence_of`).
    """
    count = latency.count
    effective = int(count * independence)
    if effective < 1:
        return None
    tail = (1 - confidence) / 2
    low = _binomial_quantile(tail, effective, fraction) / effective
    high = (_binomial_quantile(1 - tail, effective, fraction) + 1) / effective
    if low <= 0 or high > 1:
        return None
    bounds = latency.quantile_ns(low), latency.quantile_ns(high)
    return None if bounds[0] is None or bounds[1] is None else (bounds[0], bounds[1])


def independence_of(windows: Sequence[Window], fraction: float) -> float:
    """Share of the latencies of these windows that count as independent for a quantile, 0..1.

    From the scatter between windows of the share above the quantile, over what independent latencies would scatter.
    """
    latency = merged_latency(windows)
    limit = latency.quantile_ns(fraction)
    counts = np.array([window.succeeded for window in windows], dtype=float)
    if limit is None or len(windows) < 4 or counts.min() < 2:
        return 1.0
    above = np.array([over_limit(window.latency, limit) for window in windows], dtype=float)
    share = above.sum() / counts.sum()
    expected = share * (1 - share) * counts
    if expected.sum() <= 0:
        return 1.0
    scatter = float(((above - share * counts) ** 2 / np.maximum(expected, 1e-9)).sum() / (len(windows) - 1))
    return 1.0 / max(1.0, scatter)


def over_limit(latency: LatencyHistogram, limit_ns: float) -> int:
    """How many latencies are over a limit (of a bucket that holds the limit: none)."""
    return sum(count for bucket, count in latency.counts.items() if bucket_bounds_ns(bucket)[0] > limit_ns)


def relative_error_of_mean(latency: LatencyHistogram) -> float:
    """The standard error of the mean latency over that mean; infinite with fewer than two.

    In a closed loop of constant users it is that of the throughput, too (throughput is users over mean latency).
    """
    count = latency.count
    mean = latency.mean_ns()
    if count < 2 or not mean:
        return math.inf
    squares = 0.0
    for bucket, number in latency.counts.items():
        low, high = bucket_bounds_ns(bucket)
        squares += number * ((low + high - 1) / 2 - mean) ** 2
    return math.sqrt(squares / (count - 1) / count) / mean


def outliers(latency: LatencyHistogram, usual_ns: float, base_ns: float) -> int:
    """How many answers took far longer than is usual at this load: by 20 times the latency of an idle server
    (`base_ns`), and a quarter of a second. Of exponential service times one in a million does."""
    return over_limit(latency, usual_ns + max(_LONG_NS, _FAR * base_ns))


def unexplained_share(windows: Sequence[Window]) -> float:
    """Share of the users' time, 0..1, in which no request was under way that has ended (Little's law); 0 where it is
    not known."""
    time_ns = sum(window.duration_seconds * window.users for window in windows) * 1e9
    latency = merged_latency(windows)
    return 1 - latency.count * (latency.mean_ns() or 0.0) / time_ns if time_ns else 0.0


def rarer_than(share: float, failures: int, count: int, alpha: float) -> bool | None:
    """Whether something that came `failures` times in `count` comes in less than `share` of them: True, False, or None
    when it cannot be told yet. Each answer is wrong with a probability of at most `alpha`."""
    from scipy import special

    if failures and float(special.bdtrc(failures - 1, count, share)) <= alpha:
        return False
    return True if float(special.bdtr(failures, count, share)) <= alpha else None


def warmup_windows(windows: Sequence[Window]) -> int:
    """How many of the first windows to cut: the truncation that makes the mean of the rest surest (MSER), at
    most half."""
    rates = np.array([window.per_second for window in windows])
    if len(rates) < 4:
        return 0
    cuts = range(len(rates) // 2 + 1)
    errors = [float(rates[cut:].var() / (len(rates) - cut)) for cut in cuts]
    return int(np.argmin(errors))


def trend(windows: Sequence[Window], confidence: float = 0.99) -> float:
    """The relative change of throughput over the windows when it is a trend and no scatter; else 0.

    A least-squares slope against its standard error, so that a steady drift of a few percent a window shows,
    which a rule on the
    extremes of three windows lets pass.
    """
    if len(windows) < 5:
        return 0.0
    rates = np.array([window.per_second for window in windows])
    mean = float(rates.mean())
    times = np.arange(len(rates)) - (len(rates) - 1) / 2
    slope = float((times * rates).sum() / (times**2).sum())
    rest = rates - mean - slope * times
    error = math.sqrt(float((rest**2).sum()) / (len(rates) - 2) / float((times**2).sum()))
    if mean <= 0 or abs(slope) <= student(confidence, len(rates) - 2) * error:
        return 0.0
    return slope * (len(rates) - 1) / mean


def passes_ns(latency: LatencyHistogram, percentile: float, limit_ns: float, alpha: float) -> bool | None:
    """Whether a percentile (0..100) is at or under a limit: True, False, or None when it cannot be told yet.

    Each answer is wrong with a probability of at most `alpha`. Source: MLPerf's early stopping, the
    regularised incomplete
    beta function of the latencies over and under the limit.
    """
    from scipy import special

    over = over_limit(latency, limit_ns)
    under = latency.count - over
    share = percentile / 100
    if float(special.betainc(under, over + 1, share)) <= alpha and under > 0:
        return True
    if over > 0 and float(special.betaincc(under + 1, over, share)) <= alpha:
        return False
    return None


def alpha_of_look(look: int, alpha: float) -> float:
    """The level of the look number `look` (1, 2, ...) so that all looks together err with at most `alpha`."""
    return alpha * 6 / (math.pi**2 * look**2)


@dataclass(frozen=True, slots=True)
class Difference:
    """How much B is above A, as a share of A, with its interval. 0.05 = five percent more."""

    relative: float
    low: float
    high: float

    @property
    def clear(self) -> bool:
        """Whether the interval leaves out no difference at all."""
        return self.low > 0 or self.high < 0


def relative_difference(a: Sequence[float], b: Sequence[float], confidence: float = 0.99) -> Difference | None:
    """Welch's interval of mean(B) / mean(A) - 1 on the logarithms' scale; None with fewer than three values of
    either."""
    if len(a) < 3 or len(b) < 3 or min(*a, *b) <= 0:
        return None
    first, second = np.log(np.array(a)), np.log(np.array(b))
    errors = first.var(ddof=1) / len(first), second.var(ddof=1) / len(second)
    error = math.sqrt(errors[0] + errors[1])
    shift = float(second.mean() - first.mean())
    if error == 0:
        return Difference(math.expm1(shift), math.expm1(shift), math.expm1(shift))
    freedom = (errors[0] + errors[1]) ** 2 / (errors[0] ** 2 / (len(first) - 1) + errors[1] ** 2 / (len(second) - 1))
    half = student(confidence, freedom) * error
    return Difference(math.expm1(shift), math.expm1(shift - half), math.expm1(shift + half))
