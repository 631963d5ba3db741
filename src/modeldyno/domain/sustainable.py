"""The open-loop sustainable rate: how many arrivals a second hold a latency threshold, when they do not wait.

1. Arrivals are Poisson, latency counts from the intended time. A rate holds where the share of arrivals that take
   longer than the limit, or fail, is at most what the percentile leaves; 1% that fail break it whatever that is.
2. Near the answer that share follows the rate as a logistic curve, since the tail of waiting times is exponential.
   Which rate holds, and how steep the curve is, are told together by all windows seen so far (a posterior on a grid):
   none is wasted, and no single noisy one decides.
3. Stages are a little under and over the likeliest answer in turn. One that lets the queue grow without end is left at
   once; then nothing is sent until what waits is no more than the next rate would have.
4. Neighbouring arrivals wait together, so their latencies say less than their number: the counts are divided by how
   much more batches of windows scatter around the curve than independent arrivals would.
5. It ends when the 95% interval is narrow, or its time is over: then the interval is wide. Rates next to the
   closed-loop peak are not tried: a queue there takes for ever to show what it does.

Source: the method is that of psychometrics, where a stimulus is placed at the likeliest threshold (Watson and Pelli,
"QUEST: a Bayesian adaptive psychometric method", 1983); the division by the scatter is quasi-likelihood (Wedderburn,
1974), with batch means. Constants were chosen on simulated queues (tests/unit/domain/test_sustainable.py has some).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from modeldyno.domain.job import LatencyThreshold
from modeldyno.domain.measurement import Window
from modeldyno.domain.statistics import Interval, over_limit
from modeldyno.domain.stopping import FAILURE_LIMIT, Hold, Instruction, Rate, Stop

HIGHEST_SHARE = 0.95
"""Of the closed-loop peak: the highest rate that is tried."""
_FIRST_SHARE = 0.7
_NO_RATE, _HARDLY = 1.5, 0.15  # an interval that reaches so near to the lowest rate, of a rate so far from the peak
_LOWEST_SHARE = 0.01
_SURE = 0.9999  # that a rate is not the answer: it is left at once
_NARROW = 0.06  # half of the 95% interval over the figure, at which the search ends
_STAGE_WINDOWS = (5, 8, 6, 9, 7)  # at least, in turn: of one length, they may be in step with a server's pauses
_FEWEST_WINDOWS = 20  # near the answer: so that a pause every ten seconds is met
_FEWEST_REQUESTS = 30
_ASIDE = 0.1  # in logarithms: how far beside the likeliest answer stages are ...
_ROUGHLY = 0.3  # ... once half of its interval is so narrow
_NEAR = 0.03  # a change of the rate by less is none
_STEP = math.log(1.6)  # of one stage to the next, at most
_CUT_LIMITS = 3.0  # after a change, windows of so many latency limits are cut: the queue settles ...
_CUT_TIMES = 2.0  # ... or of so many of its time constants
_STAGE_TIMES = 5.0  # a stage is at least so many of them long
_MOST_CUT, _MOST_OF_STAGE = 1 / 6, 1 / 3  # of all the time that the search has, at most
_QUEUES = 3.0  # so many times what a rate at its limit has in flight ...
_GROWN_WINDOWS = 2  # ... in so many windows on end: it grows without end (a pause is over sooner)
_LOCAL = 0.35  # stages farther from the answer, in logarithms, hardly count: the curve is this only nearby
_FAR_WEIGHT = 0.1
_STEEPNESS = np.exp(np.linspace(math.log(0.1), math.log(8.0), 21))
_STEEPNESS_LOG = ((0.99, math.log(1.3), 0.6), (0.01, math.log(0.6), 1.5))
"""How steep the curve is, as a multiple of the limit: 1 for exponential service, 2 for fixed service, less where
service times vary more, and much less where it is pauses that make arrivals late. Before anything is seen, its
logarithm is of two normal distributions: (share, mean, standard deviation). Source: the heavy-traffic tail
exp(-2 (1 - rho) k mu t / (1 + cv^2)) (Kingman, 1962)."""
_POINTS = 300
_STUDENT = 1.25  # how much the scatter itself is in doubt, as Student has it of a variance from ten batches
_SCATTER = 0.6  # before anything is seen, the scatter is so much of what theory says of exponential service ...
_BATCH_TIMES, _MOST_BATCH = 5.0, 16  # batches are so many time constants long, at most so many windows
_BELIEF = 3.0  # ... which is worth so many batches
_Array = np.ndarray


@dataclass(frozen=True, slots=True)
class SustainableRate:
    """The rate with its 95% interval, a second. `at_least`: the highest rate that was tried held, too."""

    rate: Interval
    at_least: bool = False


@dataclass(slots=True)
class _Stage:
    """Windows at one rate, without those in which the queue settled."""

    per_second: float
    windows: list[Window] = field(default_factory=list)


@dataclass(slots=True)
class SustainableSearch:
    """The state of one search; `observe` is called once a window and says what to do next.

    peak_per_second: the most that the closed loop gave, whether the threshold held there or not.
    """

    threshold: LatencyThreshold
    peak_per_second: float
    max_seconds: float = 60.0
    reason: str = ""
    _stages: list[_Stage] = field(default_factory=list)
    _elapsed: float = 0.0
    _settled: float = 0.0
    _waiting_rate: float = 0.0
    _grown: int = 0

    def __post_init__(self) -> None:
        self._stages.append(_Stage(_FIRST_SHARE * self.peak_per_second))

    @property
    def beginning(self) -> Rate:
        """The first rate."""
        return Rate(self._stages[0].per_second)

    def observe(self, window: Window) -> Instruction:
        """Take the next window and say what to do."""
        self._elapsed += window.duration_seconds
        if self._elapsed >= self.max_seconds:
            return self._stop(f"the open loop took {self.max_seconds:g} seconds")
        if self._waiting_rate:
            return self._drained(window)
        stage = self._stages[-1]
        if window.rate_per_second is None or not math.isclose(window.rate_per_second, stage.per_second):
            return Hold()  # of the load before
        self._settled += window.duration_seconds
        self._grown = self._grown + 1 if window.in_flight > _QUEUES * self._in_flight_at_limit(stage.per_second) else 0
        growing = self._grown >= _GROWN_WINDOWS
        if window.settling or (self._settled < self._cut_seconds() and not growing):
            return Hold()
        stage.windows.append(window)
        if not growing and _counted(stage.windows, self.threshold)[0] < _FEWEST_REQUESTS:
            return Hold()
        return self._next(window, growing)

    def found(self) -> SustainableRate | None:
        """What is known, at any time; None: not even whether the lowest rate holds."""
        told = [stage for stage in self._stages if stage.windows]
        if not told:
            return None
        rate = self._posterior().interval()
        if rate.low <= _NO_RATE * self._lowest and rate.value <= _HARDLY * self.peak_per_second:
            return None
        at_least = rate.low >= 0.9 * self._highest and rate.high >= self._highest
        return SustainableRate(rate, at_least)

    # --- steps ---

    @property
    def _highest(self) -> float:
        return HIGHEST_SHARE * self.peak_per_second

    @property
    def _lowest(self) -> float:
        return _LOWEST_SHARE * self.peak_per_second

    def _in_flight_at_limit(self, per_second: float) -> float:
        return per_second * self.threshold.limit_ms / 1000 + 10

    def _relaxation(self, per_second: float) -> float:
        """Seconds in which a queue with this load comes to its steady state, as far as theory tells."""
        return relaxation_seconds(per_second, self.peak_per_second)

    def _cut_seconds(self) -> float:
        times = _CUT_TIMES * self._relaxation(self._stages[-1].per_second)
        return min(max(times, _CUT_LIMITS * self.threshold.limit_ms / 1000), self.max_seconds * _MOST_CUT)

    def _next(self, window: Window, growing: bool) -> Instruction:
        posterior = self._posterior()
        interval, sure = posterior.interval(), posterior.interval(_SURE)
        now = self._stages[-1].per_second
        if sure.low <= now <= sure.high and not growing and self._too_short():
            return Hold()
        if interval.relative_half_width <= _NARROW and self._windows_near(interval.value) >= _FEWEST_WINDOWS:
            return self._stop("the rate is known well enough")
        if now >= self._highest and interval.low >= self._highest * 0.95:
            return self._stop("the highest rate that is tried held")
        wanted = self._wanted(interval)
        if abs(math.log(wanted / now)) < _NEAR:
            return Hold()
        if window.in_flight > self._in_flight_at_limit(wanted):
            self._waiting_rate = wanted
            return Rate(0.0)
        return self._go(wanted)

    def _windows_near(self, per_second: float) -> int:
        near = [stage for stage in self._stages if abs(math.log(stage.per_second / per_second)) <= _LOCAL]
        return sum(len(stage.windows) for stage in near)

    def _too_short(self) -> bool:
        """Whether a stage that may be the answer has not yet seen enough of its queue."""
        stage = self._stages[-1]
        windows = _STAGE_WINDOWS[len(self._stages) % len(_STAGE_WINDOWS)]
        wanted = max(windows, _STAGE_TIMES * self._relaxation(stage.per_second))
        return len(stage.windows) < min(wanted, self.max_seconds * _MOST_OF_STAGE)

    def _wanted(self, interval: Interval) -> float:
        """A little under and over the likeliest answer in turn, so that how steep the curve is becomes known, too."""
        now = self._stages[-1].per_second
        aside = _ASIDE if interval.relative_half_width < _ROUGHLY else 0.0
        wanted = interval.value * math.exp(aside if now < interval.value else -aside)
        return min(max(wanted, now * math.exp(-_STEP), self._lowest), now * math.exp(_STEP), self._highest)

    def _drained(self, window: Window) -> Instruction:
        """Nothing is sent until what waits is no more than the next rate would have. Its answers are of the stage that
        was left."""
        self._stages[-1].windows.append(window)
        if window.in_flight > self._in_flight_at_limit(self._waiting_rate) / 2:
            return Hold()
        wanted, self._waiting_rate = self._waiting_rate, 0.0
        return self._go(wanted)

    def _go(self, per_second: float) -> Instruction:
        self._settled, self._grown = 0.0, 0
        self._stages.append(_Stage(per_second))
        return Rate(per_second, redraw=True)

    def _stop(self, reason: str) -> Instruction:
        self.reason = reason
        return Stop(reason)

    def _posterior(self) -> Posterior:
        rows = [(stage.per_second, *_counted([one], self.threshold)) for stage in self._stages for one in stage.windows]
        return posterior(np.array(rows, dtype=float), self.threshold, self.peak_per_second)


def _counted(windows: Sequence[Window], threshold: LatencyThreshold) -> tuple[int, float]:
    """Arrivals that came to an end, and those over the limit. Failures count as many times as makes 1% of them break
    the threshold."""
    good = sum(window.succeeded for window in windows)
    failed = sum(window.failures for window in windows)
    late = sum(over_limit(window.latency, threshold.limit_ms * 1e6) for window in windows)
    broken = failed * (1 - threshold.percentile / 100) / FAILURE_LIMIT
    return good + failed, min(float(good + failed), max(late + failed, broken))


@dataclass(frozen=True, slots=True)
class Posterior:
    """How likely each rate is the one that holds: weights over a grid of their logarithms. `steepness`: the expected
    one of the curve, in log-odds a unit of rate."""

    logs: _Array
    weights: _Array
    steepness: float

    def interval(self, confidence: float = 0.95) -> Interval:
        """The median and the interval, as rates."""
        total = np.cumsum(self.weights)
        tail = (1 - confidence) / 2
        low, value, high = (math.exp(float(np.interp(at, total, self.logs))) for at in (tail, 0.5, 1 - tail))
        return Interval(value, low, high)


def relaxation_seconds(per_second: float, peak_per_second: float) -> float:
    """The time constant of a queue with k servers and exponential service, the longest there is among usual ones.

    Source: Morse, "Stochastic properties of waiting lines" (1955): 1 / (k mu (1 - sqrt(rho))^2).
    """
    load = min(per_second / peak_per_second, HIGHEST_SHARE)
    return 1 / (peak_per_second * (1 - math.sqrt(load)) ** 2)


def posterior(rows: _Array, threshold: LatencyThreshold, peak_per_second: float) -> Posterior:
    """What (rate, arrivals, arrivals over the limit) of each window, in the order of time, tell of the rate that holds
    the threshold."""
    logs = np.linspace(math.log(_LOWEST_SHARE * peak_per_second), math.log(peak_per_second), _POINTS)
    rates = rows[:, 0]
    theory = np.array([1 + rate * relaxation_seconds(rate, peak_per_second) for rate in rates])
    near, divided = np.ones(len(rows)), theory * _SCATTER
    for _ in range(3):  # what lies far from the answer hardly counts; how far, and how much counts say, the fit tells
        told = _fit(logs, rates, rows[:, 1:] * (near / divided)[:, None], threshold)
        answer = math.exp(float(told.logs @ told.weights))
        near = np.where(np.abs(np.log(rates / answer)) <= _LOCAL, 1.0, _FAR_WEIGHT)
        expected = 0.5 + 0.5 * np.tanh(0.5 * (_odds(threshold) + told.steepness * (rates - answer)))
        kept = near == 1.0 if (near == 1.0).any() else near > 0
        batch = _BATCH_TIMES * max(relaxation_seconds(rate, peak_per_second) for rate in rates[kept])
        scatter = correlation(rows[kept, 1:], expected[kept], theory[kept], min(max(1, round(batch)), _MOST_BATCH))
        divided = np.maximum(1.0, theory * scatter * _STUDENT)
    return _fit(logs, rates, rows[:, 1:] * (near / divided)[:, None], threshold)


def _odds(threshold: LatencyThreshold) -> float:
    """The logarithm of the odds of being over the limit where the threshold just holds."""
    share = 1 - threshold.percentile / 100
    return math.log(share / (1 - share))


def _fit(logs: _Array, rates: _Array, counts: _Array, threshold: LatencyThreshold) -> Posterior:
    """The weight of each rate of the grid, summed over how steep the curve may be."""
    places, which = np.unique(rates, return_inverse=True)
    joined = np.stack([np.bincount(which, counts[:, column]) for column in (0, 1)])
    steepness = _STEEPNESS * threshold.limit_ms / 1000
    odds = _odds(threshold) + steepness[None, :, None] * (places[None, None, :] - np.exp(logs)[:, None, None])
    likelihood = (joined[1] * odds - joined[0] * np.logaddexp(0.0, odds)).sum(axis=2)
    likelihood += np.log(sum(_normal_density(np.log(_STEEPNESS), *part) for part in _STEEPNESS_LOG))
    weights = np.exp(likelihood - likelihood.max())
    weights /= weights.sum()
    return Posterior(logs, weights.sum(axis=1), float(weights.sum(axis=0) @ steepness))


def _normal_density(values: _Array, share: float, mean: float, deviation: float) -> _Array:
    density: _Array = share / deviation * np.exp(-0.5 * ((values - mean) / deviation) ** 2)
    return density


def correlation(counts: _Array, expected: _Array, theory: _Array, windows: int) -> float:
    """By how much batches of windows scatter more than independent arrivals would, as a multiple of `theory`.

    counts: (arrivals, over the limit) of each window; `expected`: the share over it; `theory`: what would be expected
    of exponential service, where batches of so many `windows` are long enough. Longer ones tell of what theory does not
    know, such as pauses.
    """
    worst, believed = 0.0, _SCATTER
    for length in (windows, 2 * windows, 4 * windows):
        batches = len(counts) // length
        if batches < 2 and length > windows:
            break
        cut = batches * length
        rows, shares = counts[:cut], expected[:cut]
        left = (rows[:, 1] - rows[:, 0] * shares).reshape(batches, length).sum(axis=1)
        spread = (rows[:, 0] * shares * (1 - shares) * theory[:cut]).reshape(batches, length).sum(axis=1)
        squares = float((left**2 / np.maximum(spread, 1e-9)).sum())
        believed = (squares + believed * _BELIEF) / (batches + _BELIEF)
        worst = max(worst, believed)
    return worst
