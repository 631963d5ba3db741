"""ListModelMetadata, as boto3 sees it: what this installation's packages and jobs tell, and nothing made up."""

from __future__ import annotations

from typing import Any


def listed(sagemaker: Any, **filters: str) -> list[tuple[str, ...]]:
    rows = [{"Name": name, "Value": value} for name, value in filters.items()]
    expression = {"SearchExpression": {"Filters": rows}} if rows else {}
    pages = sagemaker.get_paginator("list_model_metadata").paginate(**expression, PaginationConfig={"PageSize": 1})
    members = ("Domain", "Framework", "Task", "Model", "FrameworkVersion")
    return [tuple(one[key] for key in members) for page in pages for one in page["ModelMetadataSummaries"]]


def test_a_new_installation_knows_no_models(sagemaker: Any) -> None:
    assert listed(sagemaker) == []


def test_models_that_packages_and_jobs_name_are_listed_once_and_filtered(
    sagemaker: Any, package_request: dict[str, Any], job_request: dict[str, Any]
) -> None:
    sagemaker.create_model_package_group(ModelPackageGroupName="grp")
    for _ in range(2):
        sagemaker.create_model_package(ModelPackageGroupName="grp", **package_request)
    job_request["InputConfig"]["ContainerConfig"] |= {"NearestModelName": "forest", "FrameworkVersion": "1.4"}
    sagemaker.create_inference_recommendations_job(**job_request)
    unnamed = {**job_request["InputConfig"]["ContainerConfig"]}
    del unnamed["NearestModelName"]
    config = {**job_request["InputConfig"], "ContainerConfig": unnamed}
    sagemaker.create_inference_recommendations_job(**{**job_request, "JobName": "unnamed", "InputConfig": config})
    scikit = "SAGEMAKER-SCIKIT-LEARN"
    forest = ("MACHINE_LEARNING", scikit, "OTHER", "forest", "1.4")
    package = ("MACHINE_LEARNING", scikit, "CLASSIFICATION", "sagemaker-scikit-learn", "1.2-1")
    assert listed(sagemaker) == [package, forest]
    assert listed(sagemaker, Task="OTHER") == [forest]
    assert listed(sagemaker, Framework=scikit, FrameworkVersion="1.2-1") == [package]
    assert listed(sagemaker, Framework=scikit.lower()) == []
