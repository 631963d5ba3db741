"""Every operation that Dyno does, and how far: the one list that dispatch and the reference page read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from modeldyno.operations import (
    endpoint_configs,
    endpoints,
    experiments,
    models,
    package_groups,
    packages,
    recommendations,
    tags,
)
from modeldyno.operations.context import Context
from modeldyno.operations.unsupported import PACKAGE_CONTAINER, missing_of

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
    "AddTags": tags.add,
    "ListTags": tags.list_tags,
    "DeleteTags": tags.delete,
}

_ALSO_MISSING = {
    "CreateInferenceRecommendationsJob": "Only real-time endpoints are measured.",
    "CreateModel": "Containers holds one container at most, with the refusals of PrimaryContainer.",
    "DescribeModel": "DeploymentRecommendation is always NOT_APPLICABLE: there are no instant recommendations.",
    "CreateModelPackage": "A SourceUri that is an ARN is refused. Any InferenceSpecification is stored; when a model "
    f"or a job uses it, there is one container at most, and of its members: {missing_of(PACKAGE_CONTAINER)}",
    "UpdateModelPackage": "A SourceUri that is an ARN is refused.",
}


def _operation(name: str, handler: Handler) -> Operation:
    missing = " ".join(part for part in (_ALSO_MISSING.get(name, ""), missing_of(name)) if part)
    return Operation(name, handler, Standing.PARTIAL if missing else Standing.COMPLETE, missing)


OPERATIONS: dict[str, Operation] = {name: _operation(name, handler) for name, handler in _HANDLERS.items()}
