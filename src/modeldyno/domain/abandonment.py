"""When a configuration cannot win any more: what it would have to reach, and what makes it sure that it does not.

The bar is the throughput at which a configuration would be as cheap an inference as the best that the job has measured.
One whose plateau lies under it beyond doubt is measured only until that is sure. "Beyond doubt" is, all together:

1. The plateau is known: throughput went flat, or the users that hold the threshold are found. Nothing is told before:
   CPU use at few users bounds nothing, since a server that batches needs less CPU a request under more load.
2. The upper end of the 95% interval of its throughput, and the most that any level gave with its scatter, lie more than
   `MARGIN` under the bar. The bar itself is counted from the lower end of the best one's interval.
3. Its windows do not say that it may be faster than they show: a generator that was busy, time that passed outside the
   server, a trend. What others on the host took, and what the generator waited for its core, lowers the bar twice over
   (as comparisons widen their intervals).
4. It would stay under the bar even if it went on speeding up for `WARM_UP_SECONDS` more as fast as its windows allow: a
   server that is still warming up is not given up.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from modeldyno.domain.catalog import InstanceType
from modeldyno.domain.job import JobSpec
from modeldyno.domain.measurement import Window
from modeldyno.domain.quality import flags_of
from modeldyno.domain.statistics import student, throughput_interval
from modeldyno.domain.trial import Flag, Trial, TrialStatus

MARGIN = 0.10
"""How far under the bar is far. What a plateau may hide adds up to this: a peak between two doubled levels lies at most
6% above the higher one (Universal Scalability Law), the beginning of the plateau up to 3% under it, and two deployments
of one thing 1% apart (0.7% each)."""
WARM_UP_SECONDS = 90.0
"""How far a rise is thought on. Chosen: models that load or compile lazily are warm within a minute, and throughput
rises faster towards the end of a steady warm-up than at its beginning."""
FEWEST_WINDOWS = (
    8  # fewer hardly show a trend: with 5, a noisy winner that warmed up for a minute was given up thrice as often
)
_FEWEST_REQUESTS = 100  # fewer give no interval of a P95, and the latency has to stay right, too
_MOST_WINDOWS = 10  # a slow model need not have so many requests
_STILL_MOVING = 0.05  # a rise by so much in `WARM_UP_SECONDS`, as good as sure, is a warm-up
_AS_GOOD_AS_SURE = 0.8
_FASTER = frozenset({Flag.GENERATOR_BUSY, Flag.LITTLES_LAW, Flag.TREND, Flag.CPU_DRIFT})
_UNSURE = frozenset({Flag.CLOSE_CALL, Flag.TREND})  # of the best: it may be no bar after all


@dataclass(frozen=True, slots=True)
class Bar:
    """Throughput, in invocations a second, that a configuration needs to be as good as the best; `told`: for what."""

    per_second: float
    told: str

    def lowered(self, share: float) -> Bar:
        """For a configuration of whose cores, or time, others took this share (0..1): they may have cost it twice that,
        by our assumption."""
        return Bar(self.per_second * max(0.0, 1 - 2 * share), self.told)

    def far_above(self, per_second: float) -> bool:
        """Whether a throughput is clearly too low."""
        return per_second < self.per_second * (1 - MARGIN)

    def words(self, per_second: float) -> str:
        """Why a configuration of that throughput was given up."""
        return (
            f"cannot win: about {per_second * 60:.0f} invocations a minute, where about {self.per_second * 60:.0f} "
            f"would be needed to be {self.told}; it was measured only until that was sure, so its intervals are wider"
        )


def bar_of(spec: JobSpec, kind: InstanceType, trials: Iterable[Trial]) -> Bar | None:
    """What a configuration on this type must reach, as far as the job's trials have shown; None: nothing yet.

    Like is held against like: priced types by cost, types without a price by throughput, as the ranking has it. There
    is no bar where every configuration is to be measured, where the load is given (Advanced jobs), and with a target:
    the throughputs are then no capacities, and the question is who carries the target.
    """
    if spec.thorough or spec.traffic is not None or spec.rules.target_per_minute is not None:
        return None
    own = [trial for trial in trials if trial.spec.existing is None]
    bars = [bar for trial in own if (bar := _bar_by(trial, kind)) is not None]
    return max(bars, key=lambda bar: bar.per_second, default=None)


def _bar_by(best: Trial, kind: InstanceType) -> Bar | None:
    other, result = best.spec.instance_type, best.result
    if best.status is not TrialStatus.COMPLETED or result is None or _UNSURE & result.flags.keys():
        return None
    low = result.figures.capacity_low_per_minute
    if low is None or low <= 0 or other.priced != kind.priced:
        return None
    name = best.spec.told
    if not kind.priced:
        return Bar(low / 60, f"as fast as {name}")
    if not kind.usd_per_hour or not other.usd_per_hour:  # a price of 0 is beaten by none
        return None
    return Bar(low / 60 * kind.usd_per_hour / other.usd_per_hour, f"as cheap as {name}")


def enough_to_tell(windows: Sequence[Window]) -> bool:
    """Whether these fresh windows can carry figures, if roughly."""
    requests = sum(window.succeeded for window in windows)
    return len(windows) >= FEWEST_WINDOWS and (requests >= _FEWEST_REQUESTS or len(windows) >= _MOST_WINDOWS)


def out_of_reach(bar: Bar, most_per_second: float, fresh: Sequence[Window], same_users: Sequence[Window]) -> bool:
    """Whether the bar is beyond doubt too high.

    most_per_second: what the levels gave at most, with their scatter. fresh: windows at the answer. same_users: those
    and the ones before at the same number of users, in order of time.
    """
    seconds = sum(window.duration_seconds for window in fresh) or 1.0
    bar = bar.lowered(sum(window.generator_delay_seconds for window in fresh) / seconds)
    interval = throughput_interval(fresh)
    if interval is None or not bar.far_above(max(most_per_second, interval.high)):
        return False
    flags = flags_of(fresh, relative_half_width=0.0, foreign_share=None, stopped=False)
    if _FASTER & flags.keys():
        return False
    rise = WARM_UP_SECONDS * growth(same_users)[1]
    still_moving = WARM_UP_SECONDS * growth(same_users, _AS_GOOD_AS_SURE)[0] > _STILL_MOVING
    return not still_moving and bar.far_above(interval.value * math.exp(min(rise, 50.0)))


def growth(windows: Sequence[Window], confidence: float = 0.95) -> tuple[float, float]:
    """The interval of the throughput's relative growth a second over windows of one number of users, by least squares;
    with fewer than four it may be anything.

    In a closed loop throughput is users over mean latency, which scatters less than the number of answers in a second.
    """
    means = [window.latency.mean_ns() for window in windows]
    if len(windows) < 4 or not all(means):
        return -math.inf, math.inf
    rates = 1 / np.array(means, dtype=float)
    times = np.array([window.started_at + window.duration_seconds / 2 for window in windows])
    times -= times.mean()
    mean, spread = float(rates.mean()), float((times**2).sum())
    if mean <= 0 or spread <= 0:
        return -math.inf, math.inf
    slope = float((times * rates).sum()) / spread
    rest = rates - mean - slope * times
    error = math.sqrt(float((rest**2).sum()) / (len(rates) - 2) / spread)
    half = student(confidence, len(rates) - 2) * error
    return (slope - half) / mean, (slope + half) / mean
