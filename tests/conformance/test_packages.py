"""Model packages and their groups, by boto3."""

from __future__ import annotations

import pytest

ROLE = "arn:aws:iam::123456789012:role/dyno"


@pytest.fixture
def group(sagemaker):
    return sagemaker.create_model_package_group(
        ModelPackageGroupName="grp",
        ModelPackageGroupDescription="all irises",
        Tags=[{"Key": "team", "Value": "a"}],
    )["ModelPackageGroupArn"]


@pytest.fixture
def version(sagemaker, group, package_request):
    return sagemaker.create_model_package(ModelPackageGroupName="grp", **package_request)["ModelPackageArn"]


def test_a_group_is_described_by_name_or_arn_of_any_account(sagemaker, group, region):
    assert group == f"arn:aws:sagemaker:{region}:000000000000:model-package-group/grp"
    for name in ("grp", group, group.replace("000000000000", "999999999999")):
        answer = sagemaker.describe_model_package_group(ModelPackageGroupName=name)
        assert answer["ModelPackageGroupName"] == "grp"
        assert answer["ModelPackageGroupArn"] == group
        assert answer["ModelPackageGroupDescription"] == "all irises"
        assert answer["ModelPackageGroupStatus"] == "Completed"
        assert answer["CreatedBy"] == {}
    assert sagemaker.list_tags(ResourceArn=group)["Tags"] == [{"Key": "team", "Value": "a"}]


def test_a_group_that_exists_cannot_be_created_again(sagemaker, group, refused):
    told = refused("ValidationException", sagemaker.create_model_package_group, ModelPackageGroupName="grp")
    assert told == f"Model Package Group already exists: {group}"


def test_a_group_that_is_not_there_does_not_exist(sagemaker, region, refused, package_request):
    arn = f"arn:aws:sagemaker:{region}:000000000000:model-package-group/nobody"
    for function, params in (
        (sagemaker.describe_model_package_group, {}),
        (sagemaker.delete_model_package_group, {}),
        (sagemaker.list_model_packages, {}),
        (sagemaker.create_model_package, package_request),
    ):
        told = refused("ValidationException", function, ModelPackageGroupName="nobody", **params)
        assert told == f"ModelPackageGroup {arn} does not exist."


def test_arns_of_another_region_or_kind_are_refused(sagemaker, group, region, refused):
    told = refused(
        "ValidationException",
        sagemaker.describe_model_package_group,
        ModelPackageGroupName=group.replace(region, "us-west-2"),
    )
    assert told == f"ARN should be scoped to correct region: {region}"
    told = refused("ValidationException", sagemaker.describe_model_package, ModelPackageName=group)
    assert told == f"{group} is not the ARN of a model-package."


def test_groups_are_filtered_sorted_and_paged(sagemaker):
    for name in ("b1", "a1", "a2"):
        sagemaker.create_model_package_group(ModelPackageGroupName=name)

    def names(**asked):
        answer = sagemaker.list_model_package_groups(**asked)
        return [group["ModelPackageGroupName"] for group in answer["ModelPackageGroupSummaryList"]]

    assert names() == ["b1", "a1", "a2"]
    assert names(SortOrder="Descending") == ["a2", "a1", "b1"]
    assert names(SortBy="Name") == ["a1", "a2", "b1"]
    assert names(NameContains="a", CrossAccountFilterOption="SameAccount") == ["a1", "a2"]
    pages = sagemaker.get_paginator("list_model_package_groups").paginate(PaginationConfig={"PageSize": 2})
    assert [len(page["ModelPackageGroupSummaryList"]) for page in pages] == [2, 1]


def test_a_group_is_deleted_only_when_it_is_empty(sagemaker, version):
    with pytest.raises(sagemaker.exceptions.ConflictException, match="still contains Model Packages"):
        sagemaker.delete_model_package_group(ModelPackageGroupName="grp")
    sagemaker.delete_model_package(ModelPackageName=version)
    sagemaker.delete_model_package_group(ModelPackageGroupName="grp")
    assert sagemaker.list_model_package_groups()["ModelPackageGroupSummaryList"] == []


def test_versions_count_up_and_are_not_used_again(sagemaker, version, package_request):
    assert version.endswith(":model-package/grp/1")
    second = sagemaker.create_model_package(ModelPackageGroupName="grp", **package_request)["ModelPackageArn"]
    sagemaker.delete_model_package(ModelPackageName=second)
    third = sagemaker.create_model_package(ModelPackageGroupName="grp", **package_request)["ModelPackageArn"]
    assert third.endswith(":model-package/grp/3")


def test_a_version_is_described_as_it_was_created(sagemaker, version, package_request):
    for name in (version, "grp/1"):
        answer = sagemaker.describe_model_package(ModelPackageName=name)
        for member, value in package_request.items():
            assert answer[member] == value
        assert (answer["ModelPackageGroupName"], answer["ModelPackageVersion"]) == ("grp", 1)
        assert "ModelPackageName" not in answer  # the Python SDK would ask for it instead of the ARN
        assert answer["ModelPackageArn"] == version
        assert answer["ModelApprovalStatus"] == "PendingManualApproval"
        assert answer["ModelPackageStatus"] == "Completed"
        assert answer["ModelPackageStatusDetails"] == {"ValidationStatuses": [], "ImageScanStatuses": []}
        assert answer["CertifyForMarketplace"] is False
        assert "ClientToken" not in answer


def test_a_package_may_stand_alone(sagemaker, package_request, region, refused):
    made = sagemaker.create_model_package(
        ModelPackageName="alone", Tags=[{"Key": "k", "Value": "v"}], **package_request
    )
    arn = f"arn:aws:sagemaker:{region}:000000000000:model-package/alone"
    assert made["ModelPackageArn"] == arn
    answer = sagemaker.describe_model_package(ModelPackageName="alone")
    assert answer["ModelPackageName"] == "alone"
    assert "ModelPackageVersion" not in answer
    assert "ModelApprovalStatus" not in answer
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "k", "Value": "v"}]
    told = refused("ValidationException", sagemaker.create_model_package, ModelPackageName="alone", **package_request)
    assert told == f"Model Package already exists: {arn}"


def test_the_name_of_a_group_is_no_package(sagemaker, version, region, refused):
    told = refused("ValidationException", sagemaker.describe_model_package, ModelPackageName="grp")
    assert told == f"ModelPackage arn:aws:sagemaker:{region}:000000000000:model-package/grp does not exist."
    for function in (sagemaker.describe_model_package, sagemaker.delete_model_package):
        assert "grp/9 does not exist" in refused("ValidationException", function, ModelPackageName="grp/9")


def test_the_same_client_token_makes_one_package(sagemaker, group, package_request):
    asked = {"ModelPackageGroupName": "grp", "ClientToken": "once", **package_request}
    first, second = (sagemaker.create_model_package(**asked)["ModelPackageArn"] for _ in range(2))
    assert first == second
    assert len(sagemaker.list_model_packages(ModelPackageGroupName="grp")["ModelPackageSummaryList"]) == 1


def test_a_package_has_one_name_and_a_version_no_tags(sagemaker, group, package_request, refused):
    def told(**params):
        return refused("ValidationException", sagemaker.create_model_package, **params, **package_request)

    assert told() == "Missing ARN."
    assert told(ModelPackageName="a", ModelPackageGroupName="grp").startswith(
        "Both ModelPackageName and ModelPackageGroupName are provided in the input."
    )
    assert "Tags cannot be given" in told(ModelPackageGroupName="grp", Tags=[{"Key": "k", "Value": "v"}])


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"CertifyForMarketplace": True}, "CertifyForMarketplace True is not supported"),
        ({"SecurityConfig": {"KmsKeyId": "key"}}, "SecurityConfig is not supported"),
        (
            {"SourceUri": "arn:aws:sagemaker:us-east-1:000000000000:model/m"},
            "SourceUri arn:aws:sagemaker:us-east-1:000000000000:model/m is not supported",
        ),
        (
            {"ValidationSpecification": {"ValidationRole": ROLE, "ValidationProfiles": []}},
            "ValidationSpecification is not supported",
        ),
    ],
)
def test_what_a_package_cannot_have_here_is_refused(sagemaker, group, package_request, refused, params, message):
    told = refused(
        "ValidationException",
        sagemaker.create_model_package,
        ModelPackageGroupName="grp",
        **params,
        **package_request,
    )
    assert message in told


def test_an_update_changes_what_it_names(sagemaker, version):
    additional = {"Name": "neo", "Containers": [{"Image": "compiled"}]}
    assert (
        sagemaker.update_model_package(
            ModelPackageArn=version,
            ModelApprovalStatus="Approved",
            ApprovalDescription="good",
            CustomerMetadataProperties={"owner": "c", "team": "z"},
            CustomerMetadataPropertiesToRemove=["stage"],
            AdditionalInferenceSpecificationsToAdd=[additional],
        )["ModelPackageArn"]
        == version
    )
    answer = sagemaker.describe_model_package(ModelPackageName=version)
    assert answer["ModelApprovalStatus"] == "Approved"
    assert answer["ApprovalDescription"] == "good"
    assert answer["CustomerMetadataProperties"] == {"owner": "c", "team": "z"}
    assert answer["AdditionalInferenceSpecifications"] == [additional]
    assert answer["ModelPackageDescription"] == "the first"
    assert answer["LastModifiedTime"] >= answer["CreationTime"]


def test_the_last_metadata_can_be_removed(sagemaker, version):
    sagemaker.update_model_package(ModelPackageArn=version, CustomerMetadataPropertiesToRemove=["team", "stage"])
    assert "CustomerMetadataProperties" not in sagemaker.describe_model_package(ModelPackageName=version)


def test_an_update_is_repeated_without_harm(sagemaker, version, refused):
    asked = {
        "ModelPackageArn": version,
        "ClientToken": "once",
        "AdditionalInferenceSpecificationsToAdd": [{"Name": "neo", "Containers": [{"Image": "compiled"}]}],
    }
    for _ in range(2):
        sagemaker.update_model_package(**asked)
    assert len(sagemaker.describe_model_package(ModelPackageName=version)["AdditionalInferenceSpecifications"]) == 1
    told = refused("ValidationException", sagemaker.update_model_package, **(asked | {"ClientToken": "twice"}))
    assert told == "AdditionalInferenceSpecifications has neo more than once."


def test_an_update_stays_within_the_limits_of_the_service_model(sagemaker, version, refused):
    told = refused(
        "ValidationException",
        sagemaker.update_model_package,
        ModelPackageArn=version,
        CustomerMetadataProperties={f"k{number}": "v" for number in range(49)},
    )
    assert told == "The package would have 51 CustomerMetadataProperties; 50 are allowed."
    gone = version.replace("/1", "/7")
    told = refused("ValidationException", sagemaker.update_model_package, ModelPackageArn=gone)
    assert told == f"ModelPackage {gone} does not exist."


def test_a_model_card_is_left_out_of_metadata(sagemaker, group, package_request):
    card = {"ModelCardContent": "{}", "ModelCardStatus": "Draft"}
    arn = sagemaker.create_model_package(ModelPackageGroupName="grp", ModelCard=card, **package_request)[
        "ModelPackageArn"
    ]
    assert sagemaker.describe_model_package(ModelPackageName=arn)["ModelCard"] == card


def test_packages_are_listed_by_type_group_and_approval(sagemaker, group, package_request):
    for approval in ("Approved", "Rejected"):
        sagemaker.create_model_package(ModelPackageGroupName="grp", ModelApprovalStatus=approval, **package_request)
    sagemaker.create_model_package(ModelPackageName="alone", **package_request)

    def names(**asked):
        answer = sagemaker.list_model_packages(**asked)
        return [row["ModelPackageArn"].rpartition("model-package/")[2] for row in answer["ModelPackageSummaryList"]]

    assert names() == ["alone"]
    assert names(ModelPackageType="Both", SortBy="Name") == ["alone", "grp/1", "grp/2"]
    assert names(ModelPackageType="Versioned", SortOrder="Descending") == ["grp/2", "grp/1"]
    assert names(ModelPackageGroupName="grp") == ["grp/1", "grp/2"]
    assert names(ModelPackageGroupName=group, ModelApprovalStatus="Approved") == ["grp/1"]
    assert names(ModelPackageType="Both", NameContains="lon") == ["alone"]
    pages = sagemaker.get_paginator("list_model_packages").paginate(
        ModelPackageGroupName="grp", PaginationConfig={"PageSize": 1}
    )
    versions = [row["ModelPackageVersion"] for page in pages for row in page["ModelPackageSummaryList"]]
    assert versions == [1, 2]
    (row, _) = sagemaker.list_model_packages(ModelPackageGroupName="grp")["ModelPackageSummaryList"]
    assert "ModelPackageName" not in row
    assert row["ModelPackageGroupName"] == "grp"
    assert row["ModelPackageDescription"] == "the first"


def test_an_update_moves_a_package_to_another_approval(sagemaker, version):
    sagemaker.update_model_package(ModelPackageArn=version, ModelApprovalStatus="Rejected")
    for approval, count in (("Rejected", 1), ("PendingManualApproval", 0)):
        listed = sagemaker.list_model_packages(ModelPackageGroupName="grp", ModelApprovalStatus=approval)
        assert len(listed["ModelPackageSummaryList"]) == count


def test_a_job_of_a_package_is_found_by_it(sagemaker, version, refused):
    asked = {"JobName": "job", "JobType": "Default", "RoleArn": ROLE}
    sagemaker.create_inference_recommendations_job(**asked, InputConfig={"ModelPackageVersionArn": version})
    listed = sagemaker.list_inference_recommendations_jobs(ModelPackageVersionArnEquals=version)
    (job,) = listed["InferenceRecommendationsJobs"]
    assert job["ModelPackageVersionArn"] == version
    assert job["SamplePayloadUrl"] == "s3://bucket/payload.tar.gz"
    other = version.replace("/1", "/2")
    listed = sagemaker.list_inference_recommendations_jobs(ModelPackageVersionArnEquals=other)
    assert listed["InferenceRecommendationsJobs"] == []
    asked["JobName"] = "other"
    told = refused(
        "ValidationException",
        sagemaker.create_inference_recommendations_job,
        **asked,
        InputConfig={"ModelPackageVersionArn": other},
    )
    assert told == f"ModelPackage {other} does not exist."


def test_a_package_with_two_containers_is_kept_but_not_run(sagemaker, group, package_request, refused):
    package_request["InferenceSpecification"]["Containers"] *= 2
    arn = sagemaker.create_model_package(ModelPackageGroupName="grp", **package_request)["ModelPackageArn"]
    told = refused(
        "ValidationException",
        sagemaker.create_inference_recommendations_job,
        JobName="job",
        JobType="Default",
        RoleArn=ROLE,
        InputConfig={"ModelPackageVersionArn": arn},
    )
    assert "has 2 containers: inference pipelines and multi-container models are not supported" in told
