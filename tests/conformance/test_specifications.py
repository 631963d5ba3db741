"""Additional inference specifications of packages: in jobs and in models, as boto3 sees them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from modeldyno.domain.job import JobStatus
from modeldyno.domain.plan import plan
from tests.requests import IMAGE, ROLE

SMALL = {
    "Name": "small",
    "Containers": [
        {
            "Image": IMAGE.replace("1.2-1", "1.0-1"),
            "ModelDataUrl": "s3://bucket/small.tar.gz",
            "Environment": {"SIZE": "small"},
        }
    ],
    "SupportedContentTypes": ["text/csv"],
    "SupportedResponseMIMETypes": ["text/csv"],
}


@pytest.fixture
def package(sagemaker: Any, package_request: dict[str, Any]) -> str:
    sagemaker.create_model_package_group(ModelPackageGroupName="grp")
    request = {**package_request, "AdditionalInferenceSpecifications": [SMALL], "ModelApprovalStatus": "Approved"}
    return str(sagemaker.create_model_package(ModelPackageGroupName="grp", **request)["ModelPackageArn"])


def a_job(package: str, *configurations: dict[str, Any], **more: Any) -> dict[str, Any]:
    phases = [{"InitialNumberOfUsers": 1, "SpawnRate": 1, "DurationInSeconds": 120}]
    config = {
        "ModelPackageVersionArn": package,
        "EndpointConfigurations": list(configurations),
        "TrafficPattern": {"TrafficType": "PHASES", "Phases": phases},
        **more,
    }
    return {"JobName": "job", "JobType": "Advanced", "RoleArn": ROLE, "InputConfig": config}


def of(specification: str, kind: str = "local.2cpu") -> dict[str, Any]:
    return {"InstanceType": kind, "InferenceSpecificationName": specification}


def test_a_job_measures_specifications_beside_each_other_and_names_them(
    sagemaker: Any, package: str, engine: Any
) -> None:
    sagemaker.create_inference_recommendations_job(**a_job(package, {"InstanceType": "local.2cpu"}, of("small")))
    job, dyno = engine.job(), engine.dyno
    made = plan(job.spec, dyno.catalogue, dyno.host(), frozenset(), job.name, job.id)
    assert dyno.store.plan_job(job.id, made.trials, made.notes, 1_700_000_000.0)
    assert [trial.environment.get("SIZE") for trial in made.trials] == [None, "small"]
    engine.succeed(100.0, 20.0)
    engine.succeed(200.0, 10.0)
    engine.end(JobStatus.COMPLETED)
    described = sagemaker.describe_inference_recommendations_job(JobName="job")
    rows = [row["ModelConfiguration"] for row in described["InferenceRecommendations"]]
    assert [row.get("InferenceSpecificationName") for row in rows] == ["small", None]
    steps = sagemaker.list_inference_recommendations_job_steps(JobName="job")["Steps"]
    names = [step["InferenceBenchmark"]["ModelConfiguration"].get("InferenceSpecificationName") for step in steps]
    assert names == [None, "small"]
    specifications = described["InputConfig"]["EndpointConfigurations"]
    assert [one.get("InferenceSpecificationName") for one in specifications] == [None, "small"]


def test_each_specification_is_asked_for_the_responses_that_it_supports(
    sagemaker: Any, package: str, engine: Any
) -> None:
    sagemaker.create_inference_recommendations_job(**a_job(package, of("small")))
    spec = engine.job().spec
    assert (spec.deployed(None).accept, spec.deployed("small").accept) == ("application/json", "text/csv")
    assert spec.deployed("small").model.model_data_url == "s3://bucket/small.tar.gz"
    override = {"ContainerConfig": {"SupportedResponseMIMETypes": ["application/jsonlines"]}}
    request = {**a_job(package, of("small"), **override), "JobName": "overridden"}
    sagemaker.create_inference_recommendations_job(**request)
    spec = engine.job("overridden").spec
    assert {spec.deployed(None).accept, spec.deployed("small").accept} == {"application/jsonlines"}


def test_a_specification_that_cannot_be_measured_is_refused_by_name(
    sagemaker: Any, package: str, model: str, package_request: dict[str, Any], refused: Callable[..., str]
) -> None:
    create = sagemaker.create_inference_recommendations_job
    told = refused("ValidationException", create, **a_job(package, of("other")))
    assert told == f"ModelPackage {package} has no additional inference specification other; it has small."
    two = {**SMALL, "Name": "two", "Containers": SMALL["Containers"] * 2}
    json = {**SMALL, "Name": "json", "SupportedContentTypes": ["application/json"]}
    sagemaker.update_model_package(ModelPackageArn=package, AdditionalInferenceSpecificationsToAdd=[two, json])
    assert "has 2 containers" in refused("ValidationException", create, **a_job(package, of("two")))
    told = refused("ValidationException", create, **a_job(package, of("json")))
    assert told == "The inference specification json supports application/json; the payload is text/csv."
    request = a_job(package, of("small"))
    del request["InputConfig"]["ModelPackageVersionArn"]
    request["InputConfig"]["ModelName"] = model
    told = refused("ValidationException", create, **request)
    assert "names a specification of a package: give ModelPackageVersionArn" in told


def test_a_model_is_made_of_a_specification(
    sagemaker: Any, package: str, front: Any, region: str, refused: Callable[..., str]
) -> None:
    container = {"ModelPackageName": package, "InferenceSpecificationName": "small"}
    sagemaker.create_model(ModelName="m", ExecutionRoleArn=ROLE, PrimaryContainer=container)
    described = sagemaker.describe_model(ModelName="m")["PrimaryContainer"]
    assert described["InferenceSpecificationName"] == "small"
    variant = {"VariantName": "v", "ModelName": "m", "InstanceType": "local.2cpu", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="c")
    source = front.dyno.store.endpoint(region, "e").fleet.spec.variants[0].source
    assert (source.model_data_url, source.environment) == ("s3://bucket/small.tar.gz", {"SIZE": "small"})

    def told(**container: Any) -> str:
        return refused("ValidationException", sagemaker.create_model, ModelName="n", PrimaryContainer=container)

    assert "has no additional inference specification x; it has small" in told(
        ModelPackageName=package, InferenceSpecificationName="x"
    )
    assert "provide ModelPackageName" in told(Image=IMAGE, InferenceSpecificationName="small")
    assert "cannot be specified both" in told(**{**container, "Environment": {"A": "b"}})
