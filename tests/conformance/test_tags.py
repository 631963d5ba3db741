"""Tags of everything that has an ARN, by boto3."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["model", "group", "package", "job"])
def arn(request, sagemaker, package_request, job_request):
    if request.param == "group":
        return sagemaker.create_model_package_group(ModelPackageGroupName="grp")["ModelPackageGroupArn"]
    if request.param == "package":
        return sagemaker.create_model_package(ModelPackageName="alone", **package_request)["ModelPackageArn"]
    if request.param == "job":
        return sagemaker.create_inference_recommendations_job(**job_request)["JobArn"]
    return sagemaker.describe_model(ModelName="iris")["ModelArn"]


def tags(**values):
    return [{"Key": key, "Value": value} for key, value in values.items()]


def test_tags_are_added_overwritten_and_deleted(sagemaker, arn):
    assert sagemaker.add_tags(ResourceArn=arn, Tags=tags(a="1", b="2"))["Tags"] == tags(a="1", b="2")
    assert sagemaker.add_tags(ResourceArn=arn, Tags=tags(b="3", c="4"))["Tags"] == tags(a="1", b="3", c="4")
    sagemaker.delete_tags(ResourceArn=arn, TagKeys=["a", "absent"])
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == tags(b="3", c="4")
    foreign = arn.replace("000000000000", "999999999999")
    assert sagemaker.list_tags(ResourceArn=foreign)["Tags"] == tags(b="3", c="4")


def test_there_are_fifty_tags_at_most(sagemaker, model, refused):
    arn = sagemaker.describe_model(ModelName=model)["ModelArn"]
    sagemaker.add_tags(ResourceArn=arn, Tags=tags(**{f"k{number:02}": "v" for number in range(50)}))
    told = refused("ValidationException", sagemaker.add_tags, ResourceArn=arn, Tags=tags(one_more="v"))
    assert "51 tags; 50 are allowed" in told
    sagemaker.add_tags(ResourceArn=arn, Tags=tags(k00="w"))
    pages = sagemaker.get_paginator("list_tags").paginate(ResourceArn=arn)
    assert [tag["Value"] for page in pages for tag in page["Tags"]] == ["w", *["v"] * 49]


def test_reserved_and_repeated_keys_are_refused(sagemaker, model, refused):
    arn = sagemaker.describe_model(ModelName=model)["ModelArn"]
    twice = [*tags(a="1"), *tags(a="2"), {"Key": "AWS:mine", "Value": ""}]
    told = refused("ValidationException", sagemaker.add_tags, ResourceArn=arn, Tags=twice)
    assert "'a' is given more than once" in told
    assert "'AWS:mine' is not allowed" in told
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == []
    told = refused("ValidationException", sagemaker.create_model_package_group, ModelPackageGroupName="g", Tags=twice)
    assert "'a' is given more than once" in told


@pytest.mark.parametrize("name", ["model/nobody", "inference-recommendations-job/nobody", "endpoint/nobody", "odd"])
def test_what_is_not_there_has_no_tags(sagemaker, region, refused, name):
    arn = f"arn:aws:sagemaker:{region}:000000000000:{name}"
    for function, params in (
        (sagemaker.list_tags, {}),
        (sagemaker.add_tags, {"Tags": tags(a="1")}),
        (sagemaker.delete_tags, {"TagKeys": ["a"]}),
    ):
        assert (
            refused("ValidationException", function, ResourceArn=arn, **params) == f'Could not find resource "{arn}".'
        )


def test_another_regions_resource_is_not_found(sagemaker, model, region, refused):
    arn = sagemaker.describe_model(ModelName=model)["ModelArn"].replace(region, "us-east-1")
    assert "Could not find resource" in refused("ValidationException", sagemaker.list_tags, ResourceArn=arn)
