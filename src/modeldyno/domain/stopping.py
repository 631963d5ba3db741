"""Continue, or stop and why: the rules that end a load, and the policy of an Advanced job's traffic pattern.

A `Policy` is asked once a window. Rules are small functions of what was seen: (windows at this number of
users, rules) ->
reason or None.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from modeldyno.domain.job import StoppingRules
from modeldyno.domain.latency import LatencyHistogram
from modeldyno.domain.measurement import Window, failure_share, merged_latency, throughput_per_second
from modeldyno.domain.traffic import Traffic, stages, users_at

FAILURE_LIMIT = 0.01
"""Share of failed invocations that ends a load. Source: AWS's auto-scaling notebook ("1% of invocations fail")."""

_RULE_WINDOWS = (
    5  # a rule looks at this many contiguous windows of one number of users: one noisy second decides nothing
)
_THROTTLED_WINDOWS = 10  # chosen: the figures rest on them
_FLAT_SHARE = 0.25
_PLATEAU_SHARE = 0.97


@dataclass(frozen=True, slots=True)
class Hold:
    """Keep the users."""


@dataclass(frozen=True, slots=True)
class Users:
    """Change to this many users; `redraw` opens their connections anew."""

    users: int
    redraw: bool = False


@dataclass(frozen=True, slots=True)
class Stop:
    """End the load, for this reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class Rate:
    """Change to open-loop arrivals of this rate, Poisson; 0: none, and what waits is still served. `redraw`: as of
    `Users`."""

    per_second: float
    redraw: bool = False


Instruction = Hold | Users | Rate | Stop


@dataclass(frozen=True, slots=True)
class Measured:
    """What the figures rest on: contiguous windows at `users`, what was cut before, why it ended.

    `failure` is set when no level held: the configuration cannot be recommended, and why. `undecided`: the percentile
    is too close to its threshold to tell whether it holds. `cannot_win`: it was not measured longer than that took to
    tell, in words. `plateau_per_second`: where the answer is the beginning of a plateau, what its height may be.
    """

    windows: tuple[Window, ...]
    users: int
    warmup_seconds: float
    reason: str
    failure: str | None = None
    undecided: bool = False
    cannot_win: str | None = None
    plateau_per_second: float | None = None


class Policy(Protocol):
    """Who decides the load of one trial."""

    @property
    def beginning(self) -> Users | Rate:
        """The load to begin with."""
        ...

    def observe(self, window: Window) -> Instruction:
        """Take the next window and say what to do."""
        ...


class ClosedLoopPolicy(Policy, Protocol):
    """One that decides the number of users, and so the figures of a closed loop."""

    users: int

    def measured(self) -> Measured:
        """What the figures rest on, at any time."""
        ...


def percentile_ms(latency: LatencyHistogram, percentile: float) -> float | None:
    """A percentile (0..100) in milliseconds; None when nothing was answered."""
    value = latency.quantile_ns(percentile / 100)
    return None if value is None else value / 1e6


Rule = Callable[[Sequence[Window], StoppingRules], str | None]


def too_many_failures(windows: Sequence[Window], rules: StoppingRules) -> str | None:
    """1% of the invocations failed."""
    share = failure_share(windows)
    if share < FAILURE_LIMIT or sum(window.failures for window in windows) < 3:
        return None
    return failing(windows)


def over_threshold(windows: Sequence[Window], rules: StoppingRules) -> str | None:
    """The latency percentile is over its threshold."""
    limit = rules.threshold
    latency = percentile_ms(merged_latency(windows), rules.percentile)
    if limit is None or latency is None or latency <= limit.limit_ms:
        return None
    return f"the p{limit.percentile:g} latency of {latency:.1f} ms is over the threshold of {limit.limit_ms} ms"


def target_reached(windows: Sequence[Window], rules: StoppingRules) -> str | None:
    """The wanted invocations a minute are served."""
    served = throughput_per_second(windows) * 60
    if rules.target_per_minute is None or served < rules.target_per_minute:
        return None
    return f"the target of {rules.target_per_minute} invocations a minute was reached"


RULES: tuple[Rule, ...] = (too_many_failures, over_threshold, target_reached)


def hopeless(windows: Sequence[Window]) -> str | None:
    """A model that fails from the start needs no more windows: most of 20 failed, or it never answered in time."""
    failed = sum(window.failures for window in windows)
    never = any("timeout" in window.failed for window in windows) and not any(window.succeeded for window in windows)
    if never or (failed >= 20 and failure_share(windows) >= 0.5):
        return failing(windows)
    return None


def failing(windows: Sequence[Window]) -> str:
    """What failed, in words: share and kinds."""
    kinds: dict[str, int] = {}
    for window in windows:
        for kind, count in window.failed.items():
            kinds[kind] = kinds.get(kind, 0) + count
    if not kinds:
        return "no invocation was answered"
    told = ", ".join(f"{kind} x {count}" for kind, count in sorted(kinds.items()))
    return f"{failure_share(windows):.0%} of invocations failed ({told})"


@dataclass(frozen=True, slots=True)
class Block:
    """Contiguous windows of one number of users (or of a steep ramp: three windows each), with what they gave."""

    windows: tuple[Window, ...]

    @property
    def users(self) -> int:
        """Users at its end."""
        return self.windows[-1].users

    @property
    def per_second(self) -> float:
        """Successful invocations a second."""
        return throughput_per_second(self.windows)


def blocks(windows: Sequence[Window]) -> tuple[Block, ...]:
    """The windows, cut where the users change; the settling window of a long block is dropped, short ones are
    joined."""
    runs: list[list[Window]] = []
    for window in windows:
        if runs and (runs[-1][-1].users == window.users or len(runs[-1]) < 3):
            runs[-1].append(window)
        else:
            runs.append([window])
    if len(runs) > 1 and len(runs[-1]) < 3:
        runs[-2].extend(runs.pop())
    return tuple(Block(tuple(run[1:] if len(run) > 3 else run)) for run in runs)


@dataclass(slots=True)
class PatternPolicy:
    """Phases or stairs, as asked, until they are over or a stopping rule holds. `concurrency`: of a serverless
    configuration, how many users are answered; more are refused, which ends the load."""

    traffic: Traffic
    rules: StoppingRules
    users: int = 0
    reason: str = ""
    concurrency: int | None = None
    _windows: list[Window] = field(default_factory=list)
    _elapsed: float = 0.0

    def __post_init__(self) -> None:
        self.users = self._admitted(users_at(stages(self.traffic), 0.0) or 1)

    @property
    def beginning(self) -> Users:
        """The users of the pattern's first moment."""
        return Users(self.users)

    def observe(self, window: Window) -> Instruction:
        """Take the next window and say what to do."""
        self._elapsed += window.duration_seconds
        self._windows.append(window)
        if window.settling:
            return Hold()
        reason = hopeless(self._windows) or self._rule() or self._flat()
        if reason is not None:
            self.reason = reason
            return Stop(reason)
        users = users_at(stages(self.traffic), self._elapsed + 0.5)
        if users is None or self._elapsed + 0.5 >= self.traffic.duration_seconds:
            self.reason = "the traffic pattern was over"
            return Stop(self.reason)
        if self._throttled(users):
            self.reason = f"more than {self.concurrency} users would be throttled, as MaxConcurrency is that"
            return Stop(self.reason)
        if self._admitted(users) == self.users:
            return Hold()
        self.users = self._admitted(users)
        return Users(self.users)

    def _admitted(self, users: int) -> int:
        return users if self.concurrency is None else min(users, self.concurrency)

    def _throttled(self, users: int) -> bool:
        """Whether some of the users would be refused, and what all that are answered give is known."""
        if self.concurrency is None or users <= self.concurrency:
            return False
        answered = [one for one in self._windows if one.users == self.concurrency and not one.settling]
        return len(answered) >= _THROTTLED_WINDOWS

    def measured(self) -> Measured:
        """The beginning of the plateau among the blocks that held; the first block when none did."""
        made = blocks(self._windows)
        if not made:
            return Measured((), self.users, 0.0, self.reason, "no window was measured")
        broken = (too_many_failures, over_threshold)
        held = [block for block in made if not any(rule(block.windows, self.rules) for rule in broken)]
        if not held:
            why = next(text for rule in broken if (text := rule(made[0].windows, self.rules)))
            return Measured(made[0].windows, made[0].users, 0.0, self.reason, why)
        best = max(block.per_second for block in held)
        chosen = next(block for block in held if block.per_second >= _PLATEAU_SHARE * best)
        return Measured(chosen.windows, chosen.users, self._before(chosen), self.reason, _silent(chosen))

    def _before(self, block: Block) -> float:
        first = block.windows[0].sequence
        same = [window for window in self._windows if window.users == block.users and window.sequence < first]
        return sum(window.duration_seconds for window in same)

    def _rule(self) -> str | None:
        recent = self._recent()
        if len(recent) < _RULE_WINDOWS:
            return None
        return next((reason for rule in RULES if (reason := rule(recent, self.rules))), None)

    def _recent(self) -> list[Window]:
        """The last windows, of this number of users only, without the one in which they changed."""
        recent = [window for window in self._windows if not window.settling][-_RULE_WINDOWS:]
        return recent if all(window.users == self.users for window in recent) else []

    def _flat(self) -> str | None:
        if not self.rules.stop_when_flat or len(self._recent()) < _RULE_WINDOWS:
            return None
        made = [block for block in blocks(self._windows) if len(block.windows) >= 3]
        if len(made) < 3 or not made[-1].users > made[-2].users > made[-3].users:
            return None
        flat = _flatter(made[-2], made[-1]) and _flatter(made[-3], made[-2])
        return "throughput went flat" if flat else None


def _flatter(before: Block, after: Block) -> bool:
    """Whether throughput rose by less than a quarter of what the users rose by."""
    return after.per_second < before.per_second * (1 + _FLAT_SHARE * (after.users / before.users - 1))


def _silent(block: Block) -> str | None:
    return None if block.per_second > 0 else "no invocation was answered"
