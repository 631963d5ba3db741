"""May the shadow be promoted? *fit*, *harmful*, or *cannot tell yet*.

Three questions, each against a margin that was set beforehand, each with a third of the allowed error:

1. errors: how many more requests does the shadow fail, of all, than production?
2. latency: how much larger is the shadow's P95 than production's?
3. answers: how many answers say the same (by their label where they have one), net of production's own noise where it
   was asked twice?

A shadow is fit when every question is answered within its margin, harmful when one of them is answered beyond it. The
intervals hold at every moment at once (`anytime`), so that it does no harm to look often.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from modeldyno.domain.anytime import Range, quantile_range_ns, share_range
from modeldyno.domain.evidence import Answers, Evidence
from modeldyno.domain.experiment import Margins

PERCENTILE = 0.95


class Verdict(StrEnum):
    """What the evidence says."""

    FIT = "fit"
    HARMFUL = "harmful"
    CANNOT_TELL = "cannot tell yet"


@dataclass(frozen=True, slots=True)
class Finding:
    """One question's answer. `value` with its interval, and the margin, in the question's unit (percent)."""

    question: str
    verdict: Verdict
    value: float | None
    low: float
    high: float
    margin: float
    words: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict and what it rests on."""

    verdict: Verdict
    findings: tuple[Finding, ...]

    @property
    def reason(self) -> str:
        """One sentence for each finding that decides."""
        deciding = [one for one in self.findings if one.verdict is self.verdict] or list(self.findings)
        return " ".join(one.words for one in deciding)


def judge(evidence: Evidence, margins: Margins) -> Judgement:
    """The verdict on what the pairs have shown so far."""
    alpha = (1.0 - margins.confidence_percent / 100.0) / 3.0
    findings = (
        _errors(evidence, margins, alpha),
        _latency(evidence, margins, alpha),
        _answers(evidence, margins, alpha),
    )
    if any(one.verdict is Verdict.HARMFUL for one in findings):
        return Judgement(Verdict.HARMFUL, findings)
    fit = all(one.verdict is Verdict.FIT for one in findings)
    return Judgement(Verdict.FIT if fit else Verdict.CANNOT_TELL, findings)


def _errors(evidence: Evidence, margins: Margins, alpha: float) -> Finding:
    """From the pairs of which one failed: what both fail, or neither, says nothing of a difference."""
    worse = share_range(evidence.only_shadow_failed, evidence.pairs, alpha / 2)
    better = share_range(evidence.only_production_failed, evidence.pairs, alpha / 2)
    value = None if worse.value is None or better.value is None else 100 * (worse.value - better.value)
    low, high = 100 * (worse.low - better.high), 100 * (worse.high - better.low)
    verdict = _beside(low, high, margins.error_percent)
    than = "It is not known how many more requests than production the shadow fails"
    if value is not None:
        than = f"Of 100 requests the shadow fails {value:+.2f} beside production"
    words = f"{than} ({_between(low, high)}; at most {margins.error_percent:+g} is allowed)."
    return Finding("errors", verdict, value, low, high, margins.error_percent, words)


def _latency(evidence: Evidence, margins: Margins, alpha: float) -> Finding:
    production = quantile_range_ns(evidence.spaced_production, PERCENTILE, alpha / 2)
    shadow = quantile_range_ns(evidence.spaced_shadow, PERCENTILE, alpha / 2)
    value = _percent_over(shadow.value, production.value)
    low = _percent_over(shadow.low, production.high) if math.isfinite(production.high) else -100.0
    high = _percent_over(shadow.high, production.low) if production.low > 0 else math.inf
    assert low is not None
    assert high is not None
    verdict = _beside(low, high, margins.latency_percent)
    than = "It is not known how far the shadow's P95 is from production's"
    if value is not None:
        than = f"The shadow's P95 is {abs(value):.2f}% {'above' if value >= 0 else 'below'} production's"
    words = f"{than} ({_between(low, high, '%')}; at most {margins.latency_percent:+g}% is allowed)."
    return Finding("latency", verdict, value, low, high, margins.latency_percent, words)


def _answers(evidence: Evidence, margins: Margins, alpha: float) -> Finding:
    labelled = speaks_in_labels(evidence.answers)
    agree = agreement(evidence.answers, labelled=labelled, alpha=alpha / 2)
    own = agreement(evidence.again, labelled=labelled, alpha=alpha / 2)
    value, low, high = agree.value, agree.low, agree.high
    if own.value is not None and value is not None:
        value, low, high = min(1.0, value + 1 - own.value), min(1.0, low + 1 - own.high), min(1.0, high + 1 - own.low)
    least = margins.agreement_percent / 100
    verdict = Verdict.CANNOT_TELL
    if value is not None:
        verdict = Verdict.FIT if low >= least else Verdict.HARMFUL if high < least else Verdict.CANNOT_TELL
    what = "answers agree in their labels" if labelled else "answers agree in every field"
    shown = "It is not known how many answers agree" if value is None else f"{100 * value:.2f}% of the {what}"
    net = ", net of production's own noise" if own.value is not None else ""
    words = (
        f"{shown}{net} ({100 * low:.2f}% to {100 * high:.2f}%; at least {margins.agreement_percent:g}% is required)."
    )
    percents = (None if value is None else 100 * value, 100 * low, 100 * high)
    return Finding("answers", verdict, *percents, margins.agreement_percent, words)


def speaks_in_labels(answers: Answers) -> bool:
    """Whether agreement is judged by labels: most answers have one."""
    return 2 * answers.labelled_pairs > answers.pairs


def agreement(answers: Answers, *, labelled: bool, alpha: float) -> Range:
    """The share of answers that agree, by label or in every field."""
    if labelled:
        return share_range(answers.labelled_agree, answers.labelled_pairs, alpha)
    return share_range(answers.agree, answers.pairs, alpha)


def _beside(low: float, high: float, margin: float) -> Verdict:
    if high <= margin:
        return Verdict.FIT
    return Verdict.HARMFUL if low > margin else Verdict.CANNOT_TELL


def _percent_over(one: float | None, other: float | None) -> float | None:
    if one is None or other is None or other <= 0:
        return None
    return 100.0 * (one / other - 1.0)


def _between(low: float, high: float, unit: str = "") -> str:
    """The interval. Where too little is known of the tail, it has no upper end yet."""
    return f"{low:+.2f}{unit} to {'no upper end yet' if math.isinf(high) else f'{high:+.2f}{unit}'}"
