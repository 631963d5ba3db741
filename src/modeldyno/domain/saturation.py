"""Is throughput flat? The search for the capacity of one configuration in a Default job.

1. Users double: 1, 2, 4, ... Each level is held for a settling window (dropped) and then until it has enough requests.
2. A level ends the rise when its throughput is less than 8% above the level before (flat), when the latency
percentile is
   over the threshold, or when 1% of its invocations fail.
3. Without a threshold the answer is the *beginning* of the plateau: the smallest level within 3% of the best one.
   With a threshold that broke, the users between the last level that held and the first that broke are narrowed.
4. The figures come from fresh contiguous windows at the answer, taken until the interval of the throughput is narrow:
   never from the windows that chose it. Should they fall short of the plateau, the next level up is taken instead.
5. A target for invocations a minute, once reached, ends the search at that level.

Source: the rule "until saturation or 1% of invocations fail" is of AWS's auto-scaling notebook; "the time
point when the
Invocations graph first begins to level out" of the developer guide, interpret-results. The 8% and the fresh windows are
ours: doubling with them found capacities within 3% in experiments with known truth.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from modeldyno.domain.job import StoppingRules
from modeldyno.domain.measurement import Window, failure_share, merged_latency
from modeldyno.domain.stopping import (
    FAILURE_LIMIT,
    Hold,
    Instruction,
    Measured,
    Stop,
    Users,
    failing,
    hopeless,
    percentile_ms,
)

FLAT_GAIN = 0.08
PLATEAU_SHARE = 0.97
_SETTLE_WINDOWS = 1
_FIRST_SETTLE_WINDOWS = 2
_ENOUGH_REQUESTS = 200
_MAX_LEVEL_WINDOWS = 4
_MIN_FRESH_WINDOWS = 4
_MAX_FRESH_WINDOWS = 12
_FEWEST_REQUESTS = 20
_OVERTIME = 1.5  # fresh windows of a slow model may take this much more than the search itself
_NARROW = 0.02
_T_95 = 2.2  # two-sided Student t for about ten windows


@dataclass(frozen=True, slots=True)
class Level:
    """What one number of users gave. `broke` says why it cannot be the answer, None when it can."""

    users: int
    per_second: float
    latency_ms: float | None
    broke: str | None


class _Phase(StrEnum):
    RISING = "rising"
    NARROWING = "narrowing"
    FRESH = "fresh"


@dataclass(slots=True)
class SaturationSearch:
    """The state of one search; `observe` is called once a window and says what to do next (a `stopping.Policy`)."""

    rules: StoppingRules
    max_users: int = 512
    max_seconds: float = 120.0
    users: int = 1
    reason: str = ""
    _phase: _Phase = _Phase.RISING
    _seen: list[Window] = field(default_factory=list)
    _windows: list[Window] = field(default_factory=list)
    _levels: list[Level] = field(default_factory=list)
    _elapsed: float = 0.0
    _warmup: float = 0.0

    def observe(self, window: Window) -> Instruction:
        """Take the next window and say what to do."""
        self._elapsed += window.duration_seconds
        self._seen.append(window)
        if window.users != self.users or len(self._seen) <= self._settle():
            if self._phase is not _Phase.FRESH:
                self._warmup += window.duration_seconds
            return self._broken_at_start() or Hold()
        self._windows.append(window)
        if self._phase is _Phase.FRESH:
            return self._fresh()
        if (broken := self._broken_at_start()) is not None:
            return broken
        if not self._level_known():
            return Hold()
        return self._next_level()

    def measured(self) -> Measured:
        """The windows that the figures rest on: the fresh ones, or what there is when it was cut short."""
        windows = tuple(self._windows) or tuple(self._seen)
        return Measured(windows, self.users, self._warmup, self.reason, self._failure())

    def _failure(self) -> str | None:
        held = [level for level in self._levels if level.broke is None]
        if held or not self._levels:
            return None
        return self._levels[-1].broke

    def _settle(self) -> int:
        return _FIRST_SETTLE_WINDOWS if not self._levels and self._phase is _Phase.RISING else _SETTLE_WINDOWS

    def _broken_at_start(self) -> Instruction | None:
        """A model that fails from the first window on needs no more of them."""
        why = None if self._levels else hopeless(self._seen)
        if why is None:
            return None
        self._levels.append(Level(self.users, 0.0, None, why))
        return self._stop(why)

    def _level_known(self) -> bool:
        requests = sum(window.succeeded + window.failures for window in self._windows)
        if self._elapsed >= self.max_seconds or requests >= _ENOUGH_REQUESTS:
            return True
        if len(self._windows) < _MAX_LEVEL_WINDOWS:
            return False
        return requests >= _FEWEST_REQUESTS  # a slow model: hold until there is something to tell

    def _next_level(self) -> Instruction:
        level = _level(self.users, self._windows, self.rules)
        before = self._levels[-1] if self._levels else None
        self._levels.append(level)
        if self._phase is _Phase.NARROWING or level.broke:
            return self._narrow()
        target = self.rules.target_per_minute
        if target is not None and level.per_second * 60 >= target:
            return self._take_fresh(level.users, f"the target of {target} invocations a minute was reached")
        flat = before is not None and level.per_second < before.per_second * (1 + FLAT_GAIN)
        if flat and self.rules.stop_when_flat:
            return self._take_fresh(self._plateau(), "throughput went flat")
        if self.users >= self.max_users:
            return self._take_fresh(self._plateau(), f"the limit of {self.max_users} users was reached")
        if self._elapsed >= self.max_seconds:
            return self._take_fresh(self._plateau(), f"the load took {self.max_seconds:g} seconds")
        return self._go(min(self.users * 2, self.max_users))

    def _narrow(self) -> Instruction:
        """Between the highest level that held and the lowest above it that broke."""
        self._phase = _Phase.NARROWING
        held = [level for level in self._levels if level.broke is None]
        broke = [level for level in self._levels if level.broke is not None]
        if not held:
            return self._stop(broke[-1].broke or "")
        low = max(level.users for level in held)
        high = min((level.users for level in broke if level.users > low), default=low)
        why = next((level.broke for level in broke if level.users == high), None) or "a threshold was reached"
        gained = max(level.per_second for level in held)
        flat = len(held) > 1 and gained < sorted(level.per_second for level in held)[-2] * (1 + FLAT_GAIN)
        close = high - low <= max(1, low // 8) or flat or self._elapsed >= self.max_seconds * 0.8
        if close:
            return self._take_fresh(self._plateau(), why)
        return self._go((low + high) // 2)

    def _plateau(self) -> int:
        held = [level for level in self._levels if level.broke is None]
        best = max(level.per_second for level in held)
        return min(level.users for level in held if level.per_second >= PLATEAU_SHARE * best)

    def _go(self, users: int) -> Instruction:
        self.users = users
        self._seen, self._windows = [], []
        return Users(users)

    def _take_fresh(self, users: int, reason: str) -> Instruction:
        self._phase = _Phase.FRESH
        self.reason = reason
        self.users = users
        self._seen, self._windows = [], []
        return Users(users, redraw=True)

    def _fresh(self) -> Instruction:
        if self._elapsed >= self.max_seconds * _OVERTIME:
            return self._stop(self.reason)
        requests = sum(window.succeeded for window in self._windows)
        if len(self._windows) < _MIN_FRESH_WINDOWS or requests < _FEWEST_REQUESTS:
            return Hold()
        if relative_half_width(self._windows) > _NARROW and len(self._windows) < _MAX_FRESH_WINDOWS:
            return Hold()
        higher = self._higher()
        return self._stop(self.reason) if higher is None else self._take_fresh(higher, self.reason)

    def _higher(self) -> int | None:
        """The next level up, when the fresh windows show that the plateau does not begin here after all."""
        fresh = _level(self.users, self._windows, self.rules)
        held = [level for level in self._levels if level.broke is None]
        if fresh.per_second >= PLATEAU_SHARE * max(level.per_second for level in held):
            return None
        return min((level.users for level in held if level.users > self.users), default=None)

    def _stop(self, reason: str) -> Instruction:
        self.reason = reason
        return Stop(reason)


def relative_half_width(windows: Sequence[Window]) -> float:
    """Half of the 95% interval of the mean throughput over it, from the scatter of the windows; inf when unknown."""
    rates = [window.per_second for window in windows]
    if len(rates) < 2 or not any(rates):
        return math.inf
    return _T_95 * statistics.stdev(rates) / math.sqrt(len(rates)) / statistics.fmean(rates)


def _level(users: int, windows: Sequence[Window], rules: StoppingRules) -> Level:
    seconds = sum(window.duration_seconds for window in windows)
    good = sum(window.succeeded for window in windows)
    latency = percentile_ms(merged_latency(windows), rules.percentile)
    return Level(users, good / seconds if seconds else 0.0, latency, _broke(users, windows, latency, rules))


def _broke(users: int, windows: Sequence[Window], latency: float | None, rules: StoppingRules) -> str | None:
    if failure_share(windows) >= FAILURE_LIMIT or latency is None:
        return failing(windows)
    limit = rules.threshold
    if limit is not None and latency > limit.limit_ms:
        load = f"{users} user" if users == 1 else f"{users} users"
        over = f"over the threshold of {limit.limit_ms} ms"
        return f"the p{limit.percentile:g} latency was {latency:.1f} ms at {load}, {over}"
    return None
