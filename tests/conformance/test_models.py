"""Models, by boto3."""

from __future__ import annotations

import datetime

import pytest

CONTAINER = {
    "Image": "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3",
    "ModelDataUrl": "s3://bucket/model.tar.gz",
    "Environment": {"SAGEMAKER_PROGRAM": "inference.py"},
}
ROLE = "arn:aws:iam::123456789012:role/dyno"


def test_a_model_is_described_as_it_was_created(sagemaker, region):
    made = sagemaker.create_model(
        ModelName="iris",
        ExecutionRoleArn=ROLE,
        PrimaryContainer=CONTAINER,
        EnableNetworkIsolation=False,
        Tags=[{"Key": "team", "Value": "a"}],
    )
    assert made["ModelArn"] == f"arn:aws:sagemaker:{region}:000000000000:model/iris"
    answer = sagemaker.describe_model(ModelName="iris")
    assert answer["ModelName"] == "iris"
    assert answer["ModelArn"] == made["ModelArn"]
    assert answer["ExecutionRoleArn"] == ROLE
    assert answer["PrimaryContainer"] == CONTAINER | {"Mode": "SingleModel"}
    assert answer["EnableNetworkIsolation"] is False
    assert answer["DeploymentRecommendation"] == {"RecommendationStatus": "NOT_APPLICABLE"}
    assert sagemaker.list_tags(ResourceArn=made["ModelArn"])["Tags"] == [{"Key": "team", "Value": "a"}]


def test_one_container_may_be_given_as_a_list(sagemaker):
    source = {"S3Uri": "s3://bucket/model.tar.gz", "S3DataType": "S3Object", "CompressionType": "Gzip"}
    container = {"Image": CONTAINER["Image"], "ModelDataSource": {"S3DataSource": source}}
    sagemaker.create_model(ModelName="listed", Containers=[container])
    (described,) = sagemaker.describe_model(ModelName="listed")["Containers"]
    assert described["ModelDataSource"] == container["ModelDataSource"]


def test_a_model_that_exists_cannot_be_created_again(sagemaker, model, refused):
    told = refused("ValidationException", sagemaker.create_model, ModelName=model, PrimaryContainer=CONTAINER)
    assert told.startswith('Cannot create already existing model "arn:aws:sagemaker:')


def test_a_model_that_is_not_there_cannot_be_found(sagemaker, region, refused):
    for function in (sagemaker.describe_model, sagemaker.delete_model):
        told = refused("ValidationException", function, ModelName="nobody")
        assert told == f'Could not find model "arn:aws:sagemaker:{region}:000000000000:model/nobody".'


def test_a_deleted_model_is_gone_with_its_tags(sagemaker, model, region, refused):
    arn = f"arn:aws:sagemaker:{region}:000000000000:model/{model}"
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "a", "Value": "b"}])
    sagemaker.delete_model(ModelName=model)
    refused("ValidationException", sagemaker.describe_model, ModelName=model)
    sagemaker.create_model(ModelName=model, PrimaryContainer=CONTAINER)
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == []


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, "Provide either PrimaryContainer or Containers"),
        ({"PrimaryContainer": {}}, "Provide either Image or ModelPackageName"),
        ({"PrimaryContainer": CONTAINER, "Containers": [CONTAINER]}, "Provide only one of PrimaryContainer and"),
        ({"Containers": [CONTAINER, CONTAINER]}, "Containers with 2 members is not supported"),
        ({"PrimaryContainer": CONTAINER | {"Mode": "MultiModel"}}, "PrimaryContainer.Mode MultiModel is not supported"),
        ({"PrimaryContainer": CONTAINER | {"ModelDataUrl": "https://b/k"}}, "https://b/k is not supported"),
        ({"PrimaryContainer": CONTAINER | {"ModelDataUrl": "s3://b"}}, "names a bucket, not an object"),
        ({"PrimaryContainer": CONTAINER, "EnableNetworkIsolation": True}, "EnableNetworkIsolation True is not"),
        (
            {"PrimaryContainer": CONTAINER, "VpcConfig": {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]}},
            "VpcConfig is not supported",
        ),
        (
            {
                "PrimaryContainer": {
                    "Image": "a",
                    "ModelDataSource": {
                        "S3DataSource": {"S3Uri": "s3://b/k/", "S3DataType": "S3Prefix", "CompressionType": "None"}
                    },
                }
            },
            "S3DataType S3Prefix is not supported",
        ),
    ],
)
def test_what_cannot_be_a_model_here_is_refused(sagemaker, refused, params, message):
    assert message in refused("ValidationException", sagemaker.create_model, ModelName="m", **params)
    assert sagemaker.list_models()["Models"] == []


def names_of(answer):
    return [model["ModelName"] for model in answer["Models"]]


def test_models_are_filtered_sorted_and_paged(sagemaker):
    for name in ("b1", "a1", "a2"):
        sagemaker.create_model(ModelName=name, PrimaryContainer=CONTAINER)
    assert names_of(sagemaker.list_models()) == ["a2", "a1", "b1"]
    assert names_of(sagemaker.list_models(SortBy="Name", SortOrder="Ascending")) == ["a1", "a2", "b1"]
    assert names_of(sagemaker.list_models(NameContains="a")) == ["a2", "a1"]
    first = sagemaker.describe_model(ModelName="b1")["CreationTime"]
    second = sagemaker.describe_model(ModelName="a1")["CreationTime"]
    assert "b1" in names_of(sagemaker.list_models(CreationTimeAfter=first - datetime.timedelta(seconds=1)))
    assert names_of(sagemaker.list_models(CreationTimeAfter=second + datetime.timedelta(hours=1))) == []
    pages = sagemaker.get_paginator("list_models").paginate(SortBy="Name", PaginationConfig={"PageSize": 2})
    assert [names_of(page) for page in pages] == [["b1", "a2"], ["a1"]]


def test_a_page_holds_ten_models_unless_asked_otherwise(sagemaker):
    for number in range(12):
        sagemaker.create_model(ModelName=f"m{number}", PrimaryContainer=CONTAINER)
    answer = sagemaker.list_models()
    assert len(answer["Models"]) == 10
    assert len(sagemaker.list_models(NextToken=answer["NextToken"])["Models"]) == 2


def test_a_model_is_made_of_an_approved_package(sagemaker, package_request, refused):
    sagemaker.create_model_package_group(ModelPackageGroupName="grp")
    arn = sagemaker.create_model_package(ModelPackageGroupName="grp", **package_request)["ModelPackageArn"]
    container = {"ModelPackageName": arn}
    told = refused("ValidationException", sagemaker.create_model, ModelName="m", PrimaryContainer=container)
    assert "is PendingManualApproval: a model is made of an Approved version only" in told
    sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
    sagemaker.create_model(ModelName="m", PrimaryContainer=container)
    assert sagemaker.describe_model(ModelName="m")["PrimaryContainer"]["ModelPackageName"] == arn
    told = refused(
        "ValidationException",
        sagemaker.create_model,
        ModelName="n",
        PrimaryContainer=container | {"Image": "other"},
    )
    assert told == "Provide only one of ModelPackageName and Image, not both."
    missing = {"ModelPackageName": "grp/9"}
    assert "does not exist" in refused(
        "ValidationException", sagemaker.create_model, ModelName="n", PrimaryContainer=missing
    )


def test_a_package_and_a_model_do_not_both_set_variables(sagemaker, package_request, refused):
    package_request["InferenceSpecification"]["Containers"][0]["Environment"] = {"A": "1"}
    sagemaker.create_model_package(ModelPackageName="alone", **package_request)
    told = refused(
        "ValidationException",
        sagemaker.create_model,
        ModelName="n",
        PrimaryContainer={"ModelPackageName": "alone", "Environment": {"B": "2"}},
    )
    assert told == "Environment variable map cannot be specified both at Model Package {A=1} and Model {B=2}."


def test_a_job_runs_a_model_that_was_made_of_a_package(sagemaker, package_request, engine):
    sagemaker.create_model_package(ModelPackageName="alone", **package_request)
    sagemaker.create_model(ModelName="m", PrimaryContainer={"ModelPackageName": "alone", "Environment": {"B": "2"}})
    sagemaker.create_inference_recommendations_job(
        JobName="job", JobType="Default", RoleArn=ROLE, InputConfig={"ModelName": "m"}
    )
    spec = engine.job().spec
    assert spec.model.model_data_url == "s3://bucket/model.tar.gz"
    assert spec.model.environment == {"B": "2"}
    assert (spec.model.model_name, spec.model.model_package_arn) == ("m", None)
