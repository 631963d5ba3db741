"""What an experiment has shown, as plain values (``dyno-shadow/1``): the verdict and everything that it rests on.

Every interval holds at every moment at once (`anytime`), at the confidence that the margins ask for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from modeldyno.domain.anytime import Range, quantile_range_ns, share_range
from modeldyno.domain.endpoint import Server, VariantSpec
from modeldyno.domain.evidence import APART_SECONDS, Answers, Counts, Evidence
from modeldyno.domain.experiment import Experiment, ExperimentStatus
from modeldyno.domain.latency import LatencyHistogram
from modeldyno.domain.pair import Outcome
from modeldyno.domain.verdict import judge, speaks_in_labels

PERCENTILES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
ELIGIBLE = "eligible"
LOST = "lost_in_crash"
IN_FLIGHT = "in_flight"

Tallies = Mapping[str, tuple[dict[str, int], bool]]


def shadow_document(
    experiment: Experiment,
    evidence: Evidence | None,
    tallies: Tallies,
    servers: Sequence[Server],
    disk_percent: float | None = None,
) -> dict[str, Any]:
    """The document as it stands. `tallies`: by life of a front. `servers`: of the experiment's endpoint; what they use
    is told while the experiment runs, for then they are its own. `disk_percent`: used of the disk that all share."""
    seen = evidence or Evidence()
    found = judge(seen, experiment.margins)
    alpha = 1.0 - experiment.margins.confidence_percent / 100.0
    production, shadow = experiment.fleet.variants[0], experiment.fleet.shadows[0]
    seconds = max(0.0, seen.last_at - seen.first_at)
    counted = accounting(tallies)
    own = servers if experiment.status is ExperimentStatus.RUNNING else None
    return {
        "format": "dyno-shadow/1",
        "experiment": {
            "name": experiment.name,
            "region": experiment.region,
            "status": str(experiment.status),
            "status_reason": experiment.status_reason,
            "endpoint": experiment.endpoint_name,
            "sampling_percent": experiment.percent,
            "starts_at": experiment.starts_at,
            "ends_at": experiment.ends_at,
            "completed_at": experiment.completed_at,
        },
        "verdict": str(found.verdict),
        "reason": found.reason,
        "confidence_percent": experiment.margins.confidence_percent,
        "findings": [
            {
                "question": one.question,
                "verdict": str(one.verdict),
                "value_percent": _finite(one.value),
                "low_percent": _finite(one.low),
                "high_percent": _finite(one.high),
                "margin_percent": one.margin,
                "in_words": one.words,
            }
            for one in found.findings
        ],
        "pairs": seen.pairs,
        "seconds": seconds,
        "last_pair_at": seen.last_at or None,
        "apart_ms": 1000 * APART_SECONDS,
        "spaced_pairs": sum(seen.spaced_production.values()),
        "accounting": counted,
        "answers": _answers(seen.answers, alpha)
        | {"judged_by": "labels" if speaks_in_labels(seen.answers) else "fields"},
        "own_noise": _answers(seen.again, alpha) if seen.again.pairs else None,
        "fields": [
            {"field": field, "pairs": count, "share_percent": 100 * count / max(1, seen.answers.pairs)}
            for field, count in sorted(seen.fields.items(), key=lambda item: -item[1])
        ],
        "examples": [
            {
                "event_id": one.event_id,
                "at": one.at,
                "field": one.field,
                "production": one.production,
                "shadow": one.shadow,
            }
            for one in seen.examples
        ],
        "errors": {
            "both_good": seen.both_good,
            "only_shadow_failed": seen.only_shadow_failed,
            "only_production_failed": seen.only_production_failed,
            "both_failed": seen.both_failed,
            "timeouts": seen.timeouts,
        },
        "latency_ms": _latency(seen, alpha),
        "variants": [
            _variant(production, "production", own, _per_second(counted[ELIGIBLE], seconds)),
            _variant(shadow, "shadow", own, _per_second(seen.pairs, seconds)),
        ],
        "metrics": {
            "production": _metrics(seen, "production", production, disk_percent),
            "shadow": _metrics(seen, "shadow", shadow, disk_percent),
        },
    }


def accounting(tallies: Tallies) -> dict[str, int]:
    """How every eligible request ended. What a front took with it when it was killed is lost in the crash; what a
    living one has not finished is in flight. The sum of all but ``eligible`` is ``eligible``."""
    sums = {ELIGIBLE: 0, **{outcome.value: 0 for outcome in Outcome}, LOST: 0, IN_FLIGHT: 0}
    for counts, ended in tallies.values():
        outcomes = {outcome.value: counts.get(outcome.value, 0) for outcome in Outcome}
        eligible = counts.get(ELIGIBLE, 0)
        sums[ELIGIBLE] += eligible
        for name, count in outcomes.items():
            sums[name] += count
        sums[LOST if ended else IN_FLIGHT] += max(0, eligible - sum(outcomes.values()))
    return sums


def _answers(answers: Answers, alpha: float) -> dict[str, Any]:
    return {
        "pairs": answers.pairs,
        "exact": _share(share_range(answers.exact, answers.pairs, alpha)),
        "every_field": _share(share_range(answers.agree, answers.pairs, alpha)),
        "labels": answers.labels,
        "labels_agree": _share(share_range(answers.labelled_agree, answers.labelled_pairs, alpha)),
    }


def _share(found: Range) -> dict[str, float | None]:
    return {
        "percent": None if found.value is None else 100 * found.value,
        "low_percent": 100 * found.low,
        "high_percent": 100 * found.high,
    }


def _latency(evidence: Evidence, alpha: float) -> dict[str, Any]:
    """Of each variant, of pairs that are apart, as the verdict takes it, with intervals. Of every pair: the same again,
    the difference within pairs (shadow less production), and the wait in the mirror's queue."""
    return {
        name: {
            "production": _quantile(evidence.spaced_production, evidence.production, fraction, alpha),
            "shadow": _quantile(evidence.spaced_shadow, evidence.shadow, fraction, alpha),
            "paired_difference": _difference(evidence, fraction),
            "queue_wait": _milliseconds(LatencyHistogram(evidence.wait).quantile_ns(fraction)),
        }
        for name, fraction in PERCENTILES.items()
    }


def _quantile(spaced: Counts, every: Counts, fraction: float, alpha: float) -> dict[str, float | None]:
    between = quantile_range_ns(spaced, fraction, alpha)
    return {
        "value": _milliseconds(between.value),
        "low": _milliseconds(between.low),
        "high": _milliseconds(between.high),
        "of_every_pair": _milliseconds(LatencyHistogram(every).quantile_ns(fraction)),
    }


def _difference(evidence: Evidence, fraction: float) -> float | None:
    """A quantile of what the shadow's answer came later than production's to the same request."""
    slower, faster = LatencyHistogram(evidence.slower), LatencyHistogram(evidence.faster)
    total = slower.count + faster.count
    if total == 0:
        return None
    rank = fraction * total
    if rank <= faster.count:  # the largest leads come first
        lead = faster.quantile_ns(1.0 - rank / faster.count) if faster.count else 0.0
        return _milliseconds(-(lead or 0.0))
    return _milliseconds(slower.quantile_ns((rank - faster.count) / slower.count))


def _per_second(requests: int, seconds: float) -> float | None:
    """The rate between the first and the last pair; None where that is no time."""
    return requests / seconds if seconds > 0 and requests else None


def _variant(
    spec: VariantSpec, role: str, servers: Sequence[Server] | None, per_second: float | None
) -> dict[str, Any]:
    """`servers` None: there are none that are the experiment's."""
    of_it = [one for one in servers or () if (one.variant.name, one.shadow) == (spec.name, role == "shadow")]
    here = [one for one in of_it if one.serves]
    per_hour = spec.instance_type.usd_per_hour if spec.instance_type.priced else None
    fleet = None if per_hour is None else per_hour * spec.count
    return {
        "role": role,
        "name": spec.name,
        "model": spec.source.model_name,
        "instance_type": spec.instance_type.name,
        "instances": spec.count,
        "instances_in_service": None if servers is None else len(here),
        "cpu_percent": _mean([one.usage["cpu"] for one in here if "cpu" in one.usage]),
        "memory_percent": _mean([one.usage["memory"] for one in here if "memory" in one.usage]),
        "requests_per_second": per_second,
        "usd_per_hour": fleet,
        "usd_per_million_at_this_rate": None if fleet is None or not per_second else fleet / 3600 / per_second * 1e6,
        "price_basis": str(spec.instance_type.price_basis),
    }


def _metrics(evidence: Evidence, role: str, spec: VariantSpec, disk_percent: float | None) -> dict[str, Any]:
    """The metrics of AWS's dashboard of a shadow test, of the pairs; CPU and memory stand with the variant.

    **Source:** SageMaker developer guide, *View, monitor, and edit shadow tests*.
    """
    failed = {kind: evidence.failures.get(f"{role}_{kind}", 0) for kind in ("0xx", "3xx", "4xx", "5xx")}
    mean_ns = LatencyHistogram(evidence.production if role == "production" else evidence.shadow).mean_ns()
    return {
        "Invocations": evidence.pairs,
        "InvocationsPerInstance": evidence.pairs / spec.count,
        "ModelLatency": None if mean_ns is None else mean_ns / 1e3,
        "Invocation4XXErrors": failed["4xx"],
        "Invocation5XXErrors": failed["5xx"],
        "InvocationModelErrors": sum(failed.values()),
        "DiskUtilization": disk_percent,
    }


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _milliseconds(nanoseconds: float | None) -> float | None:
    return None if nanoseconds is None or math.isinf(nanoseconds) else nanoseconds / 1e6


def _finite(value: float | None) -> float | None:
    return None if value is None or math.isinf(value) else value
