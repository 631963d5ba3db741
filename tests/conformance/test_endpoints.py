"""Endpoint configurations and endpoints, as boto3 sees them. Nothing is deployed here: rows are moved by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from modeldyno.domain.endpoint import Endpoint, EndpointStatus, ServerStatus
from modeldyno.domain.rollout import Step, step
from tests.requests import IMAGE, ROLE


def a_variant(name: str = "main", model: str = "m", **more: Any) -> dict[str, Any]:
    return {"VariantName": name, "ModelName": model, "InstanceType": "local.2cpu", "InitialInstanceCount": 1, **more}


@pytest.fixture
def client(sagemaker: Any) -> Any:
    """With a model to deploy."""
    sagemaker.create_model(ModelName="m", ExecutionRoleArn=ROLE, PrimaryContainer={"Image": IMAGE})
    return sagemaker


@pytest.fixture
def move(front: Any, client: Any) -> Callable[[str], None]:
    """Carry an endpoint on to where it is to be, as the engine does."""
    region = client.meta.region_name

    def all_ready(endpoint: Endpoint, servers: Any) -> Step:
        made = step(endpoint, servers, 1e9)
        ready = tuple(replace(one, status=ServerStatus.READY, url="http://127.0.0.1:1") for one in made.add)
        return replace(made, add=ready)

    def carry(name: str) -> None:
        for _ in range(10):
            made = front.dyno.store.step_endpoint(region, name, all_ready)
            if made is None or made.endpoint is None:
                return
            for server in front.dyno.store.servers():
                if not server.wanted:
                    front.dyno.store.remove_server(server.id, server.attempt)

    return carry


def refused(call: Callable[[], Any]) -> tuple[str, str]:
    with pytest.raises(ClientError) as raised:
        call()
    error = raised.value.response["Error"]
    return error["Code"], error["Message"]


# --- configurations ---


def test_a_configuration_comes_back_as_it_was_sent(client: Any) -> None:
    capture = {
        "EnableCapture": True,
        "InitialSamplingPercentage": 10,
        "DestinationS3Uri": "s3://bucket/captured",
        "CaptureOptions": [{"CaptureMode": "InputAndOutput"}],
    }
    sent = {
        "EndpointConfigName": "c",
        "ProductionVariants": [a_variant(InitialVariantWeight=1.0, RoutingConfig={"RoutingStrategy": "RANDOM"})],
        "ShadowProductionVariants": [a_variant("shadow", InitialVariantWeight=0.5)],
        "DataCaptureConfig": capture,
    }
    arn = client.create_endpoint_config(**sent)["EndpointConfigArn"]
    described = client.describe_endpoint_config(EndpointConfigName="c")
    assert described["EndpointConfigArn"] == arn
    assert arn.endswith(":endpoint-config/c")
    for member, value in sent.items():
        assert described[member] == value
    client.delete_endpoint_config(EndpointConfigName="c")
    assert refused(lambda: client.describe_endpoint_config(EndpointConfigName="c")) == (
        "ValidationException",
        f'Could not find endpoint configuration "{arn}".',
    )


def test_configurations_are_listed_and_filtered(client: Any) -> None:
    for name in ("one", "two", "three"):
        client.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[a_variant()])
    pages = client.get_paginator("list_endpoint_configs").paginate(SortBy="Name", SortOrder="Ascending", MaxResults=2)
    assert [one["EndpointConfigName"] for page in pages for one in page["EndpointConfigs"]] == ["one", "three", "two"]
    found = client.list_endpoint_configs(NameContains="tw")["EndpointConfigs"]
    assert [one["EndpointConfigName"] for one in found] == ["two"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ProductionVariants": [a_variant(), a_variant()]}, "main is given more than once"),
        ({"ProductionVariants": [a_variant(model="none")]}, "Could not find model"),
        ({"ProductionVariants": [a_variant(InitialVariantWeight=0)]}, "must be above 0"),
        ({"ProductionVariants": [{"VariantName": "main"}]}, "ModelName is required"),
        (
            {"ProductionVariants": [a_variant(), a_variant("b")], "ShadowProductionVariants": [a_variant("s")]},
            "one production variant and one shadow",
        ),
        ({"ProductionVariants": [a_variant(InstanceType="ml.none")]}, "enum value set"),
        (
            {"ProductionVariants": [a_variant(ServerlessConfig={"MemorySizeInMB": 2048, "MaxConcurrency": 1})]},
            "InstanceType cannot be given with ServerlessConfig",
        ),
        ({"KmsKeyId": "key"}, "KmsKeyId is not supported"),
        ({"AsyncInferenceConfig": {"OutputConfig": {}}}, "AsyncInferenceConfig is not supported"),
        ({"ProductionVariants": [a_variant(RoutingConfig={"RoutingStrategy": "PREFIX_AWARE"})]}, "PREFIX_AWARE"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused_by_name(client: Any, change: dict[str, Any], words: str) -> None:
    given = {"EndpointConfigName": "c", "ProductionVariants": [a_variant()], **change}
    code, message = refused(lambda: client.create_endpoint_config(**given))
    assert code == "ValidationException"
    assert words in message
    assert client.list_endpoint_configs()["EndpointConfigs"] == []


# --- endpoints ---


@pytest.fixture
def endpoint(client: Any, move: Callable[[str], None]) -> str:
    """One in service, whose ARN this is."""
    client.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[a_variant(InitialInstanceCount=2)])
    arn: str = client.create_endpoint(EndpointName="e", EndpointConfigName="c")["EndpointArn"]
    move("e")
    return arn


def test_an_endpoint_is_creating_and_then_in_service(client: Any, move: Callable[[str], None]) -> None:
    client.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[a_variant(InitialInstanceCount=2)])
    arn = client.create_endpoint(EndpointName="e", EndpointConfigName="c")["EndpointArn"]
    described = client.describe_endpoint(EndpointName="e")
    assert described["EndpointStatus"] == "Creating"
    assert refused(lambda: client.delete_endpoint(EndpointName="e")) == (
        "ValidationException",
        f'Cannot update in-progress endpoint "{arn}".',
    )
    move("e")
    client.get_waiter("endpoint_in_service").wait(EndpointName="e", WaiterConfig={"Delay": 1, "MaxAttempts": 1})
    (production,) = client.describe_endpoint(EndpointName="e")["ProductionVariants"]
    assert production["CurrentInstanceCount"] == production["DesiredInstanceCount"] == 2
    assert production["DeployedImages"][0]["SpecifiedImage"] == IMAGE
    assert refused(lambda: client.create_endpoint(EndpointName="e", EndpointConfigName="c")) == (
        "ValidationException",
        f'Cannot create already existing endpoint "{arn}".',
    )


def test_captures_have_started_once_it_serves_and_go_on_during_an_update(
    client: Any, move: Callable[[str], None]
) -> None:
    capture = {
        "EnableCapture": True,
        "InitialSamplingPercentage": 40,
        "DestinationS3Uri": "s3://captured/e",
        "CaptureOptions": [{"CaptureMode": "Input"}],
    }
    for config in ("c", "d"):
        client.create_endpoint_config(
            EndpointConfigName=config, ProductionVariants=[a_variant()], DataCaptureConfig=capture
        )

    def status() -> str:
        described: str = client.describe_endpoint(EndpointName="e")["DataCaptureConfig"]["CaptureStatus"]
        return described

    client.create_endpoint(EndpointName="e", EndpointConfigName="c")
    assert status() == "Stopped"
    move("e")
    assert status() == "Started"
    client.update_endpoint(EndpointName="e", EndpointConfigName="d")
    assert status() == "Started"


def test_a_deleted_endpoint_ends_the_waiter(client: Any, endpoint: str, move: Callable[[str], None]) -> None:
    client.delete_endpoint(EndpointName="e")
    assert client.describe_endpoint(EndpointName="e")["EndpointStatus"] == "Deleting"
    move("e")
    move("e")
    client.get_waiter("endpoint_deleted").wait(EndpointName="e", WaiterConfig={"Delay": 1, "MaxAttempts": 1})
    assert refused(lambda: client.describe_endpoint(EndpointName="e")) == (
        "ValidationException",
        f'Could not find endpoint "{endpoint}".',
    )


def test_an_update_shows_what_is_pending(client: Any, endpoint: str, move: Callable[[str], None]) -> None:
    client.create_endpoint_config(EndpointConfigName="next", ProductionVariants=[a_variant("other")])
    policy = {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": {
                "Type": "CANARY",
                "WaitIntervalInSeconds": 600,
                "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 30},
            }
        }
    }
    client.update_endpoint(EndpointName="e", EndpointConfigName="next", DeploymentConfig=policy)
    described = client.describe_endpoint(EndpointName="e")
    assert described["EndpointStatus"] == "Updating"
    assert described["EndpointConfigName"] == "c"
    assert described["PendingDeploymentSummary"]["EndpointConfigName"] == "next"
    assert described["LastDeploymentConfig"] == policy
    move("e")
    described = client.describe_endpoint(EndpointName="e")
    weights = [
        described["ProductionVariants"][0]["CurrentWeight"],
        described["PendingDeploymentSummary"]["ProductionVariants"][0]["CurrentWeight"],
    ]
    assert weights == pytest.approx([0.7, 0.3])


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ({"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": {"Type": "CANARY", "WaitIntervalInSeconds": 0}}},
         "CanarySize is required"),
        ({"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": {
            "Type": "LINEAR", "WaitIntervalInSeconds": 0,
            "LinearStepSize": {"Type": "CAPACITY_PERCENT", "Value": 60}}}}, "from 10 to 50"),
        ({"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "a"}]}}, "AutoRollbackConfiguration is not supported"),
    ],
)  # fmt: skip
def test_a_rollout_that_cannot_be_is_refused(client: Any, endpoint: str, policy: dict[str, Any], words: str) -> None:
    code, message = refused(
        lambda: client.update_endpoint(EndpointName="e", EndpointConfigName="c", DeploymentConfig=policy)
    )
    assert code == "ValidationException"
    assert words in message
    assert client.describe_endpoint(EndpointName="e")["EndpointStatus"] == "InService"


def test_what_was_set_at_run_time_is_retained(client: Any, endpoint: str, move: Callable[[str], None]) -> None:
    client.update_endpoint_weights_and_capacities(
        EndpointName="e",
        DesiredWeightsAndCapacities=[{"VariantName": "main", "DesiredWeight": 5, "DesiredInstanceCount": 3}],
    )
    move("e")
    client.create_endpoint_config(EndpointConfigName="next", ProductionVariants=[a_variant()])
    client.update_endpoint(EndpointName="e", EndpointConfigName="next", RetainAllVariantProperties=True)
    move("e")
    (production,) = client.describe_endpoint(EndpointName="e")["ProductionVariants"]
    assert (production["DesiredInstanceCount"], production["DesiredWeight"]) == (3, 5.0)


def test_weights_of_unknown_variants_are_refused(client: Any, endpoint: str) -> None:
    code, message = refused(
        lambda: client.update_endpoint_weights_and_capacities(
            EndpointName="e", DesiredWeightsAndCapacities=[{"VariantName": "none", "DesiredWeight": 1}]
        )
    )
    assert (code, "no production variant none" in message) == ("ValidationException", True)


def test_more_instances_than_can_be_are_refused_before_anything_is_made(client: Any, endpoint: str) -> None:
    wanted = [{"VariantName": "main", "DesiredInstanceCount": 100_000}]
    with pytest.raises(ClientError, match="the most is 200") as refused:
        client.update_endpoint_weights_and_capacities(EndpointName="e", DesiredWeightsAndCapacities=wanted)
    assert refused.value.response["Error"]["Code"] == "ResourceLimitExceeded"
    variant = client.describe_endpoint(EndpointName="e")["ProductionVariants"][0]
    assert variant["DesiredInstanceCount"] < 10


def test_endpoints_are_listed_by_status(client: Any, endpoint: str) -> None:
    client.create_endpoint(EndpointName="new", EndpointConfigName="c")
    assert [one["EndpointName"] for one in client.list_endpoints(StatusEquals="InService")["Endpoints"]] == ["e"]
    assert [one["EndpointName"] for one in client.list_endpoints(SortBy="Name")["Endpoints"]] == ["new", "e"]


def test_endpoints_have_tags(client: Any, endpoint: str) -> None:
    client.add_tags(ResourceArn=endpoint, Tags=[{"Key": "team", "Value": "a"}])
    assert client.list_tags(ResourceArn=endpoint)["Tags"] == [{"Key": "team", "Value": "a"}]


def test_a_failed_endpoint_can_only_be_deleted(front: Any, client: Any, endpoint: str) -> None:
    region = client.meta.region_name
    front.dyno.store.change_endpoint(
        region, "e", lambda row: replace(row, status=EndpointStatus.FAILED, failure_reason="It broke.")
    )
    assert client.describe_endpoint(EndpointName="e")["FailureReason"] == "It broke."
    _, message = refused(lambda: client.update_endpoint(EndpointName="e", EndpointConfigName="c"))
    assert "can only be deleted" in message
    client.delete_endpoint(EndpointName="e")


# --- serverless ------------------------------------------------------------------------------------------------------


def serverless(name: str = "main", **more: Any) -> dict[str, Any]:
    return {
        "VariantName": name,
        "ModelName": "m",
        "ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 5, **more},
    }


CAPTURE = {
    "InitialSamplingPercentage": 1,
    "DestinationS3Uri": "s3://bucket/x",
    "CaptureOptions": [{"CaptureMode": "Input"}],
}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ProductionVariants": [serverless(MemorySizeInMB=1500)]}, "must be one of 1024, 2048, 3072"),
        ({"ProductionVariants": [serverless(MemorySizeInMB=8192)]}, "less than or equal to 6144"),
        ({"ProductionVariants": [serverless(MaxConcurrency=201)]}, "less than or equal to 200"),
        ({"ProductionVariants": [serverless(ProvisionedConcurrency=6)]}, "the most is its MaxConcurrency, 5"),
        ({"ProductionVariants": [serverless(), serverless("b")]}, "does not support multiple production variants"),
        ({"ProductionVariants": [{**serverless(), "InitialInstanceCount": 1}]}, "InitialInstanceCount cannot be given"),
        (
            {"ProductionVariants": [{**serverless(), "RoutingConfig": {"RoutingStrategy": "RANDOM"}}]},
            "RoutingConfig cannot be given",
        ),
        ({"ShadowProductionVariants": [a_variant("s")]}, "does not support ShadowProductionVariants"),
        ({"ShadowProductionVariants": [serverless("s")]}, "shadow tests do not support serverless inference"),
        ({"DataCaptureConfig": CAPTURE}, "Serverless inference does not support DataCaptureConfig"),
        ({"EnableNetworkIsolation": True}, "EnableNetworkIsolation True is not supported"),
    ],
)
def test_what_serverless_inference_excludes_is_refused_by_name(client: Any, change: dict[str, Any], words: str) -> None:
    given = {"EndpointConfigName": "c", "ProductionVariants": [serverless()], **change}
    code, message = refused(lambda: client.create_endpoint_config(**given))
    assert code == "ValidationException"
    assert words in message


@pytest.fixture
def on_demand(client: Any, move: Callable[[str], None]) -> str:
    """A serverless endpoint in service, whose ARN this is."""
    client.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[serverless()])
    arn: str = client.create_endpoint(EndpointName="e", EndpointConfigName="c")["EndpointArn"]
    move("e")
    return arn


def test_a_serverless_endpoint_is_described_by_its_configuration(client: Any, on_demand: str) -> None:
    assert client.describe_endpoint_config(EndpointConfigName="c")["ProductionVariants"] == [
        {**serverless(), "InitialVariantWeight": 1.0}
    ]
    described = client.describe_endpoint(EndpointName="e")
    assert described["EndpointStatus"] == "InService"
    (variant,) = described["ProductionVariants"]
    assert variant["CurrentServerlessConfig"] == {"MemorySizeInMB": 2048, "MaxConcurrency": 5}
    assert variant["CurrentInstanceCount"] == 0
    assert "DesiredInstanceCount" not in variant
    assert "RoutingConfig" not in variant


def test_concurrency_is_changed_in_place(client: Any, on_demand: str, move: Callable[[str], None]) -> None:
    change = {"VariantName": "main", "ServerlessUpdateConfig": {"MaxConcurrency": 9}}
    client.update_endpoint_weights_and_capacities(EndpointName="e", DesiredWeightsAndCapacities=[change])
    (variant,) = client.describe_endpoint(EndpointName="e")["ProductionVariants"]
    assert variant["CurrentServerlessConfig"]["MaxConcurrency"] == 5
    assert variant["DesiredServerlessConfig"]["MaxConcurrency"] == 9
    move("e")
    (variant,) = client.describe_endpoint(EndpointName="e")["ProductionVariants"]
    assert variant["CurrentServerlessConfig"] == {"MemorySizeInMB": 2048, "MaxConcurrency": 9}
    for wrong, words in (
        ({"DesiredInstanceCount": 2}, "the variant main is serverless"),
        ({"ServerlessUpdateConfig": {"ProvisionedConcurrency": 10}}, "the most is its MaxConcurrency, 9"),
    ):
        wanted = [{"VariantName": "main", **wrong}]
        change_it = client.update_endpoint_weights_and_capacities
        code, message = refused(lambda: change_it(EndpointName="e", DesiredWeightsAndCapacities=wanted))  # noqa: B023
        assert code == "ValidationException"
        assert words in message


def test_instances_do_not_become_serverless(client: Any, endpoint: str) -> None:
    client.create_endpoint_config(EndpointConfigName="less", ProductionVariants=[serverless()])
    assert refused(lambda: client.update_endpoint(EndpointName="e", EndpointConfigName="less")) == (
        "ValidationException",
        f'Endpoint "{endpoint}" has instances: it cannot be updated to a serverless endpoint.',
    )


def test_a_serverless_endpoint_can_get_instances_but_not_batch_by_batch(
    client: Any, on_demand: str, move: Callable[[str], None]
) -> None:
    client.create_endpoint_config(EndpointConfigName="more", ProductionVariants=[a_variant()])
    rolling = {
        "RollingUpdatePolicy": {
            "MaximumBatchSize": {"Type": "CAPACITY_PERCENT", "Value": 50},
            "WaitIntervalInSeconds": 0,
        }
    }
    code, message = refused(
        lambda: client.update_endpoint(EndpointName="e", EndpointConfigName="more", DeploymentConfig=rolling)
    )
    assert (code, message) == (
        "ValidationException",
        "RollingUpdatePolicy is not supported with serverless inference.",
    )
    client.update_endpoint(EndpointName="e", EndpointConfigName="more")
    move("e")
    (variant,) = client.describe_endpoint(EndpointName="e")["ProductionVariants"]
    assert variant["CurrentInstanceCount"] == 1
    assert "CurrentServerlessConfig" not in variant


def test_a_shadow_test_of_a_serverless_endpoint_is_refused(client: Any, on_demand: str) -> None:
    infrastructure = {
        "InfrastructureType": "RealTimeInference",
        "RealTimeInferenceConfig": {"InstanceType": "local.2cpu", "InstanceCount": 1},
    }
    variants = [
        {"ModelName": "m", "VariantName": name, "InfrastructureConfig": infrastructure} for name in ("main", "shadow")
    ]
    roles = {
        "SourceModelVariantName": "main",
        "ShadowModelVariants": [{"ShadowModelVariantName": "shadow", "SamplingPercentage": 10}],
    }
    code, message = refused(
        lambda: client.create_inference_experiment(
            Name="x",
            Type="ShadowMode",
            RoleArn=ROLE,
            EndpointName="e",
            ModelVariants=variants,
            ShadowModeConfig=roles,
        )
    )
    assert code == "ValidationException"
    assert "shadow tests do not support serverless inference" in message
