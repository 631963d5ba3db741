"""What the pairs of an experiment have shown so far: sums that grow, of bounded size.

Two pairs of one burst wait in the same queue and say the same twice. So the test of latency looks at pairs that are at
least `APART_SECONDS` apart; what is shown of latency rests on all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from modeldyno.domain.agreement import Agreement, Difference, compare
from modeldyno.domain.latency import bucket_of
from modeldyno.domain.pair import Outcome, Pair, Side

APART_SECONDS = 0.05
Counts = dict[int, int]
"""A histogram: the counts of `latency.bucket_of`."""
_MOST_FIELDS = 200
_MOST_EXAMPLES = 20
_MOST_EXAMPLES_OF_A_FIELD = 10


@dataclass(slots=True)
class Example:
    """One pair whose answers differ."""

    event_id: str
    at: float
    field: str
    production: str
    shadow: str


@dataclass(slots=True)
class Answers:
    """How answers agree. `pairs`: both good; `labels`: rows that have a label."""

    pairs: int = 0
    exact: int = 0
    agree: int = 0
    labelled_pairs: int = 0
    labelled_agree: int = 0
    labels: int = 0
    labels_agree: int = 0

    def add(self, found: Agreement) -> None:
        """One pair more."""
        self.pairs += 1
        self.exact += found.exact
        self.agree += found.agrees
        self.labelled_pairs += found.labels > 0
        self.labelled_agree += found.labels > 0 and found.labels == found.labels_agree
        self.labels += found.labels
        self.labels_agree += found.labels_agree


@dataclass(slots=True)
class Evidence:
    """The sums. Times are seconds since the epoch, histograms of nanoseconds.

    only_shadow_failed, only_production_failed: pairs in which one of the two gave no good answer. `slower`, `faster`:
    how much later, or earlier, the shadow's answer came than production's to the same request. `spaced_*`: of pairs
    that are apart from each other. `failures`: answers that are none, by ``ROLE_CLASS`` of the status (``shadow_5xx``;
    0xx: no answer at all). `again`: production's second answers beside its first ones (A/A).
    """

    first_at: float = 0.0
    last_at: float = 0.0
    spaced_at: float = 0.0
    both_good: int = 0
    only_shadow_failed: int = 0
    only_production_failed: int = 0
    both_failed: int = 0
    timeouts: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    answers: Answers = field(default_factory=Answers)
    again: Answers = field(default_factory=Answers)
    fields: dict[str, int] = field(default_factory=dict)
    examples: list[Example] = field(default_factory=list)
    production: Counts = field(default_factory=dict)
    shadow: Counts = field(default_factory=dict)
    slower: Counts = field(default_factory=dict)
    faster: Counts = field(default_factory=dict)
    wait: Counts = field(default_factory=dict)
    spaced_production: Counts = field(default_factory=dict)
    spaced_shadow: Counts = field(default_factory=dict)

    @property
    def pairs(self) -> int:
        """Requests that both were asked."""
        return self.both_good + self.only_shadow_failed + self.only_production_failed + self.both_failed


Read = Callable[[bytes, str], object | None]
"""The value that a body of a content type holds; None where it cannot be read."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A pair, and how its answers agree: with production's second one in `again`. None: there is nothing to compare."""

    pair: Pair
    shadow: Side
    found: Agreement | None = None
    again: Agreement | None = None


def look_at(pairs: Iterable[Pair], tolerance: float, read: Read) -> list[Seen]:
    """Compare the answers of those pairs that are evidence. This is what takes time."""
    return [
        _seen(pair, pair.shadow, tolerance, read)
        for pair in pairs
        if pair.shadow is not None and pair.outcome not in (None, Outcome.CANCELLED)
    ]


def _seen(pair: Pair, shadow: Side, tolerance: float, read: Read) -> Seen:
    production = pair.production
    if not (production.good and shadow.good) or (pair.streamed and not production.body):
        return Seen(pair, shadow)
    said = read(production.body, production.content_type)

    def beside(other: Side) -> Agreement:
        return compare(production.body, other.body, said, read(other.body, other.content_type), tolerance)

    again = beside(pair.again) if pair.again is not None and pair.again.good else None
    return Seen(pair, shadow, beside(shadow), again)


def add(evidence: Evidence, seen: Iterable[Seen]) -> None:
    """Take pairs in."""
    for one in seen:
        _add(evidence, one)


def _add(evidence: Evidence, seen: Seen) -> None:
    pair, shadow = seen.pair, seen.shadow
    evidence.first_at = min(evidence.first_at or pair.at, pair.at)
    evidence.last_at = max(evidence.last_at, pair.at)
    evidence.timeouts += pair.outcome is Outcome.TIMEOUT
    for role, side in (("production", pair.production), ("shadow", shadow)):
        if not side.good:
            kind = f"{role}_{side.status // 100}xx"
            evidence.failures[kind] = evidence.failures.get(kind, 0) + 1
    _count(evidence.wait, pair.wait_ns)
    if pair.production.good and shadow.good:
        evidence.both_good += 1
        _add_latency(evidence, pair, shadow.latency_ns)
        if seen.found is not None:
            _add_answers(evidence, pair, seen.found, seen.again)
    elif pair.production.good:
        evidence.only_shadow_failed += 1
    elif shadow.good:
        evidence.only_production_failed += 1
    else:
        evidence.both_failed += 1


def _add_latency(evidence: Evidence, pair: Pair, shadow_ns: int) -> None:
    production_ns = pair.production.latency_ns
    _count(evidence.production, production_ns)
    _count(evidence.shadow, shadow_ns)
    later = shadow_ns - production_ns
    _count(evidence.slower if later >= 0 else evidence.faster, abs(later))
    if pair.at >= evidence.spaced_at + APART_SECONDS or pair.at < evidence.spaced_at - 1.0:
        evidence.spaced_at = pair.at
        _count(evidence.spaced_production, production_ns)
        _count(evidence.spaced_shadow, shadow_ns)


def _add_answers(evidence: Evidence, pair: Pair, found: Agreement, again: Agreement | None) -> None:
    evidence.answers.add(found)
    if again is not None:
        evidence.again.add(again)
    for difference in found.fields:
        if difference.field in evidence.fields or len(evidence.fields) < _MOST_FIELDS:
            evidence.fields[difference.field] = evidence.fields.get(difference.field, 0) + 1
    if found.fields and _room_for(evidence.examples, found.fields[0]):
        evidence.examples.append(_example(pair, found.fields[0]))


def _room_for(examples: list[Example], difference: Difference) -> bool:
    """A field that differs nearly always leaves room for those that seldom do."""
    alike = sum(one.field == difference.field for one in examples)
    return len(examples) < _MOST_EXAMPLES and alike < _MOST_EXAMPLES_OF_A_FIELD


def _example(pair: Pair, difference: Difference) -> Example:
    return Example(pair.event_id, pair.at, difference.field, difference.production, difference.shadow)


def _count(histogram: Counts, latency_ns: int) -> None:
    bucket = bucket_of(latency_ns)
    histogram[bucket] = histogram.get(bucket, 0) + 1
