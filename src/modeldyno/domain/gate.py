"""Whether a measurement keeps a rule: it passes, it fails, or it cannot be told. What a CI job stands on.

1. A rule passes when the whole interval is on the right side of its limit, fails when the whole of it is on the wrong
   side; else it cannot be told. Either answer is wrong once in a hundred times at most.
2. Limits are of the model on this host, not of one deployment of it: `statistics.BETWEEN_DEPLOYMENTS` is part of the
   interval. What holds by a hair this time may not hold the next time.
3. A latency limit is kept when it is kept at a number of users that brings the wanted invocations a minute (at any,
   where no number is wanted): throughput and latency have to be had together.
4. What others did to the host makes a measurement worse, never better: the interval is wider to the better side by what
   they may have cost (`difference.lost_to_others`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from modeldyno.domain.difference import (
    Change,
    Sample,
    latency_change,
    lost_to_others,
    throughput_change,
    window_of,
)
from modeldyno.domain.measurement import Window, merged_latency, throughput_per_second
from modeldyno.domain.statistics import (
    BETWEEN_DEPLOYMENTS,
    Interval,
    independence_of,
    normal_quantile,
    passes_ns,
    quantile_interval_ns,
    throughput_interval,
)
from modeldyno.domain.stopping import FAILURE_LIMIT

ERROR = 0.01
"""The chance that a rule is said to pass, or to fail, and does not."""
_TWO_SIDED = 1 - 2 * ERROR
_OF_TWO = 1 - ERROR  # each of two figures that may fail a baseline
Document = Mapping[str, Any]


class Finding(StrEnum):
    """What a rule comes to."""

    PASSES = "passes"
    FAILS = "fails"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One rule, what it comes to, and by what: `value` with its interval, in the unit that the rule's words name."""

    rule: str
    finding: Finding
    text: str
    value: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """What is asked of each configuration. `baseline`: what was measured before, of the same configuration."""

    max_p95_ms: float | None = None
    min_per_minute: float | None = None
    baseline: Sample | None = None
    tolerance: float = 0.05
    has_baseline: bool = False


@dataclass(frozen=True, slots=True)
class Level:
    """All windows at one number of users."""

    users: int
    windows: tuple[Window, ...]

    @property
    def per_minute(self) -> float:
        """Invocations a minute."""
        return throughput_per_second(self.windows) * 60


def together(outcomes: Sequence[Outcome]) -> Finding:
    """Of several rules: one that fails fails them all, one that cannot be told leaves the rest in doubt."""
    for finding in (Finding.FAILS, Finding.CANNOT_TELL):
        if any(outcome.finding is finding for outcome in outcomes):
            return finding
    return Finding.PASSES


def judge(trial: Document, sample: Sample | None, rules: Rules) -> list[Outcome]:
    """The rules on one trial of a result document. `sample` None: the trial has no answer that could be compared."""
    answers = _answers(trial)
    if answers.finding is not Finding.PASSES:
        return [answers]
    return [answers, *_measured(trial, sample, rules)]


def _measured(trial: Document, sample: Sample | None, rules: Rules) -> list[Outcome]:
    outcomes: list[Outcome] = []
    latency = None
    if rules.max_p95_ms is not None:
        levels, lost = levels_of(trial), lost_to_others(trial)
        latency = latency_outcome(levels, rules.max_p95_ms, rules.min_per_minute or 0.0, lost)
        outcomes.append(latency)
    if sample is None:
        return [*outcomes, *_unanswered(rules, latency, trial)]
    if rules.min_per_minute is not None:
        outcomes.append(throughput_outcome(sample.windows, rules.min_per_minute, sample.lost))
    if rules.has_baseline:
        outcomes += baseline_outcomes(rules.baseline, sample, rules.tolerance)
    return outcomes


def _answers(trial: Document) -> Outcome:
    """Whether the model could be served and measured at all."""
    rule, figures, reason = "answers", trial["figures"], trial["failure_reason"]
    if trial["status"] not in ("COMPLETED", "FAILED"):
        return Outcome(rule, Finding.CANNOT_TELL, reason or f"the trial is {trial['status']}")
    if figures is None or figures["failed"] >= FAILURE_LIMIT * (figures["requests"] + figures["failed"]):
        return Outcome(rule, Finding.FAILS, reason or "the trial failed")
    text = f"{figures['requests']:,} invocations measured, {figures['failed']:,} failed"
    return Outcome(rule, Finding.PASSES, text)


def _unanswered(rules: Rules, latency: Outcome | None, trial: Document) -> list[Outcome]:
    """No load held: as sure as the latency limit was broken, there is no throughput within it."""
    sure = latency is not None and latency.finding is Finding.FAILS
    finding, text = Finding.FAILS if sure else Finding.CANNOT_TELL, trial["failure_reason"] or "no load held"
    outcomes = []
    if rules.min_per_minute is not None:
        outcomes.append(Outcome(_throughput_rule(rules.min_per_minute), finding, text))
    if rules.has_baseline:
        outcomes.append(Outcome(_baseline_rule("throughput", rules.tolerance), finding, text))
    return outcomes


def levels_of(trial: Document) -> list[Level]:
    """The windows of a trial by number of users, without those in which the users changed."""
    joined: dict[int, list[Window]] = {}
    for window in map(window_of, trial["windows"]):
        if window.users and not window.settling and window.succeeded:
            joined.setdefault(window.users, []).append(window)
    return [Level(users, tuple(joined[users])) for users in sorted(joined)]


def _throughput_rule(limit: float) -> str:
    return f"at least {limit:,.0f} invocations a minute"


def throughput_outcome(windows: Sequence[Window], limit: float, lost: float = 0.0) -> Outcome:
    """Whether the capacity is at least `limit` invocations a minute. `lost`: the share that others may have cost."""
    rule, seen = _throughput_rule(limit), throughput_interval(windows, _TWO_SIDED)
    if seen is None:
        return Outcome(rule, Finding.CANNOT_TELL, "there are too few windows")
    known = _widened(Interval(seen.value * 60, seen.low * 60, seen.high * 60), lost)
    if known.low >= limit:
        finding, text = Finding.PASSES, f"{_percent(1 - limit / known.value)} to spare"
    elif known.high < limit:
        finding, text = Finding.FAILS, f"{_percent(1 - known.value / limit)} too few"
    else:
        finding, text = Finding.CANNOT_TELL, f"too close to tell{_cost_by_others(lost)}"
    told = f"{known.value:,.0f} a minute (99% sure: {known.low:,.0f} to {known.high:,.0f}), {text}"
    return Outcome(rule, finding, told, known.value, known.low, known.high)


def _widened(seen: Interval, lost: float) -> Interval:
    """With what deployments of the same thing differ by, and what others may have cost."""
    allowed = normal_quantile(_TWO_SIDED) * BETWEEN_DEPLOYMENTS * seen.value
    low, high = math.hypot(seen.value - seen.low, allowed), math.hypot(seen.high - seen.value, allowed)
    return Interval(seen.value, max(0.0, seen.value - low), (seen.value + high) / (1 - lost))


def latency_outcome(levels: Sequence[Level], limit_ms: float, min_per_minute: float, lost: float = 0.0) -> Outcome:
    """Whether the P95 is at most `limit_ms` at a number of users that brings `min_per_minute`. `lost`: as above."""
    rule = f"P95 at most {limit_ms:g} ms"
    enough = [level for level in levels if level.per_minute >= min_per_minute] or list(levels)
    told = [(level, _within(level.windows, limit_ms, ERROR / len(enough), lost)) for level in enough]
    passing = [level for level, within in told if within]
    if passing:
        return _latency_told(rule, Finding.PASSES, max(passing, key=lambda level: level.per_minute), limit_ms, lost)
    if not told:
        return Outcome(rule, Finding.CANNOT_TELL, "nothing was answered")
    best = min(told, key=lambda row: (row[1] is False, _p95_ms(row[0].windows)))
    return _latency_told(rule, Finding.FAILS if best[1] is False else Finding.CANNOT_TELL, best[0], limit_ms, lost)


def _within(windows: Sequence[Window], limit_ms: float, error: float, lost: float) -> bool | None:
    """Whether the P95 is within the limit; None when it cannot be told."""
    latency, allowed = merged_latency(windows), 1 + normal_quantile(_TWO_SIDED) * BETWEEN_DEPLOYMENTS
    independence = independence_of(windows, 0.95)
    known = quantile_interval_ns(latency, 0.95, 1 - 2 * error, independence)
    if known is None and independence < 1:
        return None
    if passes_ns(latency, 95, limit_ms * 1e6 / allowed, error):
        return None if known is not None and known[1] > limit_ms * 1e6 else True
    beyond = limit_ms * 1e6 * allowed / (1 - lost)
    if passes_ns(latency, 95, beyond, error) is False:
        return None if known is not None and known[0] <= beyond else False
    return None


def _p95_ms(windows: Sequence[Window]) -> float:
    return (merged_latency(windows).quantile_ns(0.95) or math.inf) / 1e6


def _latency_told(rule: str, finding: Finding, level: Level, limit_ms: float, lost: float) -> Outcome:
    latency, value = merged_latency(level.windows), _p95_ms(level.windows)
    known = quantile_interval_ns(latency, 0.95, _TWO_SIDED, independence_of(level.windows, 0.95))
    low, high = (None, None) if known is None else (known[0] / 1e6, known[1] / 1e6)
    text = f"{value:,.1f} ms"
    text += "" if low is None else f" (99% sure: {low:,.1f} to {high:,.1f})"
    text += f" at {level.users} user{'s' if level.users > 1 else ''}, {level.per_minute:,.0f} a minute"
    text += {
        Finding.PASSES: "",
        Finding.FAILS: f", {_percent(value / limit_ms - 1)} over",
        Finding.CANNOT_TELL: f", from {latency.count:,} invocations: too close or too few to tell"
        + _cost_by_others(lost),
    }[finding]
    return Outcome(rule, finding, text, value, low, high)


def _cost_by_others(lost: float) -> str:
    """Why an interval is wide where the host was not quiet."""
    return f"; what others did to the host may have cost {_percent(lost)} of the speed" if lost > 0 else ""


def _percent(share: float) -> str:
    return f"{share:.1%}" if share < 0.1 else f"{share:.0%}"


def _baseline_rule(figure: str, tolerance: float) -> str:
    return f"{figure} at most {100 * tolerance:g}% worse than the baseline's"


def baseline_outcomes(baseline: Sample | None, sample: Sample, tolerance: float) -> list[Outcome]:
    """Whether throughput and the percentile are at most `tolerance` worse than the baseline's."""
    if baseline is None:
        text = "the baseline has no answer for this configuration"
        return [Outcome(_baseline_rule("throughput", tolerance), Finding.CANNOT_TELL, text)]
    throughput = throughput_change(baseline, sample, tolerance, _OF_TWO)
    latency = latency_change(baseline, sample, sample.percentile, tolerance, _OF_TWO, decides=True)
    lost = max(baseline.lost, sample.lost)
    outcomes = [_not_worse("throughput", throughput, tolerance, lost, sign=-1)]
    if latency.verdict is not None:  # else there is no number of users at which to compare it
        outcomes.append(_not_worse(latency.name.upper(), latency, tolerance, lost, sign=1))
    return outcomes


def _not_worse(figure: str, change: Change, tolerance: float, lost: float, *, sign: int) -> Outcome:
    """`sign` 1: more is worse."""
    rule, seen = _baseline_rule(figure, tolerance), change.difference
    if seen is None:
        return Outcome(rule, Finding.CANNOT_TELL, change.note)
    bounds = sorted((sign * seen.low, sign * seen.high))
    finding = Finding.CANNOT_TELL
    if bounds[1] <= tolerance:
        finding = Finding.PASSES
    elif bounds[0] > tolerance:
        finding = Finding.FAILS
    text = f"{seen.relative:+.1%} (99% sure: {seen.low:+.1%} to {seen.high:+.1%})"
    text += f": too close to tell{_cost_by_others(lost)}" if finding is Finding.CANNOT_TELL else ""
    text += f"; {change.note}" if change.note else ""
    return Outcome(rule, finding, text, 100 * seen.relative, 100 * seen.low, 100 * seen.high)
