"""Which members of the requests on endpoints and experiments are honoured, and which are refused by name."""

from __future__ import annotations

from modeldyno.operations.refusals import KMS, NO_ISOLATION, VPC, Refusal

_LIST = ("MaxResults", "NextToken", "NameContains", "SortBy", "SortOrder", "CreationTimeAfter", "CreationTimeBefore")
_MODIFIED = ("LastModifiedTimeAfter", "LastModifiedTimeBefore")
_VARIANT = (
    "VariantName",
    "ModelName",
    "InitialInstanceCount",
    "InstanceType",
    "InitialVariantWeight",
    "ModelDataDownloadTimeoutInSeconds",
    "ContainerStartupHealthCheckTimeoutInSeconds",
    "RoutingConfig",
    "RoutingConfig.RoutingStrategy",
    "EnableSSMAccess",
    "ManagedInstanceScaling",
    "ManagedInstanceScaling.Status",
)
_SERVERLESS = ("MemorySizeInMB", "MaxConcurrency", "ProvisionedConcurrency")
_ELASTIC = Refusal("there are no elastic accelerators")
_VARIANT_REFUSED = {
    "InstancePools": Refusal("a variant has one instance type"),
    "VariantInstanceProvisionTimeoutInSeconds": Refusal("instances are made at once"),
    "AcceleratorType": _ELASTIC,
    "CoreDumpConfig": Refusal("no core is dumped"),
    "VolumeSizeInGB": Refusal("disks are not limited by size"),
    "EnableSSMAccess": Refusal("there is no Systems Manager here", frozenset({True})),
    "ManagedInstanceScaling.Status": Refusal("instances are not scaled by themselves", frozenset({"ENABLED"})),
    "ManagedInstanceScaling.MinInstanceCount": Refusal("instances are not scaled by themselves"),
    "ManagedInstanceScaling.MaxInstanceCount": Refusal("instances are not scaled by themselves"),
    "ManagedInstanceScaling.ScaleInPolicy": Refusal("instances are not scaled by themselves"),
    "RoutingConfig.RoutingStrategy": Refusal("prefixes of prompts are not looked at", frozenset({"PREFIX_AWARE"})),
    "RoutingConfig.PrefixAwareRoutingConfig": Refusal("prefixes of prompts are not looked at"),
    "InferenceAmiVersion": Refusal("there are no machine images"),
    "CapacityReservationConfig": Refusal("nothing is reserved"),
    "AcceleratorPartitionLayouts": Refusal("accelerators are not partitioned"),
}
_CAPTURE = (
    "DataCaptureConfig",
    "DataCaptureConfig.EnableCapture",
    "DataCaptureConfig.InitialSamplingPercentage",
    "DataCaptureConfig.DestinationS3Uri",
    "DataCaptureConfig.CaptureOptions",
    "DataCaptureConfig.CaptureOptions[].CaptureMode",
    "DataCaptureConfig.CaptureContentTypeHeader.*",
)
_DEPLOYMENT = (
    "DeploymentConfig",
    "DeploymentConfig.BlueGreenUpdatePolicy.*",
    "DeploymentConfig.RollingUpdatePolicy",
    "DeploymentConfig.RollingUpdatePolicy.MaximumBatchSize.*",
    "DeploymentConfig.RollingUpdatePolicy.WaitIntervalInSeconds",
    "DeploymentConfig.RollingUpdatePolicy.MaximumExecutionTimeoutInSeconds",
    "DeploymentConfig.RollingUpdatePolicy.RollbackMaximumBatchSize.*",
)
_ALARMS = {
    "DeploymentConfig.AutoRollbackConfiguration": Refusal(
        "there are no CloudWatch alarms; an update whose servers fail is rolled back by itself"
    )
}
_INFRASTRUCTURE = (
    "ModelName",
    "VariantName",
    "InfrastructureConfig",
    "InfrastructureConfig.InfrastructureType",
    "InfrastructureConfig.RealTimeInferenceConfig",
    "InfrastructureConfig.RealTimeInferenceConfig.InstanceType",
    "InfrastructureConfig.RealTimeInferenceConfig.InstanceCount",
)
_MODEL_VARIANTS = ("ModelVariants", *(f"ModelVariants[].{member}" for member in _INFRASTRUCTURE))
_EXPERIMENT = (
    "Name",
    "Schedule.*",
    "Description",
    *_MODEL_VARIANTS,
    "DataStorageConfig",
    "DataStorageConfig.Destination",
    "DataStorageConfig.ContentType.*",
    "ShadowModeConfig.*",
)

HOSTING_ACCEPTED: dict[str, tuple[str, ...]] = {
    "CreateEndpointConfig": (
        "EndpointConfigName",
        "ProductionVariants",
        *(f"ProductionVariants[].{member}" for member in _VARIANT),
        "ProductionVariants[].ServerlessConfig",
        *(f"ProductionVariants[].ServerlessConfig.{member}" for member in _SERVERLESS),
        "ShadowProductionVariants",
        *(f"ShadowProductionVariants[].{member}" for member in _VARIANT),
        *_CAPTURE,
        "ExecutionRoleArn",
        "EnableNetworkIsolation",
        "Tags.*",
    ),
    "DescribeEndpointConfig": ("EndpointConfigName",),
    "ListEndpointConfigs": _LIST,
    "DeleteEndpointConfig": ("EndpointConfigName",),
    "CreateEndpoint": ("EndpointName", "EndpointConfigName", *_DEPLOYMENT, "Tags.*"),
    "DescribeEndpoint": ("EndpointName",),
    "UpdateEndpoint": (
        "EndpointName",
        "EndpointConfigName",
        "RetainAllVariantProperties",
        "ExcludeRetainedVariantProperties.*",
        "RetainDeploymentConfig",
        *_DEPLOYMENT,
    ),
    "UpdateEndpointWeightsAndCapacities": (
        "EndpointName",
        "DesiredWeightsAndCapacities",
        "DesiredWeightsAndCapacities[].VariantName",
        "DesiredWeightsAndCapacities[].DesiredWeight",
        "DesiredWeightsAndCapacities[].DesiredInstanceCount",
        "DesiredWeightsAndCapacities[].ServerlessUpdateConfig",
        "DesiredWeightsAndCapacities[].ServerlessUpdateConfig.MaxConcurrency",
        "DesiredWeightsAndCapacities[].ServerlessUpdateConfig.ProvisionedConcurrency",
    ),
    "ListEndpoints": (*_LIST, *_MODIFIED, "StatusEquals"),
    "DeleteEndpoint": ("EndpointName",),
    "CreateInferenceExperiment": (*_EXPERIMENT, "Type", "RoleArn", "EndpointName", "Tags.*"),
    "DescribeInferenceExperiment": ("Name",),
    "UpdateInferenceExperiment": _EXPERIMENT,
    "StartInferenceExperiment": ("Name",),
    "StopInferenceExperiment": (
        "Name",
        "ModelVariantActions.*",
        "DesiredModelVariants",
        *(f"DesiredModelVariants[].{member}" for member in _INFRASTRUCTURE),
        "DesiredState",
        "Reason",
    ),
    "DeleteInferenceExperiment": ("Name",),
    "ListInferenceExperiments": (*_LIST, *_MODIFIED, "Type", "StatusEquals"),
}

HOSTING_REFUSED: dict[str, dict[str, Refusal]] = {
    "CreateEndpointConfig": {
        **{f"ProductionVariants[].{path}": refusal for path, refusal in _VARIANT_REFUSED.items()},
        **{f"ShadowProductionVariants[].{path}": refusal for path, refusal in _VARIANT_REFUSED.items()},
        "ShadowProductionVariants[].ServerlessConfig": Refusal("shadow tests do not support serverless inference"),
        "DataCaptureConfig.KmsKeyId": KMS,
        "KmsKeyId": KMS,
        "AsyncInferenceConfig": Refusal("asynchronous inference is not supported"),
        "ExplainerConfig": Refusal("there are no explainers"),
        "VpcConfig": VPC,
        "EnableNetworkIsolation": NO_ISOLATION,
        "MetricsConfig": Refusal("metrics are at /metrics, always in the same detail"),
    },
    "CreateEndpoint": _ALARMS,
    "UpdateEndpoint": _ALARMS,
    "CreateInferenceExperiment": {"KmsKey": KMS, "DataStorageConfig.KmsKey": KMS},
    "UpdateInferenceExperiment": {"DataStorageConfig.KmsKey": KMS},
}

HOSTING_EFFECTLESS: dict[str, dict[str, str]] = {
    "CreateEndpointConfig": {"ExecutionRoleArn": "there are no roles to assume; it is echoed"},
    "CreateEndpoint": {"DeploymentConfig": "there is nothing to move traffic from yet; it is checked"},
    "CreateInferenceExperiment": {"RoleArn": "there are no roles to assume; it is echoed"},
}
