"""Autoscaling from a benchmark: what GetScalingConfigurationRecommendation says of a job's recommendation."""

from __future__ import annotations

import math

from modeldyno.domain.errors import InvalidRequest, ResourceNotFound
from modeldyno.domain.job import Job
from modeldyno.domain.recommend import performances, recommend
from modeldyno.domain.scaling import (
    COOLDOWN_SECONDS,
    DEFAULT_TARGET_PERCENT,
    Benchmark,
    Operating,
    at_cpu,
    instances_between,
)
from modeldyno.domain.trial import Trial
from modeldyno.operations.context import Context
from modeldyno.operations.recommendations import find_job
from modeldyno.operations.shapes import Shape, integer, name, struct, text
from modeldyno.operations.unsupported import refuse_unsupported

_INVOCATIONS = "SageMakerVariantInvocationsPerInstance"
"""**Source:** botocore (application-autoscaling), MetricType."""
_CPU = {"MetricName": "CPUUtilization", "Namespace": "/aws/sagemaker/Endpoints", "Statistic": "Average"}
"""**Source:** SageMaker developer guide, *Monitor with Amazon CloudWatch*: summed over cores, 0 to 100 a core."""


def recommend_scaling(context: Context, params: Shape) -> Shape:
    """A policy for each metric, so that the instances stay at the wanted CPU use. Assumptions A-0102 to A-0104."""
    refuse_unsupported("GetScalingConfigurationRecommendation", params)
    objective = struct(params, "ScalingPolicyObjective")
    least, most = (integer(objective, f"{end}InvocationsPerMinute") for end in ("Min", "Max"))
    _check(params, least, most)
    job = find_job(context, name(params, "InferenceRecommendationsJobName"))
    trial = _trial(context, job, text(params, "RecommendationId"), text(params, "EndpointName"))
    target = integer(params, "TargetCpuUtilizationPerCore") or DEFAULT_TARGET_PERCENT
    benchmark, operating = _operating(context, job, trial, target)
    fewest, highest = instances_between(operating, least, most)
    return {
        **params,
        "TargetCpuUtilizationPerCore": target,
        "Metric": {
            "InvocationsPerInstance": operating.per_minute,
            "ModelLatency": max(1, math.ceil(operating.latency_ms)),
        },
        "DynamicScalingConfiguration": {
            "MinCapacity": fewest,
            "MaxCapacity": highest,
            "ScaleInCooldown": COOLDOWN_SECONDS,
            "ScaleOutCooldown": COOLDOWN_SECONDS,
            "ScalingPolicies": [
                _policy({"Predefined": {"PredefinedMetricType": _INVOCATIONS}}, operating.per_minute),
                _policy({"Customized": dict(_CPU)}, target * benchmark.vcpus),
            ],
        },
    }


def _policy(metric: Shape, target: float) -> Shape:
    return {"TargetTracking": {"MetricSpecification": metric, "TargetValue": float(target)}}


def _check(params: Shape, least: int | None, most: int | None) -> None:
    problems = []
    if ("RecommendationId" in params) == ("EndpointName" in params):
        problems.append("Provide exactly one of RecommendationId and EndpointName.")
    for member, value in (("MinInvocationsPerMinute", least), ("MaxInvocationsPerMinute", most)):
        if value is not None and value < 0:
            problems.append(f"ScalingPolicyObjective.{member} is {value}; it must be at least 0.")
    if least is not None and most is not None and least > most:
        problems.append(
            f"ScalingPolicyObjective.MinInvocationsPerMinute is {least}, more than the MaxInvocationsPerMinute of "
            f"{most}."
        )
    if problems:
        raise InvalidRequest(problems)


def _trial(context: Context, job: Job, recommendation: str | None, endpoint: str | None) -> Trial:
    """The trial that a recommendation, or an endpoint that the job benchmarked, rests on."""
    if not job.status.ended:
        raise InvalidRequest(f"The inference recommendations job {job.name} is {job.status}: it has no results yet.")
    trials = context.store.trials(job.id)
    rows = recommend(job, trials)
    measured = [row.trial for row in performances(job, trials)] + [row.trial for row in rows]
    if recommendation is not None:
        found = [row.trial for row in rows if row.id == recommendation]
        what = f'recommendation "{recommendation}"'
    else:
        found = [trial for trial in measured if trial.spec.endpoint_name == endpoint]
        what = f'endpoint "{endpoint}" among those that were benchmarked'
    if not found:
        raise ResourceNotFound(f"Could not find {what} in the inference recommendations job {job.name}.")
    return found[0]


def _operating(context: Context, job: Job, trial: Trial, target: int) -> tuple[Benchmark, Operating]:
    kind, result = trial.spec.instance_type, trial.result
    assert result is not None  # it was recommended
    if kind.vcpus is None:
        raise InvalidRequest(f"The number of vCPUs of {kind.name} is not known, so its CPU use a core is not either.")
    count = job.spec.endpoint.count if trial.spec.existing is not None and job.spec.endpoint else 1
    benchmark = Benchmark(result.figures, context.store.windows(trial.id), kind.vcpus, count)
    operating = at_cpu(benchmark, target)
    if operating is None:
        raise InvalidRequest(
            f"The CPU use of {trial.spec.endpoint_name} was not measured, so invocations at "
            f"{target}% of it are not known."
        )
    if operating.per_minute < 1:
        raise InvalidRequest(f"At {target}% CPU use an instance of {kind.name} carries no invocation a minute.")
    return benchmark, operating
