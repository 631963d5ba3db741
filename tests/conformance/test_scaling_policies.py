"""Application Auto Scaling with an unmodified client: targets and policies of endpoints' variants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.conformance.conftest import Front

RESOURCE = "endpoint/e/variant/main"
OF = {
    "ServiceNamespace": "sagemaker",
    "ResourceId": RESOURCE,
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
}
INVOCATIONS = {
    "TargetValue": 600.0,
    "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
    "ScaleOutCooldown": 10,
    "ScaleInCooldown": 100,
    "DisableScaleIn": False,
}
# Source: amazon-sagemaker-examples, sagemaker-inference-recommender/auto-scaling/endpoint_scaling.py.
CPU = {
    "TargetValue": 100.0,
    "CustomizedMetricSpecification": {
        "MetricName": "CPUUtilization",
        "Namespace": "/aws/sagemaker/Endpoints",
        "Dimensions": [{"Name": "EndpointName", "Value": "e"}, {"Name": "VariantName", "Value": "main"}],
        "Statistic": "Average",
        "Unit": "Percent",
    },
}


@pytest.fixture
def scaling(connect: Callable[..., Any], region: str) -> Any:
    return connect(region, "application-autoscaling")


@pytest.fixture
def endpoint(sagemaker: Any, model: str) -> str:
    variant = {"VariantName": "main", "ModelName": model, "InstanceType": "local.2cpu", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="c")
    return "e"


@pytest.fixture
def target(scaling: Any, endpoint: str) -> Any:
    return scaling.register_scalable_target(**OF, MinCapacity=1, MaxCapacity=4)


def policy(configuration: dict[str, Any], name: str = "p", **more: Any) -> dict[str, Any]:
    own = {"PolicyType": "TargetTrackingScaling", "TargetTrackingScalingPolicyConfiguration": configuration}
    return {**OF, "PolicyName": name, **own, **more}


def test_a_target_is_registered_changed_and_deregistered(scaling: Any, target: Any) -> None:
    assert target["ScalableTargetARN"].startswith("arn:aws:application-autoscaling:")
    (described,) = scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    assert (described["ResourceId"], described["MinCapacity"], described["MaxCapacity"]) == (RESOURCE, 1, 4)
    assert described["SuspendedState"]["DynamicScalingInSuspended"] is False
    assert described["ScalableTargetARN"] == target["ScalableTargetARN"]
    scaling.register_scalable_target(**OF, MaxCapacity=6, SuspendedState={"DynamicScalingInSuspended": True})
    (changed,) = scaling.describe_scalable_targets(ServiceNamespace="sagemaker", ResourceIds=[RESOURCE])[
        "ScalableTargets"
    ]
    assert (changed["MinCapacity"], changed["MaxCapacity"], changed["CreationTime"]) == (
        1,
        6,
        described["CreationTime"],
    )
    assert changed["SuspendedState"] == {
        "DynamicScalingInSuspended": True,
        "DynamicScalingOutSuspended": False,
        "ScheduledScalingSuspended": False,
    }
    scaling.deregister_scalable_target(**OF)
    assert scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"] == []


def test_the_policies_of_the_notebook_are_put_described_and_deleted(scaling: Any, target: Any) -> None:
    first = scaling.put_scaling_policy(**policy(INVOCATIONS, "invocations"))
    scaling.put_scaling_policy(**policy(CPU, "cpu"))
    described = scaling.describe_scaling_policies(ServiceNamespace="sagemaker", ResourceId=RESOURCE)["ScalingPolicies"]
    assert [one["PolicyName"] for one in described] == ["invocations", "cpu"]
    assert [one["TargetTrackingScalingPolicyConfiguration"] for one in described] == [INVOCATIONS, CPU]
    assert described[0]["PolicyARN"] == first["PolicyARN"]
    again = scaling.put_scaling_policy(**policy({**INVOCATIONS, "TargetValue": 9.0}, "invocations"))
    assert again["PolicyARN"] == first["PolicyARN"]
    (only,) = scaling.describe_scaling_policies(ServiceNamespace="sagemaker", PolicyNames=["invocations"])[
        "ScalingPolicies"
    ]
    assert only["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] == 9.0
    scaling.delete_scaling_policy(**OF, PolicyName="invocations")
    left = scaling.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]
    assert [one["PolicyName"] for one in left] == ["cpu"]
    scaling.deregister_scalable_target(**OF)
    assert scaling.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"] == []


def test_lists_come_in_pages_and_are_of_their_region(
    scaling: Any, target: Any, connect: Callable[..., Any], front: Front
) -> None:
    for number in range(3):
        scaling.put_scaling_policy(**policy(CPU, f"p{number}"))
    pages = scaling.get_paginator("describe_scaling_policies").paginate(
        ServiceNamespace="sagemaker", PaginationConfig={"PageSize": 2}
    )
    assert [[one["PolicyName"] for one in page["ScalingPolicies"]] for page in pages] == [["p0", "p1"], ["p2"]]
    elsewhere = connect("elsewhere-1", "application-autoscaling")
    assert elsewhere.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"] == []


@pytest.mark.parametrize(
    "call",
    [
        lambda scaling: scaling.put_scaling_policy(**policy(CPU)),
        lambda scaling: scaling.delete_scaling_policy(**OF, PolicyName="p"),
        lambda scaling: scaling.deregister_scalable_target(**OF),
    ],
)
def test_what_is_not_registered_is_not_found(
    scaling: Any, endpoint: str, refused: Callable[..., str], call: Callable[[Any], object]
) -> None:
    assert RESOURCE in refused("ObjectNotFoundException", lambda: call(scaling))


def test_a_policy_that_is_not_there_is_not_found(scaling: Any, target: Any, refused: Callable[..., str]) -> None:
    assert "q" in refused("ObjectNotFoundException", scaling.delete_scaling_policy, **OF, PolicyName="q")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"ResourceId": "endpoint/none/variant/main"}, "no endpoint none"),
        ({"ResourceId": "endpoint/e/variant/none"}, "no production variant none"),
        ({"ResourceId": "endpoint/e"}, "not of the form"),
        ({"ScalableDimension": "sagemaker:variant:DesiredProvisionedConcurrency"}, "is not supported"),
        ({"ServiceNamespace": "ecs"}, "ServiceNamespace ecs is not supported"),
        ({"MinCapacity": 0}, "MinCapacity 0"),
        ({"MaxCapacity": 1, "MinCapacity": 2}, "below MinCapacity 2"),
        ({"Tags": {"a": "b"}}, "Tags is not supported"),
    ],
)
def test_a_target_that_breaks_a_rule_is_refused(
    scaling: Any, endpoint: str, refused: Callable[..., str], wrong: dict[str, Any], words: str
) -> None:
    asked = {**OF, "MinCapacity": 1, "MaxCapacity": 2} | wrong
    assert words in refused("ValidationException", scaling.register_scalable_target, **asked)


def test_a_first_registration_needs_its_bounds(scaling: Any, endpoint: str, refused: Callable[..., str]) -> None:
    assert "MinCapacity and MaxCapacity" in refused("ValidationException", scaling.register_scalable_target, **OF)


STEPS = {"PolicyType": "StepScaling", "StepScalingPolicyConfiguration": {"AdjustmentType": "ChangeInCapacity"}}
REQUESTS = {"PredefinedMetricType": "ALBRequestCountPerTarget"}
OWN = CPU["CustomizedMetricSpecification"]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (
            {**OF, "PolicyName": "p", **STEPS},
            "PolicyType StepScaling is not supported",
        ),
        ({**OF, "PolicyName": "p"}, "has no TargetTrackingScalingPolicyConfiguration"),
        (policy({"TargetValue": 1.0}), "exactly one of"),
        (policy({**CPU, **INVOCATIONS}), "exactly one of"),
        (policy({**CPU, "TargetValue": 0.0}), "must be above 0"),
        (policy({**CPU, "ScaleInCooldown": -1}), "ScaleInCooldown -1"),
        (
            policy(
                INVOCATIONS | {"PredefinedMetricSpecification": {"PredefinedMetricType": "ALBRequestCountPerTarget"}}
            ),
            "ALBRequestCountPerTarget is not supported",
        ),
        (policy(CPU | {"CustomizedMetricSpecification": OWN | {"Namespace": "mine"}}), "'mine' is not supported"),
        (policy(CPU | {"CustomizedMetricSpecification": OWN | {"Dimensions": []}}), "EndpointName e, VariantName main"),
        (policy(CPU | {"CustomizedMetricSpecification": OWN | {"Unit": "Seconds"}}), "unit Percent, not Seconds"),
    ],
)
def test_a_policy_that_is_not_there_is_refused_by_name(
    scaling: Any, target: Any, refused: Callable[..., str], asked: dict[str, Any], words: str
) -> None:
    assert words in refused("ValidationException", scaling.put_scaling_policy, **asked)
