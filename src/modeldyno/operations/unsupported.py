"""Which members of each request are honoured, and which are refused by name: nothing is dropped in silence.

Each operation lists the members it honours or echoes (`ACCEPTED`); a trailing ``*`` takes all that is below. A member
that is not listed is refused, with its reason where `REFUSED` has one, so a member that a later service model adds is
refused until somebody decides about it. `EFFECTLESS` members are accepted and change nothing; it is said in
docs/reference/operations.md and in a job's log.
"""

from __future__ import annotations

from collections.abc import Iterator

from modeldyno.domain.errors import UnsupportedRequest
from modeldyno.operations.refusals import KMS, NESTED, NO_ISOLATION, VPC, Refusal
from modeldyno.operations.shapes import Shape
from modeldyno.operations.unsupported_hosting import HOSTING_ACCEPTED, HOSTING_EFFECTLESS, HOSTING_REFUSED
from modeldyno.operations.unsupported_services import SERVICES_ACCEPTED, SERVICES_EFFECTLESS, SERVICES_REFUSED

_UNPACKED = Refusal("a model must be a single tar.gz object (S3Object, Gzip)")
_PIPELINE = Refusal("inference pipelines and multi-container models are not supported")
_MARKETPLACE = Refusal("there is no Marketplace here")
_STORAGE = Refusal("managed storage is not supported")
_MULTI_MODEL = Refusal("multi-model containers are not supported")

_MODEL_DATA = (
    "ContainerHostname",
    "Image",
    "ModelDataUrl",
    "ModelDataSource",
    "ModelDataSource.S3DataSource",
    "ModelDataSource.S3DataSource.S3Uri",
    "ModelDataSource.S3DataSource.S3DataType",
    "ModelDataSource.S3DataSource.CompressionType",
    "ModelDataSource.S3DataSource.ModelAccessConfig.*",
    "Environment.*",
)
_CONTAINER = (
    *_MODEL_DATA,
    "ImageConfig",
    "ImageConfig.RepositoryAccessMode",
    "Mode",
    "ModelPackageName",
    "InferenceSpecificationName",
)
_CONTAINER_REFUSED = {
    "ImageConfig.RepositoryAccessMode": Refusal("images are not pulled", frozenset({"Vpc"})),
    "ImageConfig.RepositoryAuthConfig": Refusal("images are not pulled"),
    "Mode": Refusal(_MULTI_MODEL.reason, frozenset({"MultiModel"})),
    "MultiModelConfig": _MULTI_MODEL,
    "ModelDataSource.S3DataSource.S3DataType": Refusal(_UNPACKED.reason, frozenset({"S3Prefix"})),
    "ModelDataSource.S3DataSource.CompressionType": Refusal(_UNPACKED.reason, frozenset({"None"})),
    "ModelDataSource.S3DataSource.HubAccessConfig": Refusal("there is no hub here"),
    "ModelDataSource.S3DataSource.ManifestS3Uri": Refusal("manifests are not read"),
    "ModelDataSource.S3DataSource.ETag": Refusal("entity tags are not compared"),
    "ModelDataSource.S3DataSource.ManifestEtag": Refusal("manifests are not read"),
    "AdditionalModelDataSources": Refusal("additional model data is not mounted"),
    "ContainerMetricsConfig": Refusal("a container's own metrics are not scraped"),
}

PACKAGE_CONTAINER = "ModelPackageContainer"
"""Key of the members of a package's container that a job or a model can use; others are refused when it is used."""

_LIST = ("MaxResults", "NextToken", "NameContains", "SortBy", "SortOrder", "CreationTimeAfter", "CreationTimeBefore")
_PACKAGE_METADATA = (
    "ModelPackageRegistrationType",
    "ModelApprovalStatus",
    "CustomerMetadataProperties.*",
    "InferenceSpecification.*",
    "SourceUri",
    "ModelCard.*",
    "ModelLifeCycle.*",
    "ClientToken",
)


ACCEPTED: dict[str, tuple[str, ...]] = {
    "CreateInferenceRecommendationsJob": (
        "JobName",
        "JobType",
        "RoleArn",
        "JobDescription",
        "InputConfig",
        "InputConfig.ModelPackageVersionArn",
        "InputConfig.ModelName",
        "InputConfig.JobDurationInSeconds",
        "InputConfig.TrafficPattern",
        "InputConfig.TrafficPattern.TrafficType",
        "InputConfig.TrafficPattern.Phases",
        "InputConfig.TrafficPattern.Phases[].InitialNumberOfUsers",
        "InputConfig.TrafficPattern.Phases[].SpawnRate",
        "InputConfig.TrafficPattern.Phases[].DurationInSeconds",
        "InputConfig.TrafficPattern.Stairs",
        "InputConfig.TrafficPattern.Stairs.DurationInSeconds",
        "InputConfig.TrafficPattern.Stairs.NumberOfSteps",
        "InputConfig.TrafficPattern.Stairs.UsersPerStep",
        "InputConfig.ResourceLimit",
        "InputConfig.ResourceLimit.MaxNumberOfTests",
        "InputConfig.ResourceLimit.MaxParallelOfTests",
        "InputConfig.Endpoints",
        "InputConfig.Endpoints[].EndpointName",
        "InputConfig.EndpointConfigurations",
        "InputConfig.EndpointConfigurations[].InstanceType",
        "InputConfig.EndpointConfigurations[].InferenceSpecificationName",
        "InputConfig.EndpointConfigurations[].ServerlessConfig",
        "InputConfig.EndpointConfigurations[].ServerlessConfig.MemorySizeInMB",
        "InputConfig.EndpointConfigurations[].ServerlessConfig.MaxConcurrency",
        "InputConfig.EndpointConfigurations[].EnvironmentParameterRanges",
        "InputConfig.EndpointConfigurations[].EnvironmentParameterRanges.CategoricalParameterRanges",
        "InputConfig.EndpointConfigurations[].EnvironmentParameterRanges.CategoricalParameterRanges[].Name",
        "InputConfig.EndpointConfigurations[].EnvironmentParameterRanges.CategoricalParameterRanges[].Value",
        "InputConfig.ContainerConfig",
        "InputConfig.ContainerConfig.Domain",
        "InputConfig.ContainerConfig.Task",
        "InputConfig.ContainerConfig.Framework",
        "InputConfig.ContainerConfig.FrameworkVersion",
        "InputConfig.ContainerConfig.PayloadConfig",
        "InputConfig.ContainerConfig.PayloadConfig.SamplePayloadUrl",
        "InputConfig.ContainerConfig.PayloadConfig.SupportedContentTypes",
        "InputConfig.ContainerConfig.NearestModelName",
        "InputConfig.ContainerConfig.SupportedInstanceTypes",
        "InputConfig.ContainerConfig.SupportedEndpointType",
        "InputConfig.ContainerConfig.SupportedResponseMIMETypes",
        "InputConfig.ContainerConfig.DataInputConfig",
        "StoppingConditions",
        "StoppingConditions.MaxInvocations",
        "StoppingConditions.ModelLatencyThresholds",
        "StoppingConditions.ModelLatencyThresholds[].Percentile",
        "StoppingConditions.ModelLatencyThresholds[].ValueInMilliseconds",
        "StoppingConditions.FlatInvocations",
        "OutputConfig",
        "OutputConfig.CompiledOutputConfig",
        "OutputConfig.CompiledOutputConfig.S3OutputUri",
        "Tags.*",
    ),
    "DescribeInferenceRecommendationsJob": ("JobName",),
    "ListInferenceRecommendationsJobs": (
        *_LIST,
        "LastModifiedTimeAfter",
        "LastModifiedTimeBefore",
        "StatusEquals",
        "ModelNameEquals",
        "ModelPackageVersionArnEquals",
    ),
    "ListInferenceRecommendationsJobSteps": ("JobName", "Status", "StepType", "MaxResults", "NextToken"),
    "StopInferenceRecommendationsJob": ("JobName",),
    "GetScalingConfigurationRecommendation": (
        "InferenceRecommendationsJobName",
        "RecommendationId",
        "EndpointName",
        "TargetCpuUtilizationPerCore",
        "ScalingPolicyObjective.*",
    ),
    "DescribeCompilationJob": ("CompilationJobName",),
    "CreateModel": (
        "ModelName",
        "PrimaryContainer",
        *(f"PrimaryContainer.{path}" for path in _CONTAINER),
        "Containers",
        *(f"Containers[].{path}" for path in _CONTAINER),
        "InferenceExecutionConfig.*",
        "ExecutionRoleArn",
        "EnableNetworkIsolation",
        "Tags.*",
    ),
    "DescribeModel": ("ModelName",),
    "ListModels": _LIST,
    "DeleteModel": ("ModelName",),
    "CreateModelPackageGroup": ("ModelPackageGroupName", "ModelPackageGroupDescription", "Tags.*"),
    "DescribeModelPackageGroup": ("ModelPackageGroupName",),
    "ListModelPackageGroups": (*_LIST, "CrossAccountFilterOption"),
    "DeleteModelPackageGroup": ("ModelPackageGroupName",),
    "CreateModelPackage": (
        *_PACKAGE_METADATA,
        "ModelPackageName",
        "ModelPackageGroupName",
        "ModelPackageDescription",
        "CertifyForMarketplace",
        "Tags.*",
        "MetadataProperties.*",
        "ModelMetrics.*",
        "Domain",
        "Task",
        "SamplePayloadUrl",
        "DriftCheckBaselines.*",
        "AdditionalInferenceSpecifications.*",
        "SkipModelValidation",
    ),
    "DescribeModelPackage": ("ModelPackageName", "IncludedData"),
    "UpdateModelPackage": (
        *_PACKAGE_METADATA,
        "ModelPackageArn",
        "ApprovalDescription",
        "CustomerMetadataPropertiesToRemove",
        "AdditionalInferenceSpecificationsToAdd.*",
    ),
    "ListModelPackages": (*_LIST, "ModelApprovalStatus", "ModelPackageGroupName", "ModelPackageType"),
    "DeleteModelPackage": ("ModelPackageName",),
    "Search": (
        "Resource",
        "SearchExpression",
        "SearchExpression.Filters.*",
        "SearchExpression.SubExpressions.*",
        "SearchExpression.Operator",
        "SortBy",
        "SortOrder",
        "NextToken",
        "MaxResults",
        "CrossAccountFilterOption",
    ),
    "ListModelMetadata": ("SearchExpression.*", "NextToken", "MaxResults"),
    "AddTags": ("ResourceArn", "Tags.*"),
    "ListTags": ("ResourceArn", "NextToken", "MaxResults"),
    "DeleteTags": ("ResourceArn", "TagKeys"),
    PACKAGE_CONTAINER: (
        *_MODEL_DATA,
        "ModelInput.*",
        "Framework",
        "FrameworkVersion",
        "NearestModelName",
        "IsCheckpoint",
        "BaseModel.*",
    ),
    **HOSTING_ACCEPTED,
    **SERVICES_ACCEPTED,
}

REFUSED: dict[str, dict[str, Refusal]] = {
    "CreateInferenceRecommendationsJob": {
        "InputConfig.VpcConfig": VPC,
        "InputConfig.VolumeKmsKeyId": KMS,
        "InputConfig.EndpointConfigurations[].ServerlessConfig.ProvisionedConcurrency": Refusal(
            "recommendation jobs do not support it, on AWS neither"
        ),
        "OutputConfig.KmsKeyId": KMS,
    },
    "CreateModel": {
        **{f"PrimaryContainer.{path}": refusal for path, refusal in _CONTAINER_REFUSED.items()},
        **{f"Containers[].{path}": refusal for path, refusal in _CONTAINER_REFUSED.items()},
        "VpcConfig": VPC,
        "InferenceExecutionConfig.Mode": Refusal(_PIPELINE.reason, frozenset({"Direct"})),
        "EnableNetworkIsolation": NO_ISOLATION,
    },
    "CreateModelPackageGroup": {"ManagedConfiguration": _STORAGE},
    "ListModelPackageGroups": {
        "CrossAccountFilterOption": Refusal("there is one account", frozenset({"CrossAccount"})),
    },
    "Search": {
        "SearchExpression.NestedFilters": NESTED,
        "CrossAccountFilterOption": Refusal("there is one account", frozenset({"CrossAccount"})),
        "VisibilityConditions": Refusal("whoever may call sees every resource"),
    },
    "CreateModelPackage": {
        "ValidationSpecification": Refusal("validation jobs are not run"),
        "SourceAlgorithmSpecification": Refusal("there are no algorithm resources"),
        "CertifyForMarketplace": Refusal(_MARKETPLACE.reason, frozenset({True})),
        "SecurityConfig": KMS,
        "ManagedStorageType": _STORAGE,
    },
    PACKAGE_CONTAINER: {
        **_CONTAINER_REFUSED,
        "ImageDigest": Refusal("images are not pulled, so a digest cannot be checked"),
        "ProductId": _MARKETPLACE,
        "AdditionalS3DataSource": Refusal("additional model data is not mounted"),
        "ModelDataETag": Refusal("entity tags are not compared"),
    },
    **HOSTING_REFUSED,
    **SERVICES_REFUSED,
}

EFFECTLESS: dict[str, dict[str, str]] = {
    "CreateInferenceRecommendationsJob": {
        "InputConfig.ContainerConfig.NearestModelName": "every candidate is measured, none is guessed",
        "RoleArn": "there are no roles to assume; it is echoed",
    },
    PACKAGE_CONTAINER: {
        "NearestModelName": "every candidate is measured, none is guessed",
    },
    **HOSTING_EFFECTLESS,
    **SERVICES_EFFECTLESS,
}


def refuse_unsupported(operation: str, params: Shape, *, unenforced: bool = False) -> None:
    """Refuse what this operation does not honour. `unenforced`: what asks for protection passes, without effect.

    Raises:
        UnsupportedRequest: names every such member and why, all of them together.
    """
    accepted, refused = ACCEPTED[operation], REFUSED.get(operation, {})
    problems: dict[str, str] = {}
    for path, value in _paths(params, "", accepted, refused):
        refusal = refused.get(path)
        if refusal is not None and (refusal.values is None or value in refusal.values):
            if not (unenforced and refusal.security):
                problems[path] = refusal.told(path, value)
        elif not _listed(path, accepted):
            problems[path] = f"{path} is not supported."
    if problems:
        raise UnsupportedRequest(" ".join(problems.values()))


def missing_of(operation: str) -> str:
    """What an operation does not do, in words, for docs/reference/operations.md."""
    found = [
        (refusal, path if refusal.values is None else f"{path}={','.join(sorted(map(str, refusal.values)))}")
        for path, refusal in REFUSED.get(operation, {}).items()
        if not path.startswith(("Containers[]", "ShadowProductionVariants[]"))  # as of the other
    ]
    refused = [shown for refusal, shown in found if not refusal.security]
    protection = [shown for refusal, shown in found if refusal.security]
    without_effect = [f"{path} ({why})" for path, why in EFFECTLESS.get(operation, {}).items()]
    parts = []
    if refused:
        parts.append(f"Refused: {', '.join(refused)}.")
    if protection:
        parts.append(f"Refused, or accepted without effect by a setting: {', '.join(protection)}.")
    if without_effect:
        parts.append(f"Accepted without effect: {', '.join(without_effect)}.")
    return " ".join(parts)


def _paths(
    of: Shape, prefix: str, accepted: tuple[str, ...], refused: dict[str, Refusal]
) -> Iterator[tuple[str, object]]:
    """Every member of a request that stands on its own in the tables: outermost first, below a refused one nothing."""
    for member, value in of.items():
        path = f"{prefix}{member}"
        yield path, value if isinstance(value, str | bool | int | float) else None
        whole = f"{path}.*" in accepted
        if (path in refused and refused[path].values is None) or (whole and not _below(path, refused)):
            continue
        if isinstance(value, dict):
            yield from _paths(value, f"{path}.", accepted, refused)
        elif isinstance(value, list):
            for item in value:
                if isinstance(item, dict):
                    yield from _paths(item, f"{path}[].", accepted, refused)


def _below(path: str, refused: dict[str, Refusal]) -> bool:
    return any(other.startswith((f"{path}.", f"{path}[]")) for other in refused)


def _listed(path: str, accepted: tuple[str, ...]) -> bool:
    if path in accepted or f"{path}.*" in accepted:
        return True
    return any(whole.endswith(".*") and path.startswith(whole[:-1]) for whole in accepted)
