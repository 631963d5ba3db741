"""The AWS CLI on models, packages, endpoints and experiments: shorthand, JSON, files, queries and pages."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.clients.conftest import ROLE, Aws
from tests.e2e.hosting import Hosting, model_variant, shadow_config
from tests.requests import a_package

pytestmark = [pytest.mark.client("aws-cli"), pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def models(aws: Aws, service: Hosting) -> Iterator[tuple[str, str]]:
    """Two models whose servers answer "a" and "b"; both ways of writing a container."""
    aws("sagemaker", "create-model", "--model-name", "a", "--execution-role-arn", ROLE,
        "--primary-container", "Image=a,Environment={A=1,B=two}",
        "--tags", "Key=team,Value=a", "Key=stage,Value=test")  # fmt: skip
    aws("sagemaker", "create-model", "--model-name", "b", "--execution-role-arn", ROLE,
        "--containers", '[{"Image": "b", "ContainerHostname": "only"}]')  # fmt: skip
    yield "a", "b"
    service.clear()
    for name in ("a", "b"):
        aws("sagemaker", "delete-model", "--model-name", name)
    assert not {"a", "b"} & set(aws("sagemaker", "list-models", "--query", "Models[].ModelName"))


def test_models_are_described_and_tagged(aws: Aws, models: tuple[str, str]) -> None:
    described = aws("sagemaker", "describe-model", "--model-name", "a")
    assert described["PrimaryContainer"]["Environment"] == {"A": "1", "B": "two"}
    assert aws("sagemaker", "describe-model", "--model-name", "b")["Containers"][0]["ContainerHostname"] == "only"
    arn = described["ModelArn"]
    aws("sagemaker", "add-tags", "--resource-arn", arn, "--tags", '[{"Key": "more", "Value": "c d"}]')
    aws("sagemaker", "delete-tags", "--resource-arn", arn, "--tag-keys", "team")
    tags = aws.text("sagemaker", "list-tags", "--resource-arn", arn, "--output", "text")
    assert sorted(tags.splitlines()) == ["TAGS\tmore\tc d", "TAGS\tstage\ttest"]
    again = aws.refused("sagemaker", "create-model", "--model-name", "a", "--execution-role-arn", ROLE,
                        "--primary-container", "Image=a")  # fmt: skip
    assert "(ValidationException)" in again
    assert "Cannot create already existing model" in again


def test_pages_are_walked_and_cut(aws: Aws) -> None:
    names = [f"paged-{number}" for number in range(5)]
    for name in names:
        aws("sagemaker", "create-model-package-group", "--model-package-group-name", name)
    listing = ("sagemaker", "list-model-package-groups", "--name-contains", "paged", "--sort-by", "Name")
    chosen = "ModelPackageGroupSummaryList[].ModelPackageGroupName"
    assert aws(*listing, "--sort-order", "Ascending", "--page-size", "2", "--query", chosen) == names
    first = aws(*listing, "--sort-order", "Ascending", "--page-size", "2", "--max-items", "3")
    assert [one["ModelPackageGroupName"] for one in first["ModelPackageGroupSummaryList"]] == names[:3]
    rest = aws(*listing, "--sort-order", "Ascending", "--page-size", "2", "--starting-token", first["NextToken"],
               "--query", chosen)  # fmt: skip
    assert rest == names[3:]
    assert len(aws(*listing, "--no-paginate", "--max-results", "2")["ModelPackageGroupSummaryList"]) == 2
    for name in names:
        aws("sagemaker", "delete-model-package-group", "--model-package-group-name", name)


def test_a_package_is_registered_from_a_file_and_approved(aws: Aws) -> None:
    aws("sagemaker", "create-model-package-group", "--model-package-group-name", "cli", "--tags", "Key=a,Value=b")
    request = aws.file("package.json", a_package() | {"ModelPackageGroupName": "cli"})
    arn = aws("sagemaker", "create-model-package", "--cli-input-json", request, "--query", "ModelPackageArn")
    assert arn.endswith(":model-package/cli/1")
    aws("sagemaker", "update-model-package", "--model-package-arn", arn, "--model-approval-status", "Approved",
        "--customer-metadata-properties", "reviewer=eve,round=2")  # fmt: skip
    described = aws("sagemaker", "describe-model-package", "--model-package-name", arn)
    assert described["ModelApprovalStatus"] == "Approved"
    assert described["CustomerMetadataProperties"]["reviewer"] == "eve"
    listed = aws("sagemaker", "list-model-packages", "--model-package-group-name", "cli")
    assert [one["ModelPackageArn"] for one in listed["ModelPackageSummaryList"]] == [arn]
    found = aws("sagemaker", "search", "--resource", "ModelPackageGroup", "--search-expression",
                "Filters=[{Name=ModelPackageGroupName,Operator=Equals,Value=cli}]")  # fmt: skip
    assert found["Results"][0]["ModelPackageGroup"]["ModelPackageGroupName"] == "cli"
    assert "ModelMetadataSummaries" in aws("sagemaker", "list-model-metadata")
    group = aws("sagemaker", "describe-model-package-group", "--model-package-group-name", "cli")
    assert group["ModelPackageGroupStatus"] == "Completed"
    aws("sagemaker", "delete-model-package", "--model-package-name", arn)
    aws("sagemaker", "delete-model-package-group", "--model-package-group-name", "cli")


def test_the_skeleton_of_a_request_is_filled_in_and_sent(aws: Aws) -> None:
    skeleton = aws("sagemaker", "create-model-package-group", "--generate-cli-skeleton", "input")
    assert set(skeleton) >= {"ModelPackageGroupName", "ModelPackageGroupDescription"}
    filled = {"ModelPackageGroupName": "filled", "ModelPackageGroupDescription": "from its skeleton"}
    aws("sagemaker", "create-model-package-group", "--cli-input-json", json.dumps(filled))
    described = aws("sagemaker", "describe-model-package-group", "--model-package-group-name", "filled")
    assert described["ModelPackageGroupDescription"] == "from its skeleton"
    aws("sagemaker", "delete-model-package-group", "--model-package-group-name", "filled")


def test_an_endpoint_serves_and_its_logs_are_read(aws: Aws, service: Hosting, models: tuple[str, str]) -> None:
    shorthand = "InstanceType=local.half,InitialInstanceCount=1,InitialVariantWeight=1"
    for model in models:
        aws("sagemaker", "create-endpoint-config", "--endpoint-config-name", model,
            "--production-variants", f"VariantName=main,ModelName={model},{shorthand}")  # fmt: skip
    aws("sagemaker", "create-endpoint", "--endpoint-name", "e", "--endpoint-config-name", "a")
    service.settled("e")  # the waiter would look every half minute
    aws.text("sagemaker", "wait", "endpoint-in-service", "--endpoint-name", "e")
    out = aws.place / "answer.json"
    invoked = aws("sagemaker-runtime", "invoke-endpoint", "--endpoint-name", "e", "--content-type", "text/csv",
                  "--body", "1,2,3", str(out))  # fmt: skip
    assert (out.read_text(), invoked["InvokedProductionVariant"]) == ('"a"', "main")
    aws("sagemaker", "update-endpoint-weights-and-capacities", "--endpoint-name", "e",
        "--desired-weights-and-capacities", "VariantName=main,DesiredWeight=2,DesiredInstanceCount=1")  # fmt: skip
    service.settled("e")
    aws("sagemaker", "update-endpoint", "--endpoint-name", "e", "--endpoint-config-name", "b")
    service.settled("e")
    described = aws("sagemaker", "describe-endpoint", "--endpoint-name", "e")
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", "b")
    assert aws("sagemaker", "list-endpoints", "--status-equals", "InService")["Endpoints"][0]["EndpointName"] == "e"
    configs = aws("sagemaker", "list-endpoint-configs", "--query", "sort(EndpointConfigs[].EndpointConfigName)")
    assert configs == ["a", "b"]
    config = aws("sagemaker", "describe-endpoint-config", "--endpoint-config-name", "a")
    assert config["ProductionVariants"][0]["ModelName"] == "a"
    group = "/aws/sagemaker/Endpoints/e"
    assert group in aws("logs", "describe-log-groups", "--query", "logGroups[].logGroupName")
    streams = aws("logs", "describe-log-streams", "--log-group-name", group, "--query", "logStreams[].logStreamName")
    assert "deployment" in streams
    events = aws("logs", "get-log-events", "--log-group-name", group, "--log-stream-name", "deployment")["events"]
    assert events[0]["message"]
    found = aws("logs", "filter-log-events", "--log-group-name", group, "--log-stream-names", "deployment")["events"]
    assert {one["message"] for one in found} == {one["message"] for one in events}
    target = ("--service-namespace", "sagemaker", "--resource-id", "endpoint/e/variant/main",
              "--scalable-dimension", "sagemaker:variant:DesiredInstanceCount")  # fmt: skip
    aws("application-autoscaling", "register-scalable-target", *target, "--min-capacity", "1", "--max-capacity", "1")
    chosen = "ScalableTargets[].[ResourceId,MaxCapacity]"
    scaled = aws("application-autoscaling", "describe-scalable-targets", *target[:2], "--query", chosen)
    assert scaled == [["endpoint/e/variant/main", 1]]
    aws("application-autoscaling", "deregister-scalable-target", *target)
    dimensions = ("--dimensions", "Name=EndpointName,Value=e", "Name=VariantName,Value=main")
    hours = ("--start-time", "2026-01-01T00:00:00Z", "--end-time", "2026-01-01T01:00:00Z", "--period", "60")
    measured = aws("cloudwatch", "get-metric-statistics", "--namespace", "AWS/SageMaker", "--metric-name",
                   "Invocations", *dimensions, *hours, "--statistics", "Sum")  # fmt: skip
    assert measured == {"Label": "Invocations", "Datapoints": []}
    aws("sagemaker", "delete-endpoint", "--endpoint-name", "e")
    service.clear()
    aws.text("sagemaker", "wait", "endpoint-deleted", "--endpoint-name", "e")


def test_an_experiment_is_described_as_the_reference_has_it(
    aws: Aws, service: Hosting, models: tuple[str, str]
) -> None:
    service.endpoint("shadowed", "a")
    request = aws.file("experiment.json", {
        "Name": "x",
        "Type": "ShadowMode",
        "RoleArn": ROLE,
        "EndpointName": "shadowed",
        "ModelVariants": [model_variant("a"), model_variant("b")],
        "ShadowModeConfig": shadow_config("a", "b", 50),
        "Tags": [{"Key": "team", "Value": "a"}],
    })  # fmt: skip
    aws("sagemaker", "create-inference-experiment", "--cli-input-json", request, "--description", "over the file's")
    service.stands("x", "Running")
    described = aws("sagemaker", "describe-inference-experiment", "--name", "x")
    # Those of the reference page (docs.aws.amazon.com/cli/latest/reference/sagemaker) that one can have that runs.
    assert set(described) >= {"Arn", "Name", "Type", "Schedule", "Status", "Description", "CreationTime",
                              "LastModifiedTime", "RoleArn", "EndpointMetadata", "ModelVariants",
                              "ShadowModeConfig"}  # fmt: skip
    assert (described["Status"], described["Description"]) == ("Running", "over the file's")
    assert described["EndpointMetadata"]["EndpointName"] == "shadowed"
    aws("sagemaker", "update-inference-experiment", "--name", "x", "--description", "changed")
    listed = aws(
        "sagemaker", "list-inference-experiments", "--type", "ShadowMode", "--query", "InferenceExperiments[0]"
    )
    assert (listed["Name"], listed["Description"]) == ("x", "changed")
    early = aws.refused("sagemaker", "start-inference-experiment", "--name", "x")
    assert "when calling the StartInferenceExperiment operation" in early
    aws("sagemaker", "stop-inference-experiment", "--name", "x", "--model-variant-actions", "a=Retain,b=Remove",
        "--reason", "seen enough")  # fmt: skip
    service.stands("x", "Completed")
    assert aws("sagemaker", "delete-inference-experiment", "--name", "x")["InferenceExperimentArn"].endswith("/x")
