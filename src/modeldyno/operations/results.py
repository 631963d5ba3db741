"""Measured trials in the wire's shape: recommendations and steps."""

from __future__ import annotations

from modeldyno.domain.failure import failure_text
from modeldyno.domain.job import Job
from modeldyno.domain.recommend import Outcome, Performance, Recommendation, outcome_of
from modeldyno.domain.trial import Trial, TrialStatus
from modeldyno.operations.serverless import serverless_shape
from modeldyno.operations.shapes import Shape

VARIANT = "AllTraffic"
"""Source: the variant that the SageMaker Python SDK deploys and AWS's examples show."""
FAILURE_CHARACTERS = 1024
"""Source: botocore shape FailureReason. A step's has no limit of its own; it is cut alike."""
_MAX_PARAMETERS = 10
"""Source: botocore shape EnvironmentParameters."""


def recommendation_shape(row: Recommendation) -> Shape:
    """An InferenceRecommendation."""
    return {
        "RecommendationId": row.id,
        "Metrics": _metrics(row.outcome),
        "EndpointConfiguration": _endpoint(row.trial, row.outcome.instance_count),
        "ModelConfiguration": _model(row.trial, row.environment),
        "InvocationStartTime": row.started_at,
        "InvocationEndTime": row.ended_at,
    }


def performance_shape(row: Performance) -> Shape:
    """An EndpointPerformance."""
    return {"Metrics": _endpoint_metrics(row.outcome), "EndpointInfo": {"EndpointName": row.trial.spec.endpoint_name}}


def step_shape(job: Job, trial: Trial) -> Shape:
    """An InferenceRecommendationsJobStep. Assumption A-0007."""
    outcome = outcome_of(job.spec, trial)
    result = trial.result
    effective = result.effective_environment if result else {}
    return {
        "StepType": "BENCHMARK",
        "JobName": job.name,
        "Status": str(trial.status),
        "InferenceBenchmark": {
            **_of_benchmark(job, trial, outcome),
            "ModelConfiguration": _model(trial, {**effective, **trial.spec.tuned}),
            "FailureReason": _failure(trial),
            "InvocationStartTime": result.load_started_at if result else None,
            "InvocationEndTime": result.load_ended_at if result else None,
        },
    }


def _of_benchmark(job: Job, trial: Trial, outcome: Outcome | None) -> Shape:
    """What was measured, and where: an endpoint that was there already has metrics of its own shape."""
    endpoint = job.spec.endpoint
    if trial.spec.existing is not None and endpoint is not None:
        return {
            "EndpointMetrics": _endpoint_metrics(outcome) if outcome else None,
            "EndpointConfiguration": {**_endpoint(trial, endpoint.count), "VariantName": endpoint.variant},
        }
    return {
        "Metrics": _metrics(outcome) if outcome else None,
        "EndpointConfiguration": _endpoint(trial, outcome.instance_count if outcome else 1),
    }


def _endpoint_metrics(outcome: Outcome) -> Shape:
    return {"MaxInvocations": outcome.capacity_per_minute, "ModelLatency": outcome.latency_ms}


def _failure(trial: Trial) -> str | None:
    if trial.status is not TrialStatus.FAILED or trial.failure_reason is None:
        return None
    return failure_text(trial.failure_reason, trial.log_tail, FAILURE_CHARACTERS)


def _metrics(outcome: Outcome) -> Shape:
    return {
        "CostPerHour": outcome.cost_per_hour_usd,
        "CostPerInference": outcome.cost_per_inference_usd,
        "MaxInvocations": outcome.capacity_per_minute,
        "ModelLatency": outcome.latency_ms,
        "CpuUtilization": outcome.cpu_percent,
        "MemoryUtilization": outcome.memory_percent,
        "ModelSetupTime": outcome.setup_us,
    }


def _endpoint(trial: Trial, instance_count: int) -> Shape:
    named: Shape = {"EndpointName": trial.spec.endpoint_name, "VariantName": VARIANT}
    if (serverless := trial.spec.serverless) is not None:
        return {**named, "ServerlessConfig": serverless_shape(serverless)}
    return {
        **named,
        "InstanceType": trial.spec.instance_type.name,
        "InitialInstanceCount": instance_count,
    }


def _model(trial: Trial, environment: dict[str, str]) -> Shape:
    """Clients of AWS read EnvironmentParameters unconditionally, so it is always there, if need be empty. A compiled
    model is told by its compilation job; there is no inference specification of it."""
    rows = [{"Key": key, "ValueType": "string", "Value": value} for key, value in environment.items()]
    compiled = trial.spec.compiled
    return {
        "InferenceSpecificationName": trial.spec.specification,
        "EnvironmentParameters": rows[:_MAX_PARAMETERS],
        "CompilationJobName": compiled.compilation_job if compiled else None,
    }
