"""Is throughput flat? The search for the capacity of one configuration in a Default job.

1. Users double: 1, 2, 4, ... A level is held until its throughput is known well enough to be compared: from the scatter
   of its latencies, since in a closed loop throughput is users over mean latency. Settling windows never count.
2. A level ends the rise when its throughput is less than 8% above the level before (flat), when the latency percentile
   is over the threshold, or when 1% of its invocations fail. The threshold is tested one look after the other, each at
   its share of the level: a clear case costs few requests, a close one as many as there is time for.
3. Without a threshold the answer is the *beginning* of the plateau: the smallest level within 3% of the best one.
   With a threshold that broke, the users between the last level that held and the first that broke are narrowed.
4. The figures come from fresh windows at the answer, over connections that are drawn anew, taken until the interval of
   the throughput is narrow: never from the windows that chose it. What warms up there is cut. Should they clearly fall
   short of the plateau, or break the threshold after all, the next level up or down is taken instead; should the
   server have become clearly faster meanwhile (it was still warming up), the rise goes on from there.
   A model that changes, even slowly, is watched until a trend would show; where answers came that took far longer than
   usual (a pause, a costly request), all fresh windows are taken, so that several of them are in the figures.
5. A target for invocations a minute, once reached, ends the search at that level.
6. Where the job has measured a better configuration already, a plateau that lies far under what this one would need
   (its `bar`) is measured only until that is sure (domain/abandonment.py).

Source: the rule "until saturation or 1% of invocations fail" is of AWS's auto-scaling notebook; "the time point when
the Invocations graph first begins to level out" of the developer guide, interpret-results. The 8% and the fresh windows
are ours: with them, simulated and real servers of known truth are found within 3%.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from modeldyno.domain.abandonment import Bar, enough_to_tell, out_of_reach
from modeldyno.domain.job import StoppingRules
from modeldyno.domain.level import (
    FAILURE_ALPHA,
    FLAT_GAIN,
    MAX_FRESH_WINDOWS,
    SURE,
    Level,
    count_of,
    fails,
    is_flat,
    level_of,
)
from modeldyno.domain.measurement import Window, merged_latency, throughput_per_second
from modeldyno.domain.statistics import (
    alpha_of_look,
    outliers,
    passes_ns,
    rarer_than,
    relative_error_of_mean,
    relative_half_width,
    trend,
    unexplained_share,
    warmup_windows,
)
from modeldyno.domain.stopping import (
    FAILURE_LIMIT,
    Hold,
    Instruction,
    Measured,
    Stop,
    Users,
    failing,
    hopeless,
)

PLATEAU_SHARE = 0.97
THRESHOLD_ALPHA = 0.01
_FEWEST_REQUESTS = 20
_LEVEL_ERROR = 0.035  # relative standard error at which two levels can be told apart by 8%
_MAX_LEVEL_WINDOWS = 6
_WILD_ERROR = 0.10  # above it not even a doubling is told for sure: such a level is held longer
_MAX_WILD_WINDOWS = 20
_UNEXPLAINED = 0.15  # users that wait for an answer still: a pause, or a costly request, is under way
_MAX_THRESHOLD_WINDOWS = 12
_MIN_FRESH_WINDOWS = 3
_REDRAW_EVERY = 8  # fresh windows on one draw of connections
_NARROW = 0.025
_CHANGED = 0.03  # a model that changed by this since its level was chosen is watched until a trend would show,
_CHANGES = 0.01  # and so is one that changes by this from the first fresh window to the last
_MIN_CHANGED_WINDOWS = 10
_DRIFT = 0.05
_MOST_ANSWERS = 3  # fresh windows are begun so often at most
_ENOUGH_SECONDS = 56.0  # of load: one whose figures can be given ends by then, however wide their intervals
_SOON_SECONDS = 15.0  # until then an answer is still exchanged for one that gives a little more
_ENOUGH_WINDOWS, _ENOUGH_REQUESTS = 10, 100  # fresh ones that can carry figures
_SWAYING_WINDOWS, _SWAYING = 18, 3.0  # fresh ones, and by how much their interval is wider than answers explain
_OVERTIME = 1.5  # fresh windows of a slow model may take this much more than the search itself


class _Phase(StrEnum):
    RISING = "rising"
    NARROWING = "narrowing"
    FRESH = "fresh"


@dataclass(slots=True)
class SaturationSearch:
    """The state of one search; `observe` is called once a window and says what to do next (a `stopping.Policy`).

    bar: what the configuration must reach to win; may be changed between windows, as others are measured.
    """

    rules: StoppingRules
    max_users: int = 512
    max_seconds: float = 120.0
    users: int = 1
    reason: str = ""
    bar: Bar | None = None
    _phase: _Phase = _Phase.RISING
    _seen: list[Window] = field(default_factory=list)
    _windows: list[Window] = field(default_factory=list)
    _levels: dict[int, Level] = field(default_factory=dict)
    _looks: int = 0
    _elapsed: float = 0.0
    _warmup: float = 0.0
    _answers: int = 0
    _uneven: bool = False
    _base_ns: float | None = None
    _before: list[Window] = field(default_factory=list)
    _cannot_win: str | None = None

    @property
    def beginning(self) -> Users:
        """The first level."""
        return Users(self.users)

    @property
    def peak_per_second(self) -> float:
        """The most that a level gave, whether it held or not; 0 before the first is known."""
        return max((level.per_second for level in self._levels.values()), default=0.0)

    def observe(self, window: Window) -> Instruction:
        """Take the next window and say what to do."""
        self._elapsed += window.duration_seconds
        self._seen.append(window)
        if window.settling or window.users != self.users:
            self._warmup += window.duration_seconds
        else:
            self._windows.append(window)
            self._uneven = self._uneven or self._is_uneven(window)
        if not self._levels and (why := hopeless(self._seen)) is not None:
            self._levels[self.users] = Level(self.users, 0.0, 0.0, why)
            return self._stop(why)
        if window.settling or not self._windows:
            return Hold()
        if self._phase is _Phase.FRESH:
            return self._fresh()
        return self._next_level() if self._level_known() else Hold()

    def measured(self) -> Measured:
        """The windows that the figures rest on: the fresh ones, or what there is when it was cut short."""
        windows = self._windows or [window for window in self._seen if not window.settling] or self._seen
        fresh = self._phase is _Phase.FRESH and not self._uneven  # a pause is no warm-up
        cut = warmup_windows(windows) if fresh and len(windows) > 2 * _MIN_FRESH_WINDOWS else 0
        warmup = self._warmup + sum(window.duration_seconds for window in windows[:cut])
        rest = tuple(windows[cut:])
        failure, undecided = self._failure(), self._undecided(rest)
        told, height = self._cannot_win, self._height(rest)
        return Measured(rest, self.users, warmup, self.reason, failure, undecided, told, height)

    def _height(self, windows: Sequence[Window]) -> float | None:
        """The most that a level gave that held, as far as it belongs to the same plateau as the answer."""
        best = max((level.per_second for level in self._held()), default=0.0)
        answer = throughput_per_second(windows)
        return min(best, answer / PLATEAU_SHARE) if self._phase is _Phase.FRESH and best > answer else None

    def _undecided(self, windows: Sequence[Window]) -> bool:
        """Whether the threshold is too close to tell."""
        threshold = self.rules.threshold
        if threshold is None:
            return False
        alpha = alpha_of_look(max(1, self._looks), THRESHOLD_ALPHA)
        return passes_ns(merged_latency(windows), threshold.percentile, threshold.limit_ms * 1e6, alpha) is None

    def _failure(self) -> str | None:
        if self._phase is _Phase.FRESH and fails(self._windows):
            return failing(self._windows)
        if self._held() or not self._levels:
            return None
        return min(self._levels.values(), key=lambda level: level.users).broke

    def _held(self) -> list[Level]:
        return sorted((level for level in self._levels.values() if level.broke is None), key=lambda level: level.users)

    def _is_uneven(self, window: Window) -> bool:
        """Whether some of its answers took far longer than is usual."""
        usual = merged_latency(self._windows).quantile_ns(0.5)
        if usual is None:
            return False
        self._base_ns = usual if self._base_ns is None else self._base_ns
        return outliers(window.latency, usual, self._base_ns) > 0

    # --- levels ---

    def _level_known(self) -> bool:
        """Whether the windows of this level can be compared with another's."""
        latency = merged_latency(self._windows)
        requests = latency.count + sum(window.failures for window in self._windows)
        if self._elapsed >= self.max_seconds:
            return True
        if requests < _FEWEST_REQUESTS:
            return False
        windows = len(self._windows)
        most = _MAX_LEVEL_WINDOWS if self._hopeless() else _MAX_THRESHOLD_WINDOWS
        if self.rules.threshold is not None and self._passes() is None and windows < most:
            return False
        error = relative_error_of_mean(latency)
        if windows >= _MAX_LEVEL_WINDOWS:
            return error <= _WILD_ERROR or windows >= _MAX_WILD_WINDOWS
        return error <= _LEVEL_ERROR and not self._waiting()

    def _waiting(self) -> bool:
        """Whether more of the users than at the levels before got no answer meanwhile: what the windows say of this
        level is not over (Little's law). At the first level it does no harm: the rise goes on from it anyway."""
        before = [level.unexplained for level in self._levels.values()]
        return bool(before) and unexplained_share(self._windows) > _UNEXPLAINED + max(before)

    def _passes(self) -> bool | None:
        """The threshold on this level's windows, as one more look."""
        threshold = self.rules.threshold
        if threshold is None:
            return True
        self._looks += 1
        alpha = alpha_of_look(self._looks, THRESHOLD_ALPHA)
        return passes_ns(merged_latency(self._windows), threshold.percentile, threshold.limit_ms * 1e6, alpha)

    def _next_level(self) -> Instruction:
        before = self._held()
        level = level_of(self.users, self._windows, self.rules)
        self._levels[self.users] = level
        if self._phase is _Phase.NARROWING or level.broke:
            return self._narrow()
        target = self.rules.target_per_minute
        if target is not None and level.per_second * 60 >= target:
            return self._take_fresh(level.users, f"the target of {target} invocations a minute was reached")
        why = self._why_not_higher(level, before[-1] if before else None)
        return self._go(min(self.users * 2, self.max_users)) if why is None else self._take_fresh(self._plateau(), why)

    def _why_not_higher(self, level: Level, before: Level | None) -> str | None:
        flat = before is not None and level.per_second < before.per_second * (1 + FLAT_GAIN)
        if flat and self.rules.stop_when_flat:
            return "throughput went flat"
        if self.users >= self.max_users:
            return f"the limit of {self.max_users} users was reached"
        if self._elapsed >= self.max_seconds:
            return f"the load took {self.max_seconds:g} seconds"
        return None

    def _narrow(self) -> Instruction:
        """Between the highest level that held and the lowest above it that broke."""
        self._phase = _Phase.NARROWING
        held = self._held()
        if not held:
            return self._stop(self._failure() or "")
        low = held[-1].users
        broke = min((x for x in self._levels.values() if x.users > low), key=lambda x: x.users, default=None)
        why = (broke.broke if broke else None) or "a threshold was reached"
        high = broke.users if broke else low
        if high - low <= max(1, low // 8) or is_flat(held) or self._elapsed >= self.max_seconds * 0.8:
            return self._take_fresh(self._plateau(), why)
        return self._go((low + high) // 2)

    def _plateau(self) -> int:
        held = self._held()
        best = max(level.per_second for level in held)
        return next(level.users for level in held if level.per_second >= PLATEAU_SHARE * best)

    def _go(self, users: int) -> Instruction:
        self.users = users
        self._looks = 0
        self._warmup += sum(window.duration_seconds for window in self._windows)
        self._before += self._windows
        self._seen, self._windows = [], []
        return Users(users)

    # --- fresh windows ---

    def _take_fresh(self, users: int, reason: str) -> Instruction:
        self._go(users)
        self._phase = _Phase.FRESH
        self._answers += 1
        self.reason = reason
        return Users(users, redraw=True)

    def _fresh(self) -> Instruction:
        windows = self._windows
        over = self._elapsed >= self.max_seconds * _OVERTIME
        requests = sum(window.succeeded for window in windows)
        if not over and (len(windows) < _MIN_FRESH_WINDOWS or requests < _FEWEST_REQUESTS):
            return Hold()
        enough = len(windows) >= _ENOUGH_WINDOWS and requests >= _ENOUGH_REQUESTS and self.rules.threshold is None
        late = enough and self._failures_decided() and (self._elapsed >= _ENOUGH_SECONDS or self._sways())
        known = over or late or len(windows) >= MAX_FRESH_WINDOWS or self._settled()
        if not known and not self._hopeless():
            return Users(self.users, redraw=True) if len(windows) % _REDRAW_EVERY == 0 else Hold()
        answer = self._stop(self.reason) if over else self._checked()
        return answer if known or not isinstance(answer, Stop) else self._give_up()

    def _settled(self) -> bool:
        """Whether the throughput is known well enough and goes nowhere, and the threshold is decided."""
        latency = merged_latency(self._windows)
        error = max(relative_half_width(self._windows), 1.96 * relative_error_of_mean(latency))
        if self._uneven or not self._failures_decided():
            return False  # what comes now and then has to come several times
        if len(self._windows) < _MIN_CHANGED_WINDOWS and self._changed():
            return False
        return error <= _NARROW and abs(trend(self._windows)) <= _DRIFT and self._passes() is not None

    def _sways(self) -> bool:
        """Whether throughput goes up and down for seconds, by far more than the scatter of single answers explains, as
        on a host whose caches or clock others share: further windows would tell little. A trend is none of it, nor is
        what comes now and then: those are waited for."""
        if self._uneven or len(self._windows) < _SWAYING_WINDOWS or trend(self._windows):
            return False
        explained = 1.96 * relative_error_of_mean(merged_latency(self._windows))
        return relative_half_width(self._windows) > _SWAYING * explained

    def _changed(self) -> bool:
        """Whether the model is another than when this level was chosen, or changes now: it may still be on its way."""
        fresh, known = level_of(self.users, self._windows, self.rules), self._levels[self.users]
        first, last = (level_of(self.users, [self._windows[place]], self.rules) for place in (0, -1))
        return fresh.surely_slower_or_faster(known, _CHANGED) or last.surely_slower_or_faster(first, _CHANGES)

    def _failures_decided(self) -> bool:
        """Whether it is clear on which side of its limit the share of failures is."""
        failures = sum(window.failures for window in self._windows)
        return not failures or rarer_than(FAILURE_LIMIT, failures, count_of(self._windows), FAILURE_ALPHA) is not None

    def _checked(self) -> Instruction:
        """The answer, unless the fresh windows show that it lies elsewhere."""
        fresh = level_of(self.users, self._windows, self.rules)
        known = self._levels[self.users]
        if self._answers >= _MOST_ANSWERS or self._elapsed >= self.max_seconds:
            return self._stop(fresh.broke or self.reason)
        if fresh.broke is not None:
            self._levels[self.users] = fresh
            lower = [level.users for level in self._held() if level.users < self.users]
            return self._take_fresh(max(lower), fresh.broke) if lower else self._stop(fresh.broke)
        if fresh.surely_above(known, 1 + FLAT_GAIN):
            return self._rise_again(fresh)
        if self._elapsed >= _SOON_SECONDS:  # the next level's figures would be hardly other, and late
            return self._stop(self.reason)
        better = [x.users for x in self._held() if x.users > self.users and x.surely_above(fresh, 1 / PLATEAU_SHARE)]
        return self._take_fresh(min(better), self.reason) if better else self._stop(self.reason)

    def _rise_again(self, fresh: Level) -> Instruction:
        """The server was still warming up when the levels were compared: what they said no longer holds."""
        self._levels = {fresh.users: fresh}
        self._phase = _Phase.RISING
        return self._go(min(fresh.users * 2, self.max_users))

    # --- what cannot win ---

    def _hopeless(self) -> bool:
        """Whether this configuration is out of the running; while users are narrowed, only whether it will be."""
        bar, most = self.bar, self._most()
        if bar is None or most is None:
            return False
        if self._phase is not _Phase.FRESH:
            return bar.far_above(most)
        same = [window for window in self._before if window.users == self.users] + self._windows
        return enough_to_tell(self._windows) and out_of_reach(bar, most, self._windows, same)

    def _most(self) -> float | None:
        """The throughput that the levels leave possible, with their scatter; None while it may still rise.

        Between the last level that held and the first that broke: a request takes no less time with more users, so
        throughput grows by no more than the users do.
        """
        held = self._held()
        if not held:
            return None
        most = max(level.per_second * (1 + SURE * level.error) for level in held)
        if is_flat(held):
            return most
        broke = [users for users in self._levels if users > held[-1].users]
        return most * (min(broke) - 1) / held[-1].users if broke else None

    def _give_up(self) -> Instruction:
        fresh = level_of(self.users, self._windows, self.rules)
        if self.bar is not None and self._failure() is None:
            self._cannot_win = self.bar.words(fresh.per_second)
        return self._stop(f"{self.reason}, and the configuration cannot win")

    def _stop(self, reason: str) -> Instruction:
        self.reason = reason
        return Stop(reason)
