"""Compilation jobs, which recommendation jobs make: what one compiled, and what came of it."""

from __future__ import annotations

import msgspec

from modeldyno.domain.compilation import LIMIT_SECONDS, Compilation, CompilationStatus
from modeldyno.domain.errors import ResourceNotFound
from modeldyno.domain.images import Framework
from modeldyno.domain.names import arn_of
from modeldyno.domain.resource import Kind
from modeldyno.operations.context import Context
from modeldyno.operations.shapes import Shape, name
from modeldyno.operations.unsupported import refuse_unsupported

# Source: botocore enum Framework, of InputConfig.
_FRAMEWORKS = {
    Framework.SCIKIT_LEARN: "SKLEARN",
    Framework.XGBOOST: "XGBOOST",
    Framework.PYTORCH: "PYTORCH",
}


def describe(context: Context, params: Shape) -> Shape:
    """What was compiled for which inputs, where it stands, and where the compiled model is. Assumption A-0173."""
    refuse_unsupported("DescribeCompilationJob", params)
    job_name = name(params, "CompilationJobName")
    try:
        row = context.store.resource(Kind.COMPILATION, context.region, job_name)
    except ResourceNotFound:
        arn = arn_of(Kind.COMPILATION, context.region, context.account, job_name)
        raise ResourceNotFound(f'Could not find compilation job "{arn}".') from None
    return _shape(msgspec.convert(row.document, Compilation))


def _shape(of: Compilation) -> Shape:
    """The wire demands a FailureReason and ModelArtifacts of every job; they are empty where there are none."""
    completed = of.status is CompilationStatus.COMPLETED
    return {
        "CompilationJobName": of.name,
        "CompilationJobArn": of.arn,
        "CompilationJobStatus": str(of.status),
        "CompilationStartTime": of.created_at,
        "CompilationEndTime": of.ended_at,
        "StoppingCondition": {"MaxRuntimeInSeconds": LIMIT_SECONDS},
        "InferenceImage": of.image if completed else None,
        "ModelPackageVersionArn": of.model.model_package_arn,
        "CreationTime": of.created_at,
        "LastModifiedTime": of.modified_at,
        "FailureReason": of.failure_reason,
        "ModelArtifacts": {"S3ModelArtifacts": of.artifact_url if completed else ""},
        "RoleArn": of.role_arn,
        "InputConfig": {
            "S3Uri": of.model.model_data_url or "",
            "DataInputConfig": of.inputs,
            "Framework": _FRAMEWORKS[of.framework],
            "FrameworkVersion": of.framework_version,
        },
        "OutputConfig": {"S3OutputLocation": of.output_url},
    }
