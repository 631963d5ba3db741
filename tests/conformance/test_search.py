"""Search, as boto3 sees it: filters, sub-expressions, order and pages over what there is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.requests import IMAGE, ROLE


@pytest.fixture
def groups(sagemaker: Any) -> Any:
    """Three groups with tags."""
    for name, team in (("churn", "a"), ("fraud", "b"), ("churn-eu", "a")):
        sagemaker.create_model_package_group(
            ModelPackageGroupName=name,
            ModelPackageGroupDescription=f"of {team}",
            Tags=[{"Key": "team", "Value": team}],
        )
    return sagemaker


def names(client: Any, *filters: dict[str, str], **more: Any) -> list[str]:
    expression = {"SearchExpression": {"Filters": list(filters)}} if filters else {}
    answer = client.search(Resource="ModelPackageGroup", **expression, **more)
    assert answer["TotalHits"] == {"Value": len(answer["Results"]), "Relation": "EqualTo"}
    return [one["ModelPackageGroup"]["ModelPackageGroupName"] for one in answer["Results"]]


def where(name: str, operator: str | None = None, value: str | None = None) -> dict[str, str]:
    given = {"Name": name, "Operator": operator, "Value": value}
    return {key: told for key, told in given.items() if told is not None}


NAME = "ModelPackageGroupName"


def test_the_search_of_the_python_sdk_finds_a_group(groups: Any, region: str) -> None:
    answer = groups.search(
        Resource="ModelPackageGroup",
        SearchExpression={"Filters": [{"Name": NAME, "Value": "fraud", "Operator": "Equals"}]},
    )
    (found,) = answer["Results"]
    described = groups.describe_model_package_group(ModelPackageGroupName="fraud")
    del described["ResponseMetadata"]
    assert found == {"ModelPackageGroup": {**described, "Tags": [{"Key": "team", "Value": "b"}]}}
    assert "NextToken" not in answer
    assert region in found["ModelPackageGroup"]["ModelPackageGroupArn"]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ([], ["churn", "churn-eu", "fraud"]),
        ([where(NAME, value="churn")], ["churn"]),
        ([where(NAME, "NotEquals", "churn")], ["churn-eu", "fraud"]),
        ([where(NAME, "Contains", "churn")], ["churn", "churn-eu"]),
        ([where(NAME, "In", "churn, fraud")], ["churn", "fraud"]),
        ([where("Tags.team", "Equals", "a")], ["churn", "churn-eu"]),
        ([where("Tags.team", "Equals", "a"), where(NAME, "Contains", "eu")], ["churn-eu"]),
        ([where("Tags.owner", "Exists")], []),
        ([where("Tags.owner", "NotExists")], ["churn", "churn-eu", "fraud"]),
        ([where("Tags.owner", "NotEquals", "me")], ["churn", "churn-eu", "fraud"]),
        ([where("CreationTime", "GreaterThan", "2020-01-01T00:00:00")], ["churn", "churn-eu", "fraud"]),
        ([where("CreationTime", "LessThanOrEqualTo", "2020-01-01T00:00:00Z")], []),
    ],
)
def test_filters_hold_all_together(groups: Any, filters: list[dict[str, str]], found: list[str]) -> None:
    assert names(groups, *filters, SortBy=NAME, SortOrder="Ascending") == found


def test_expressions_are_joined_by_their_operator(groups: Any) -> None:
    def found(expression: dict[str, Any]) -> list[str]:
        answer = groups.search(
            Resource="ModelPackageGroup", SearchExpression=expression, SortBy=NAME, SortOrder="Ascending"
        )
        return [one["ModelPackageGroup"][NAME] for one in answer["Results"]]

    one, other = where(NAME, "Equals", "churn"), where("Tags.team", "Equals", "b")
    assert found({"Filters": [one, other], "Operator": "Or"}) == ["churn", "fraud"]
    assert found({"Filters": [one, other]}) == []
    below = [{"Filters": [one, other], "Operator": "Or"}, {"Filters": [where(NAME, "NotEquals", "fraud")]}]
    assert found({"SubExpressions": below}) == ["churn"]
    assert found({"SubExpressions": below, "Filters": [where(NAME, "Equals", "fraud")], "Operator": "Or"}) == [
        "churn",
        "churn-eu",
        "fraud",
    ]


def test_results_are_sorted_and_paged(groups: Any) -> None:
    assert names(groups) == ["churn-eu", "fraud", "churn"]
    assert names(groups, SortOrder="Ascending") == ["churn", "fraud", "churn-eu"]
    assert names(groups, SortBy=NAME) == ["fraud", "churn-eu", "churn"]
    pages = groups.get_paginator("search").paginate(
        Resource="ModelPackageGroup", SortBy="CreationTime", SortOrder="Ascending", PaginationConfig={"PageSize": 2}
    )
    found = [[one["ModelPackageGroup"][NAME] for one in page["Results"]] for page in pages]
    assert found == [["churn", "fraud"], ["churn-eu"]]


def test_packages_are_found_by_nested_and_free_properties(sagemaker: Any, package_request: dict[str, Any]) -> None:
    sagemaker.create_model_package_group(ModelPackageGroupName="grp")
    for stage in ("dev", "live"):
        request = {**package_request, "CustomerMetadataProperties": {"stage": stage}}
        sagemaker.create_model_package(ModelPackageGroupName="grp", **request)
    sagemaker.update_model_package(
        ModelPackageArn=sagemaker.list_model_packages(ModelPackageGroupName="grp")["ModelPackageSummaryList"][0][
            "ModelPackageArn"
        ],
        ModelApprovalStatus="Approved",
    )

    def versions(*filters: dict[str, str], **more: Any) -> list[int]:
        answer = sagemaker.search(Resource="ModelPackage", SearchExpression={"Filters": list(filters)}, **more)
        return [one["ModelPackage"]["ModelPackageVersion"] for one in answer["Results"]]

    mine = where("ModelPackageGroupName", "Equals", "grp")
    assert versions(mine) == [1, 2]  # the first was changed last
    assert versions(mine, SortBy="ModelPackageVersion") == [2, 1]
    assert versions(where("CustomerMetadataProperties.stage", "Equals", "live")) == [2]
    assert versions(where("ModelApprovalStatus", "Equals", "Approved")) == [1]
    assert versions(where("ModelPackageVersion", "GreaterThan", "1")) == [2]
    assert versions(where("InferenceSpecification.Containers.Framework", "Contains", "SCIKIT")) == [1, 2]
    assert versions(where("InferenceSpecification.SupportedContentTypes", "Equals", "text/csv")) == [1, 2]
    assert versions(where("CertifyForMarketplace", "Equals", "true")) == []


def test_models_are_told_with_their_endpoints(sagemaker: Any, model: str) -> None:
    sagemaker.create_model(ModelName="other", ExecutionRoleArn=ROLE, PrimaryContainer={"Image": IMAGE})
    variant = {"VariantName": "v", "ModelName": model, "InstanceType": "local.2cpu", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName="live", EndpointConfigName="c", Tags=[{"Key": "team", "Value": "a"}])
    (found,) = sagemaker.search(Resource="Model", SearchExpression={"Filters": [where("ModelName", "Equals", model)]})[
        "Results"
    ]
    assert found["Model"]["Model"]["PrimaryContainer"]["Image"] == IMAGE
    assert [one["EndpointName"] for one in found["Model"]["Endpoints"]] == ["live"]
    (found,) = sagemaker.search(Resource="Endpoint", SearchExpression={"Filters": [where("Tags.team", "Equals", "a")]})[
        "Results"
    ]
    assert (found["Endpoint"]["EndpointName"], found["Endpoint"]["EndpointStatus"]) == ("live", "Creating")
    sagemaker.add_tags(ResourceArn=found["Endpoint"]["EndpointArn"], Tags=[{"Key": "stage", "Value": "live"}])
    tagged = {"SubExpressions": [{"Filters": [where("Tags.stage", "Equals", "live")]}]}
    (found,) = sagemaker.search(Resource="Endpoint", SearchExpression=tagged)["Results"]
    assert found["Endpoint"]["Tags"] == [{"Key": "stage", "Value": "live"}, {"Key": "team", "Value": "a"}]
    model_arn = sagemaker.describe_model(ModelName=model)["ModelArn"]
    sagemaker.add_tags(ResourceArn=model_arn, Tags=[{"Key": "team", "Value": "m"}])
    by_tag = {"Filters": [where("Tags.team", "Equals", "m")]}
    (found,) = sagemaker.search(Resource="Model", SearchExpression=by_tag)["Results"]
    assert found["Model"]["Model"]["Tags"] == [{"Key": "team", "Value": "m"}]
    unserved = {"Filters": [where("Endpoints", "NotExists")]}
    (found,) = sagemaker.search(Resource="Model", SearchExpression=unserved)["Results"]
    assert found["Model"]["Model"]["ModelName"] == "other"


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"Resource": "TrainingJob"}, "Resource TrainingJob is not supported: ModelPackageGroup, ModelPackage, Model"),
        ({"SearchExpression": {}}, "needs at least one of Filters and SubExpressions"),
        ({"SearchExpression": {"SubExpressions": [{}]}}, "needs at least one of Filters and SubExpressions"),
        (
            {
                "SearchExpression": {
                    "NestedFilters": [{"NestedPropertyName": "Tags", "Filters": [where("Tags.Key", value="a")]}]
                }
            },
            "SearchExpression.NestedFilters is not supported",
        ),
        ({"VisibilityConditions": [{"Key": "Tags.a", "Value": "b"}]}, "VisibilityConditions is not supported"),
        ({"CrossAccountFilterOption": "CrossAccount"}, "CrossAccountFilterOption CrossAccount is not supported"),
        ({"SortBy": "Nonsense"}, "Nonsense is not a property of ModelPackageGroup."),
        ({"SortBy": "Tags"}, "SortBy Tags is a list"),
        ([where("Nonsense", value="a")], "Nonsense is not a property of ModelPackageGroup."),
        ([where(NAME, "Equals")], "has the operator Equals, which needs a Value"),
        ([where(NAME, "Exists", "a")], "has the operator Exists, which takes no Value"),
        ([where(NAME, "GreaterThan", "a")], "The operator GreaterThan is for numbers and times"),
        ([where("CreationTime", "Contains", "2")], "The operator Contains is for text; CreationTime is a timestamp."),
        ([where("CreationTime", "LessThan", "soon")], "must be an ISO 8601 date-time"),
        ([where("CreatedBy", "Equals", "me")], "CreatedBy is a structure"),
        ([where(NAME, "Contains", "a"), where(NAME, "Contains", "b")], "usage limit of 1 exceeded"),
        ([where(NAME, "Equals", "a")] * 20 + [where(NAME, "Equals", "a")], "'searchExpression.filters'"),
    ],
)
def test_what_cannot_be_searched_is_refused_by_name(
    groups: Any, refused: Callable[..., str], params: Any, message: str
) -> None:
    request = {"SearchExpression": {"Filters": params}} if isinstance(params, list) else params
    assert message in refused("ValidationException", groups.search, **{"Resource": "ModelPackageGroup", **request})


def test_more_than_fifty_conditions_are_too_many(groups: Any, refused: Callable[..., str]) -> None:
    wide: dict[str, Any] = {"SubExpressions": [{"Filters": [where(NAME, "Equals", "a")] * 20}] * 3}
    deep: dict[str, Any] = {"Filters": [where(NAME, "Equals", "a")]}
    for _ in range(60):
        deep = {"SubExpressions": [deep]}
    for expression in (wide, deep):
        told = refused("ValidationException", groups.search, Resource="ModelPackageGroup", SearchExpression=expression)
        assert told == "The SearchExpression has more than 50 conditions, all levels together."


def test_a_token_goes_on_with_its_own_search_only(groups: Any, refused: Callable[..., str]) -> None:
    token = groups.search(Resource="ModelPackageGroup", MaxResults=1)["NextToken"]
    told = refused("ValidationException", groups.search, Resource="ModelPackage", NextToken=token)
    assert "NextToken is not valid" in told
