"""DescribeModel's DeploymentRecommendation, as boto3 sees it: what was measured of the same model, and nothing else."""

from __future__ import annotations

import re
from typing import Any

import pytest

from modeldyno.domain.job import JobStatus
from tests.requests import IMAGE, ROLE

CONTAINER = {"Image": IMAGE, "ModelDataUrl": "s3://bucket/model.tar.gz"}
NOTHING = {"RecommendationStatus": "NOT_APPLICABLE"}


@pytest.fixture
def measured(sagemaker: Any, job_request: dict[str, Any], engine: Any) -> Any:
    """Run a job of the model `iris` that measures these types, dearest last."""

    def run(name: str, *types: str, status: JobStatus = JobStatus.COMPLETED, per_minute: float = 6000.0) -> None:
        sagemaker.create_inference_recommendations_job(**{**job_request, "JobName": name})
        engine.plan(types, name)
        for place in range(len(types)):
            engine.succeed(per_minute / (place + 1) ** 4, 20.0)
        engine.end(status, name=name)

    return run


def recommended(sagemaker: Any, name: str) -> Any:
    return sagemaker.describe_model(ModelName=name)["DeploymentRecommendation"]


def test_what_jobs_measured_of_a_model_is_recommended_for_it_under_any_name(sagemaker: Any, measured: Any) -> None:
    assert recommended(sagemaker, "iris") == NOTHING
    measured("job", "ml.c5.large", "local.2cpu")
    _make(sagemaker, "twin")
    found = recommended(sagemaker, "twin")
    assert found["RecommendationStatus"] == "COMPLETED"
    rows = found["RealTimeInferenceRecommendations"]
    assert [row["InstanceType"] for row in rows] == ["ml.c5.large", "local.2cpu"]
    assert rows[0]["Environment"] == {"OMP_NUM_THREADS": "1", "SAGEMAKER_MODEL_SERVER_WORKERS": "2"}
    assert all(re.fullmatch(r"twin/\w{8}", row["RecommendationId"]) for row in rows)
    assert len({row["RecommendationId"] for row in rows}) == 2
    assert recommended(sagemaker, "twin") == found
    job = sagemaker.describe_inference_recommendations_job(JobName="job")
    of_job = [row["RecommendationId"].partition("/")[2] for row in job["InferenceRecommendations"]]
    assert [row["RecommendationId"].partition("/")[2] for row in rows] == of_job


def test_three_at_most_the_latest_job_first_and_each_configuration_once(sagemaker: Any, measured: Any) -> None:
    measured("first", "ml.m5.large", "ml.c5.large")
    measured("second", "ml.c5.xlarge", "ml.c5.large", "local.2cpu")
    rows = recommended(sagemaker, "iris")["RealTimeInferenceRecommendations"]
    assert [row["InstanceType"] for row in rows] == ["ml.c5.xlarge", "ml.c5.large", "local.2cpu"]
    measured("third", "local.2cpu")
    rows = recommended(sagemaker, "iris")["RealTimeInferenceRecommendations"]
    assert [row["InstanceType"] for row in rows] == ["local.2cpu", "ml.c5.xlarge", "ml.c5.large"]


@pytest.mark.parametrize(
    "other",
    [
        {"ModelDataUrl": "s3://bucket/other.tar.gz"},
        {"Image": IMAGE.replace("1.2-1", "1.0-1")},
        {"Environment": {"OMP_NUM_THREADS": "4"}},
    ],
)
def test_another_model_has_no_part_in_it(sagemaker: Any, measured: Any, other: dict[str, Any]) -> None:
    measured("job", "ml.c5.large")
    sagemaker.create_model(ModelName="other", ExecutionRoleArn=ROLE, PrimaryContainer={**CONTAINER, **other})
    assert recommended(sagemaker, "other") == NOTHING


@pytest.mark.parametrize("status", [JobStatus.STOPPED, JobStatus.FAILED])
def test_a_job_that_did_not_complete_recommends_nothing(sagemaker: Any, measured: Any, status: JobStatus) -> None:
    measured("job", "ml.c5.large", status=status)
    assert recommended(sagemaker, "iris") == NOTHING


def test_a_model_of_a_package_that_is_gone_has_none(sagemaker: Any, package_request: dict[str, Any]) -> None:
    sagemaker.create_model_package_group(ModelPackageGroupName="grp")
    arn = sagemaker.create_model_package(ModelPackageGroupName="grp", **package_request)["ModelPackageArn"]
    sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
    sagemaker.create_model(ModelName="m", ExecutionRoleArn=ROLE, PrimaryContainer={"ModelPackageName": arn})
    sagemaker.delete_model_package(ModelPackageName=arn)
    assert recommended(sagemaker, "m") == NOTHING


def _make(sagemaker: Any, name: str) -> None:
    sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=CONTAINER)
