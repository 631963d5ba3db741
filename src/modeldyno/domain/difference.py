"""Two measurements side by side: how far apart they are, how sure that is, and what it amounts to.

1. *Throughput* is compared by the windows that the figures rest on (Welch's interval on the logarithms' scale, wider
   where neighbouring windows correlate), *cost* by the throughput and the prices.
2. *Latency quantiles* are compared by order statistics of either side, joined by the method of variance estimates
   recovery, and at the same number of users only: in a closed loop twice the users wait twice as long.
3. The windows of one deployment do not show that two deployments of the same thing differ a little: which connection
   met which worker, where memory lies, how warm the host is. `statistics.BETWEEN_DEPLOYMENTS` widens every interval for
   it.
4. The verdict rests on throughput and the one percentile of the job. Each has an interval at 99.5%, so that both hold
   together at 99% (Bonferroni): measurements of the same thing are called different once in a hundred times.
5. What others did to the host during a measurement makes it slower, never faster, and no window tells by how much. An
   interval is widened to that side by twice the share of the cores that others used (what is shared also loses what its
   caches held), and by the share of the time that the generator waited, where a result flags them.

Source: Zou and Donner, "Construction of confidence limits about effect measures" (2008), for differences of quantiles.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from modeldyno.domain.errors import InvalidRequest
from modeldyno.domain.measurement import Window, merged_latency, throughput_per_second
from modeldyno.domain.result import FORMAT
from modeldyno.domain.saturation import PLATEAU_SHARE
from modeldyno.domain.statistics import (
    Difference,
    deployments_apart,
    independence_of,
    independence_of_rates,
    quantile_interval_ns,
    relative_difference,
)
from modeldyno.domain.trial import Flag

CONFIDENCE = 0.995
"""Of one interval; the two that decide hold together at 99%."""
TOLERANCE = 0.05
"""The share up to which two measurements are the same to a person. Chosen: the least that a shared machine can show."""
_NARROWED = 0.125  # how finely the search narrows the users at which a threshold holds
_MOST_LOST = 0.95  # a host of others' entirely: nothing can be told of it
Document = Mapping[str, Any]


class Verdict(StrEnum):
    """What B is, beside A."""

    SAME = "same"
    FASTER = "faster"
    SLOWER = "slower"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, slots=True)
class Sample:
    """One measured trial of a result document. `windows`: those that its figures rest on; `others`: all that were
    taken at constant users. `threshold_ms` None: the capacity is where throughput goes flat. `lost`: the share of its
    speed that others may have cost it, 0..1.
    """

    configuration: tuple[str, tuple[tuple[str, str], ...]]
    windows: tuple[Window, ...]
    others: tuple[Window, ...]
    users: int
    percentile: float
    threshold_ms: float | None
    usd_per_hour: float | None
    lost: float = 0.0

    @property
    def seconds(self) -> float:
        """How long the figures were taken."""
        return sum(window.duration_seconds for window in self.windows)

    @property
    def per_minute(self) -> float:
        """Invocations a minute."""
        return throughput_per_second(self.windows) * 60

    @property
    def usd_per_million(self) -> float | None:
        """The cost of a million inferences; None without a price."""
        return None if self.usd_per_hour is None else self.usd_per_hour / (self.per_minute * 60) * 1e6


@dataclass(frozen=True, slots=True)
class Change:
    """One figure of A and of B. `difference` None: it cannot be compared, `note` says why. `seconds_needed`: how
    much more load of either side would tell; None where it is told, or where no length of load would."""

    name: str
    a: float | None
    b: float | None
    difference: Difference | None
    verdict: Verdict | None
    decides: bool = False
    seconds_needed: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """B beside A, figure by figure, and what it amounts to. `disturbed`: others used the host during either."""

    changes: tuple[Change, ...]
    verdict: Verdict
    why: str
    disturbed: bool = False


def sample_of(result: Document, trial: Document) -> Sample:
    """A measured trial of a result document (``dyno-result/1``).

    Raises:
        InvalidRequest: the document is of another format, or does not hold the windows of the figures.
    """
    check_format(result)
    job, figures = result["job"], trial["figures"]
    every = [window_of(row) for row in trial["windows"]]
    first, last, users = figures.get("first_window"), figures.get("last_window"), figures["users"]
    constant = tuple(window for window in every if window.users and not window.settling)
    if first is None or last is None:
        raise InvalidRequest(f"The result of {job['name']} does not tell which windows its figures rest on.")
    chosen = tuple(window for window in constant if first <= window.sequence <= last)
    if not sum(window.succeeded for window in chosen):
        raise InvalidRequest(f"The result of {job['name']} holds no windows to compare.")
    configuration = configuration_of(trial)
    threshold, price = job["threshold_ms"], trial["usd_per_hour"]
    percentile = figures["percentile"]
    return Sample(configuration, chosen, constant, users, percentile, threshold, price, lost_to_others(trial))


def configuration_of(trial: Document) -> tuple[str, tuple[tuple[str, str], ...]]:
    """What makes trials of two jobs alike: type and settings. Compiled models are compared with compiled ones."""
    compiled = (("compiled", "yes"),) if trial.get("compiled") else ()
    return trial["instance_type"], (*sorted(trial["tuned"].items()), *compiled)


def lost_to_others(trial: Document) -> float:
    """The share of its speed that others on the host may have cost a trial, 0..1; 0 where nothing was flagged."""
    figures, flags = trial["figures"], trial["flags"]
    foreign = figures.get("foreign_percent") if Flag.FOREIGN_LOAD in flags else None
    delay = figures.get("generator_delay_percent") if Flag.GENERATOR_DELAYED in flags else None
    return min(_MOST_LOST, (2 * (foreign or 0.0) + (delay or 0.0)) / 100)


def check_format(result: Document) -> None:
    """Whether it is a result document.

    Raises:
        InvalidRequest: it is not.
    """
    if not isinstance(result, Mapping) or result.get("format") != FORMAT:
        raise InvalidRequest(f"This is no result document: its format is not {FORMAT}.")


def check_whole(result: Document) -> None:
    """Whether it is a result document that can be compared: one that was written by Dyno, and not shortened since.

    Raises:
        InvalidRequest: it is not; says what is missing, or is another thing than it should be.
    """
    check_format(result)
    try:
        _ = [result["job"][name] for name in ("name", "threshold_ms", "percentile", "failure_reason")]
        for trial in ranked_trials(result):
            sample_of(result, trial)
    except KeyError as error:
        raise InvalidRequest(f"This result document is not whole: it has no {error}.") from error
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        raise InvalidRequest(f"This result document is not what Dyno writes: {error}.") from error


def window_of(row: Document) -> Window:
    """A window of a result document."""
    counts = {int(bucket): count for bucket, count in row["latency_counts"].items()}
    return Window(
        row["sequence"],
        row["started_at"],
        row["duration_seconds"],
        row["users"],
        counts,
        failed=dict(row["failed"]),
        settling=row.get("settling", False),
    )


def pairs(a: Document, b: Document) -> list[tuple[Document, Document]]:
    """The measured trials that belong together, in the order of A's ranking: of one type and tuned environment.

    Where there are none: the best of A with the best of B. Empty when either has measured nothing.
    """
    first, second = ranked_trials(a), ranked_trials(b)
    partners = {configuration_of(trial): trial for trial in reversed(second)}
    found = [(trial, partners[configuration_of(trial)]) for trial in first if configuration_of(trial) in partners]
    return found or [pair for pair in zip(first[:1], second[:1], strict=False)]


def ranked_trials(result: Document) -> list[Document]:
    """The measured trials of a result document, best first. Raises as `check_format`."""
    check_format(result)
    trials = {trial["index"]: trial for trial in result["trials"]}
    return [trials[item["trial_index"]] for item in result["recommendations"]]


def compare(a: Sample, b: Sample, tolerance: float = TOLERANCE, confidence: float = CONFIDENCE) -> Comparison:
    """B beside A. `tolerance`: the share up to which they are the same. `confidence`: of each interval."""
    throughput = throughput_change(a, b, tolerance, confidence)
    deciding = b.percentile
    fractions = sorted({50.0, 95.0, 99.0, deciding})
    latencies = [latency_change(a, b, p, tolerance, confidence, decides=p == deciding) for p in fractions]
    main = next(change for change in latencies if change.decides)
    verdict, why = _together(throughput, main)
    return Comparison((throughput, *latencies, _cost_change(a, b, throughput)), verdict, why, a.lost + b.lost > 0)


def throughput_change(a: Sample, b: Sample, tolerance: float, confidence: float) -> Change:
    """Invocations a minute of B over A's."""
    rates = [window.per_second for window in a.windows], [window.per_second for window in b.windows]
    seen = relative_difference(*rates, confidence)
    if seen is None:
        note = "fewer than three windows, or one without an answer"
        return Change("throughput", a.per_minute, b.per_minute, None, Verdict.CANNOT_TELL, decides=True, note=note)
    thinned = math.sqrt(min(independence_of_rates(a.windows), independence_of_rates(b.windows)))
    low, middle, high = (math.log1p(share) for share in (seen.low, seen.relative, seen.high))
    sides = (middle - low) / thinned, (high - middle) / thinned
    fixed, systematic = deployments_apart(confidence), _users_allowance(a, b)
    room = systematic - math.log1p(-a.lost), systematic - math.log1p(-b.lost)
    difference = _difference(middle, sides, fixed, room)
    verdict = _verdict(difference, tolerance, more_is_faster=True)
    needed = None
    if verdict is Verdict.CANNOT_TELL:
        needed = _seconds_needed(middle, max(sides), fixed, max(room), tolerance, max(a.seconds, b.seconds))
    return Change("throughput", a.per_minute, b.per_minute, difference, verdict, decides=True, seconds_needed=needed)


def latency_change(
    a: Sample, b: Sample, percentile: float, tolerance: float, confidence: float, *, decides: bool = False
) -> Change:
    """A latency percentile of B over A's, in milliseconds, at a number of users that both were measured at."""
    name = f"p{percentile:g}"
    common = _common_users(a, b)
    if common is None:
        note = f"the answers are at {a.users} and {_people(b.users)}, and at no number of users both were measured"
        return Change(name, None, None, None, None, decides=decides, note=note)
    users, of_a, of_b = common
    note = "" if a.users == b.users else f"compared at {_people(users)}; the answers are at {a.users} and {b.users}"
    known = _quantile(of_a, percentile, confidence), _quantile(of_b, percentile, confidence)
    values = known[0][0] / 1e6, known[1][0] / 1e6
    if known[0][1] is None or known[1][1] is None:
        note = "; ".join(part for part in (note, "too few requests") if part)
        return Change(name, *values, None, Verdict.CANNOT_TELL, decides=decides, note=note)
    (low_a, high_a), (low_b, high_b) = known[0][1], known[1][1]
    middle = math.log(known[1][0] / known[0][0])
    sides = (
        math.hypot(math.log(known[1][0] / low_b), math.log(high_a / known[0][0])),
        math.hypot(math.log(high_b / known[1][0]), math.log(known[0][0] / low_a)),
    )
    fixed = deployments_apart(confidence)
    room = -math.log1p(-b.lost), -math.log1p(-a.lost)
    difference = _difference(middle, sides, fixed, room)
    verdict = _verdict(difference, tolerance, more_is_faster=False)
    needed = None
    if verdict is Verdict.CANNOT_TELL:
        seconds = max(_length(of_a), _length(of_b))
        needed = _seconds_needed(middle, max(sides), fixed, max(room), tolerance, seconds)
    return Change(name, *values, difference, verdict, decides=decides, seconds_needed=needed, note=note)


def _people(users: int) -> str:
    return "1 user" if users == 1 else f"{users} users"


def _length(windows: Sequence[Window]) -> float:
    return sum(window.duration_seconds for window in windows)


def _quantile(
    windows: Sequence[Window], percentile: float, confidence: float
) -> tuple[float, tuple[float, float] | None]:
    latency = merged_latency(windows)
    value = latency.quantile_ns(percentile / 100)
    assert value  # a sample has answers, and an answer takes time
    independence = independence_of(windows, percentile / 100)
    return value, quantile_interval_ns(latency, percentile / 100, confidence, independence)


def _common_users(a: Sample, b: Sample) -> tuple[int, Sequence[Window], Sequence[Window]] | None:
    """Where latencies can be compared: at the users of the figures, else where the thinner side has most answers."""
    if a.users == b.users:
        return a.users, a.windows, b.windows
    by_users = [
        (min(merged_latency(of_a).count, merged_latency(of_b).count), users, of_a, of_b)
        for users in {window.users for window in a.others} & {window.users for window in b.others}
        for of_a, of_b in [(_at(a, users), _at(b, users))]
    ]
    count, users, of_a, of_b = max(by_users, key=lambda row: row[:2], default=(0, 0, (), ()))
    return (users, of_a, of_b) if count else None


def _at(sample: Sample, users: int) -> tuple[Window, ...]:
    return sample.windows if users == sample.users else tuple(one for one in sample.others if one.users == users)


def _cost_change(a: Sample, b: Sample, throughput: Change) -> Change:
    """Cost per inference: the prices' ratio over the throughputs', as sure as the latter."""
    costs = a.usd_per_million, b.usd_per_million
    seen = throughput.difference
    if costs[0] is None or costs[1] is None or not costs[0] or seen is None:
        note = "" if seen is None else "a price is not known"
        return Change("cost", *costs, None, None, note=note)
    ratio = (b.usd_per_hour or 0.0) / (a.usd_per_hour or 1.0)
    values = (ratio / (1 + share) - 1 for share in (seen.relative, seen.high, seen.low))
    return Change("cost", *costs, Difference(*values), None)


def _users_allowance(a: Sample, b: Sample) -> float:
    """What the search leaves open of a capacity when it came to different users.

    The beginning of a plateau is within 3% of its height, and a threshold's users are narrowed to an eighth.
    """
    if a.users == b.users:
        return 0.0
    if a.threshold_ms is None and b.threshold_ms is None:
        return -math.log(PLATEAU_SHARE)
    return min(_NARROWED, abs(math.log(a.users / b.users)))


def _difference(middle: float, sides: tuple[float, float], fixed: float, systematic: tuple[float, float]) -> Difference:
    low, high = (math.hypot(side, fixed) + more for side, more in zip(sides, systematic, strict=True))
    return Difference(math.expm1(middle), math.expm1(middle - low), math.expm1(middle + high))


def _verdict(difference: Difference, tolerance: float, *, more_is_faster: bool) -> Verdict:
    if -tolerance <= difference.low and difference.high <= tolerance:
        return Verdict.SAME
    if not difference.clear:
        return Verdict.CANNOT_TELL
    return Verdict.FASTER if (difference.low > 0) is more_is_faster else Verdict.SLOWER


def _seconds_needed(
    middle: float, half: float, fixed: float, systematic: float, tolerance: float, seconds: float
) -> float | None:
    """How much more load of either side makes an interval so narrow that it is inside the tolerance or leaves out 0."""
    room = max(abs(middle), math.log1p(tolerance) - abs(middle)) - systematic
    if room <= fixed or half <= 0:
        return None
    share = half**2 / (room**2 - fixed**2)
    return max(1.0, seconds * (share - 1))


def _together(throughput: Change, latency: Change) -> tuple[Verdict, str]:
    """What the two that decide amount to."""
    first, second = throughput.verdict, latency.verdict
    told = latency.name.upper()
    if first is second is Verdict.CANNOT_TELL:
        return first, f"neither throughput nor {told} is certain"
    if first is None or second is None or first is second:
        return first or Verdict.CANNOT_TELL, f"by throughput alone: {latency.note}" if second is None else ""
    if {first, second} == {Verdict.FASTER, Verdict.SLOWER}:
        more = "more throughput, but a longer" if first is Verdict.FASTER else "less throughput, but a shorter"
        return Verdict.CANNOT_TELL, f"{more} {told}: it depends on what you need"
    for verdict in (Verdict.SLOWER, Verdict.FASTER):
        if verdict in (first, second):
            other = told if first is verdict else "throughput"
            state = "the same" if Verdict.SAME in (first, second) else "not certain"
            return verdict, f"by {'throughput' if first is verdict else told}; {other} is {state}"
    return Verdict.CANNOT_TELL, f"{'throughput' if first is Verdict.CANNOT_TELL else told} is not certain"
