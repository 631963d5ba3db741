"""Every operation that Dyno does, and how far: the one list that dispatch and the reference page read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from modeldyno.operations import (
    compilations,
    endpoint_configs,
    endpoints,
    experiments,
    identity,
    logs,
    metrics,
    model_metadata,
    models,
    package_groups,
    packages,
    recommendations,
    scaling,
    scaling_policies,
    search,
    tags,
)
from modeldyno.operations.context import Context
from modeldyno.operations.unsupported import PACKAGE_CONTAINER, missing_of
from modeldyno.wire.service import Api

Handler = Callable[[Context, dict[str, object]], dict[str, object] | None]


class Standing(StrEnum):
    """Whether an operation honours every member that AWS's does."""

    COMPLETE = "complete"
    PARTIAL = "partial"


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation. `missing` says, in words, what it refuses or does not do; empty when it is complete."""

    name: str
    handler: Handler
    standing: Standing
    missing: str = ""


_HANDLERS: dict[str, Handler] = {
    "CreateInferenceRecommendationsJob": recommendations.create,
    "DescribeInferenceRecommendationsJob": recommendations.describe,
    "ListInferenceRecommendationsJobs": recommendations.list_jobs,
    "ListInferenceRecommendationsJobSteps": recommendations.list_steps,
    "StopInferenceRecommendationsJob": recommendations.stop,
    "GetScalingConfigurationRecommendation": scaling.recommend_scaling,
    "DescribeCompilationJob": compilations.describe,
    "CreateModel": models.create,
    "DescribeModel": models.describe,
    "ListModels": models.list_models,
    "DeleteModel": models.delete,
    "CreateModelPackageGroup": package_groups.create,
    "DescribeModelPackageGroup": package_groups.describe,
    "ListModelPackageGroups": package_groups.list_groups,
    "DeleteModelPackageGroup": package_groups.delete,
    "CreateModelPackage": packages.create,
    "DescribeModelPackage": packages.describe,
    "UpdateModelPackage": packages.update,
    "ListModelPackages": packages.list_packages,
    "DeleteModelPackage": packages.delete,
    "CreateEndpointConfig": endpoint_configs.create,
    "DescribeEndpointConfig": endpoint_configs.describe,
    "ListEndpointConfigs": endpoint_configs.list_configs,
    "DeleteEndpointConfig": endpoint_configs.delete,
    "CreateEndpoint": endpoints.create,
    "DescribeEndpoint": endpoints.describe,
    "UpdateEndpoint": endpoints.update,
    "UpdateEndpointWeightsAndCapacities": endpoints.update_weights,
    "ListEndpoints": endpoints.list_endpoints,
    "DeleteEndpoint": endpoints.delete,
    "CreateInferenceExperiment": experiments.create,
    "DescribeInferenceExperiment": experiments.describe,
    "UpdateInferenceExperiment": experiments.update,
    "StartInferenceExperiment": experiments.start,
    "StopInferenceExperiment": experiments.stop,
    "DeleteInferenceExperiment": experiments.delete,
    "ListInferenceExperiments": experiments.list_experiments,
    "Search": search.search,
    "ListModelMetadata": model_metadata.list_metadata,
    "AddTags": tags.add,
    "ListTags": tags.list_tags,
    "DeleteTags": tags.delete,
}

# What clients of SageMaker need of other services.
_OTHERS: dict[Api, dict[str, Handler]] = {
    Api.STS: {"GetCallerIdentity": identity.get_caller_identity},
    Api.IAM: {
        "GetRole": identity.get_role,
        "SimulatePrincipalPolicy": identity.simulate_principal_policy,
    },
    Api.LOGS: {
        "DescribeLogGroups": logs.describe_log_groups,
        "DescribeLogStreams": logs.describe_log_streams,
        "GetLogEvents": logs.get_log_events,
        "FilterLogEvents": logs.filter_log_events,
    },
    Api.METRICS: {
        "GetMetricStatistics": metrics.get_metric_statistics,
        "GetMetricData": metrics.get_metric_data,
        "ListMetrics": metrics.list_metrics,
    },
    Api.SCALING: scaling_policies.HANDLERS,
}

_ALSO_MISSING = {
    "CreateInferenceRecommendationsJob": "Serverless endpoints are measured where they are asked for.",
    "CreateModel": "Containers holds one container at most, with the refusals of PrimaryContainer.",
    "DescribeCompilationJob": "Those that recommendation jobs have made: there is no other way to make one.",
    "DescribeModel": "DeploymentRecommendation is NOT_APPLICABLE for a model that no job has measured: nothing is "
    "recommended by a guess.",
    "CreateModelPackage": "A SourceUri that is an ARN is refused. Any InferenceSpecification is stored; when a model "
    f"or a job uses it, there is one container at most, and of its members: {missing_of(PACKAGE_CONTAINER)}",
    "Search": f"Resource is one of {', '.join(search.RESOURCES)}; others are refused by name.",
    "ListModelMetadata": "Lists the models that packages and jobs of this installation name as NearestModelName: AWS's "
    "own list of benchmarked models is not published.",
    "UpdateModelPackage": "A SourceUri that is an ARN is refused.",
    "GetMetricStatistics": "ExtendedStatistics are percentiles only (p0 to p100).",
    "PutScalingPolicy": "Target tracking only, on SageMakerVariantInvocationsPerInstance or a metric of the variant "
    "itself; there are no alarms.",
    "GetMetricData": "Of extended statistics there are percentiles only; dynamic labels are refused.",
}


def _operation(name: str, handler: Handler) -> Operation:
    missing = " ".join(part for part in (_ALSO_MISSING.get(name, ""), missing_of(name)) if part)
    return Operation(name, handler, Standing.PARTIAL if missing else Standing.COMPLETE, missing)


def _operations(handlers: dict[str, Handler]) -> dict[str, Operation]:
    return {name: _operation(name, handler) for name, handler in handlers.items()}


OPERATIONS: dict[str, Operation] = _operations(_HANDLERS)
OPERATIONS_OF: dict[Api, dict[str, Operation]] = {
    Api.SAGEMAKER: OPERATIONS,
    **{api: _operations(_OTHERS.get(api, {})) for api in Api if api is not Api.SAGEMAKER},
}
"""By service. InvokeEndpoint and what S3 has are not here: they are answered by the data plane and the door to
objects."""
