"""Ranking: measured trials become recommendations, cheapest inference first.

Source: "recommendations are ranked by cost per inference" (SageMaker developer guide). A type without a price has no
cost and ranks after all that have one, by throughput. A configuration that broke the threshold is no recommendation.
Those that were measured again in a run-off (`domain/run_off.py`) have the places among them that it gave them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from modeldyno.domain.catalog import InstanceType
from modeldyno.domain.cost import cost_per_hour_usd, cost_per_inference_usd, cost_per_use_usd, instances_for
from modeldyno.domain.job import Job, JobSpec, JobType
from modeldyno.domain.names import recommendation_id
from modeldyno.domain.trial import Figures, Trial, TrialStatus

MAX_RECOMMENDATIONS = 10
"""Source: botocore shape InferenceRecommendations."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A trial's figures as the wire has them, for `instance_count` instances.

    capacity_per_minute: whole, rounded down, of the whole fleet. latency_ms: whole, rounded up, never 0. setup_us: of a
    serverless one, its cold start in whole microseconds; it costs nothing while it is idle, so nothing an hour.
    """

    capacity_per_minute: int
    latency_ms: int
    cpu_percent: float | None
    memory_percent: float | None
    cost_per_hour_usd: float | None
    cost_per_inference_usd: float | None
    instance_count: int
    setup_us: int | None = None


@dataclass(frozen=True, slots=True)
class Performance:
    """How an endpoint that was there already did: its trial and what it measured."""

    trial: Trial
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Recommendation:
    """One row of the ranking. `id` is ``<job>/<8 characters>``; times are of the load, in seconds since the epoch."""

    id: str
    trial: Trial
    outcome: Outcome
    environment: dict[str, str]
    started_at: float
    ended_at: float


def outcome_of(spec: JobSpec, trial: Trial) -> Outcome | None:
    """What a trial measured, priced; None when it measured nothing."""
    if trial.result is None:
        return None
    figures = trial.result.figures
    existing, serverless = trial.spec.existing is not None, trial.spec.serverless is not None
    count = 1 if serverless else _instance_count(spec, figures)
    if existing and spec.endpoint:
        count = spec.endpoint.count
    setup = trial.result.setup_seconds
    # an endpoint's figures are those of all its instances already
    capacity = math.floor(figures.capacity_per_minute * (1 if existing else count))
    kind = trial.spec.instance_type
    hourly = cost_per_hour_usd(kind.usd_per_hour, count) if kind.priced and kind.usd_per_hour is not None else None
    return Outcome(
        capacity_per_minute=capacity,
        latency_ms=max(1, math.ceil(figures.latency_ms)),
        cpu_percent=figures.cpu_percent,
        memory_percent=figures.memory_percent,
        cost_per_hour_usd=hourly,
        cost_per_inference_usd=_cost(kind, figures) if serverless else _share(hourly, capacity),
        instance_count=count,
        setup_us=None if setup is None else round(setup * 1e6),
    )


def _share(hourly: float | None, capacity: int) -> float | None:
    return None if hourly is None else cost_per_inference_usd(hourly, capacity)


def _cost(kind: InstanceType, figures: Figures) -> float | None:
    if kind.usd_per_second is None or figures.mean_latency_ms is None:
        return None
    return cost_per_use_usd(kind.usd_per_second, figures.mean_latency_ms)


def _instance_count(spec: JobSpec, figures: Figures) -> int:
    """One, but for the load tests of Advanced jobs: the instances that carry StoppingConditions.MaxInvocations."""
    target = spec.rules.target_per_minute
    if spec.job_type is not JobType.ADVANCED or target is None:
        return 1
    return instances_for(target, figures.capacity_per_minute) or 1


def recommend(job: Job, trials: Sequence[Trial]) -> tuple[Recommendation, ...]:
    """The completed trials, ranked, at most ten."""
    rows = []
    for trial in (one for one in trials if one.spec.existing is None):
        outcome = outcome_of(job.spec, trial)
        if trial.status is not TrialStatus.COMPLETED or outcome is None or trial.result is None:
            continue
        environment = {**trial.result.effective_environment, **trial.spec.tuned}
        identity = recommendation_id(job.name, trial.id)
        times = trial.result.load_started_at, trial.result.load_ended_at
        rows.append(Recommendation(identity, trial, outcome, environment, *times))
    rows.sort(key=_rank)
    return tuple(_decided(rows, job)[:MAX_RECOMMENDATIONS])


def _decided(rows: Sequence[Recommendation], job: Job) -> list[Recommendation]:
    """The ranking, with the contenders of the run-off in its order at the places that they have."""
    order = job.run_off.order if job.run_off else ()
    contenders = iter(sorted((row for row in rows if _index(row) in order), key=lambda row: order.index(_index(row))))
    return [next(contenders) if _index(row) in order else row for row in rows]


def _index(row: Recommendation) -> int:
    return row.trial.spec.index


def deployments(measured: Iterable[tuple[Job, Sequence[Trial]]], most: int) -> tuple[Recommendation, ...]:
    """The best configurations of jobs that measured one model, each once: the jobs in the order given, the rows of each
    as they rank. Costs of two jobs are not compared: their payloads and limits may differ."""
    found: dict[tuple[str, frozenset[tuple[str, str]]], Recommendation] = {}
    for job, trials in measured:
        for row in recommend(job, [trial for trial in trials if trial.spec.specification is None]):
            found.setdefault((row.trial.spec.instance_type.name, frozenset(row.environment.items())), row)
        if len(found) >= most:
            break
    return tuple(found.values())[:most]


def performances(job: Job, trials: Sequence[Trial]) -> tuple[Performance, ...]:
    """What the endpoints that were there already have shown."""
    ended = [trial for trial in trials if trial.spec.existing is not None and trial.status is TrialStatus.COMPLETED]
    outcomes = [(trial, outcome_of(job.spec, trial)) for trial in ended]
    return tuple(Performance(trial, outcome) for trial, outcome in outcomes if outcome is not None)


def _rank(row: Recommendation) -> tuple[bool, float, float, int]:
    cost = row.outcome.cost_per_inference_usd
    return (cost is None, cost or 0.0, -row.outcome.capacity_per_minute, row.trial.spec.index)


def pareto_front(rows: Sequence[Recommendation]) -> frozenset[str]:
    """Ids of the rows that no other beats in both cost per inference and latency. Rows without a cost are not on it."""
    priced = [row for row in rows if row.outcome.cost_per_inference_usd is not None]
    return frozenset(row.id for row in priced if not any(_beats(other, row) for other in priced))


def _beats(one: Recommendation, other: Recommendation) -> bool:
    a, b = _point(one), _point(other)
    return a != b and a[0] <= b[0] and a[1] <= b[1]


def _point(row: Recommendation) -> tuple[float, float]:
    figures = row.trial.result.figures if row.trial.result else None
    assert figures is not None  # only completed trials become rows
    return row.outcome.cost_per_inference_usd or 0.0, figures.latency_ms
