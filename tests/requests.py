"""Requests that several suites send."""

from __future__ import annotations

from typing import Any

ROLE = "arn:aws:iam::123456789012:role/dyno"
IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"


def a_package() -> dict[str, Any]:
    """CreateModelPackage without a name: a scikit-learn model that a job can run."""
    return {
        "ModelPackageDescription": "the first",
        "Domain": "MACHINE_LEARNING",
        "Task": "CLASSIFICATION",
        "SamplePayloadUrl": "s3://bucket/payload.tar.gz",
        "InferenceSpecification": {
            "Containers": [
                {
                    "Image": IMAGE,
                    "ModelDataUrl": "s3://bucket/model.tar.gz",
                    "Framework": "SAGEMAKER-SCIKIT-LEARN",
                    "FrameworkVersion": "1.2-1",
                    "NearestModelName": "sagemaker-scikit-learn",
                }
            ],
            "SupportedContentTypes": ["text/csv"],
            "SupportedResponseMIMETypes": ["application/json"],
            "SupportedRealtimeInferenceInstanceTypes": ["ml.c5.large"],
        },
        "CustomerMetadataProperties": {"team": "a", "stage": "b"},
    }
