"""Inference experiments, as boto3 sees them. Nothing is deployed here: rows are moved by hand."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from modeldyno.domain.endpoint import Endpoint, EndpointStatus, Fleet, FleetSpec, Server, ServerStatus
from modeldyno.domain.experiment import Experiment, ExperimentStatus
from modeldyno.domain.rollout import Step
from modeldyno.domain.routing import route_of
from tests.requests import IMAGE, ROLE


def a_variant(name: str, model: str = "m", instance_type: str = "local.2cpu") -> dict[str, Any]:
    where = {"InstanceType": instance_type, "InstanceCount": 1}
    return {
        "ModelName": model,
        "VariantName": name,
        "InfrastructureConfig": {"InfrastructureType": "RealTimeInference", "RealTimeInferenceConfig": where},
    }


def mode(percent: int = 50, production: str = "main", shadow: str = "shadow") -> dict[str, Any]:
    return {
        "SourceModelVariantName": production,
        "ShadowModelVariants": [{"ShadowModelVariantName": shadow, "SamplingPercentage": percent}],
    }


@pytest.fixture
def client(sagemaker: Any) -> Any:
    sagemaker.create_model(ModelName="m", ExecutionRoleArn=ROLE, PrimaryContainer={"Image": IMAGE})
    return sagemaker


@pytest.fixture
def create(client: Any) -> Callable[..., str]:
    """Create an experiment on an endpoint that is not there; its ARN."""

    def creating(name: str = "x", **more: Any) -> str:
        given = {
            "Name": name,
            "Type": "ShadowMode",
            "RoleArn": ROLE,
            "EndpointName": "e",
            "ModelVariants": [a_variant("main"), a_variant("shadow")],
            "ShadowModeConfig": mode(),
            **more,
        }
        return str(client.create_inference_experiment(**given)["InferenceExperimentArn"])

    return creating


@pytest.fixture
def stand(front: Any, region: str) -> Callable[..., None]:
    """Move an experiment to a status, as the engine does; while it runs its endpoint serves."""

    def standing(status: ExperimentStatus, name: str = "x") -> None:
        store = front.dyno.store
        row = store.change_experiment(region, name, lambda one: replace(one, status=status, applied=True))
        if status is ExperimentStatus.RUNNING:
            store.add_endpoint(endpoint_of(row))
            store.step_endpoint(region, "e", lambda one, _: Step(one, add=servers_of(one)))

    return standing


def endpoint_of(row: Experiment) -> Endpoint:
    fleet = Fleet(1, row.fleet)
    at = row.created_at
    return Endpoint(
        f"{row.id}e", row.region, "e", row.endpoint_arn, EndpointStatus.IN_SERVICE, fleet, at, at,
        experiment=row.name, experiment_id=row.id,
    )  # fmt: skip


def servers_of(endpoint: Endpoint) -> tuple[Server, ...]:
    spec = endpoint.fleet.spec
    return tuple(
        Server(
            id=f"{endpoint.id}-{one.name}",
            endpoint_id=endpoint.id,
            region=endpoint.region,
            endpoint_name="e",
            fleet=1,
            variant=one,
            index=0,
            shadow=one in spec.shadows,
            status=ServerStatus.READY,
            url="http://127.0.0.1:1",
        )
        for one in spec.every
    )


def test_an_experiment_is_described_as_it_was_created(client: Any, create: Callable[..., str], region: str) -> None:
    storage = {"Destination": "s3://bucket/shadow", "ContentType": {"CsvContentTypes": ["text/csv"]}}
    arn = create(Description="a test", DataStorageConfig=storage, Tags=[{"Key": "team", "Value": "a"}])
    assert arn == f"arn:aws:sagemaker:{region}:000000000000:inference-experiment/x"
    described = client.describe_inference_experiment(Name="x")
    assert described["Arn"] == arn
    assert (described["Status"], described["Type"]) == ("Creating", "ShadowMode")
    assert described["ShadowModeConfig"] == mode()
    assert described["DataStorageConfig"] == storage
    assert described["EndpointMetadata"] == {"EndpointName": "e"}
    assert [one["VariantName"] for one in described["ModelVariants"]] == ["main", "shadow"]
    assert {one["Status"] for one in described["ModelVariants"]} == {"Creating"}
    assert (described["Schedule"]["EndTime"] - described["Schedule"]["StartTime"]).days == 7
    assert client.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "team", "Value": "a"}]


def test_a_name_is_taken_once(create: Callable[..., str], refused: Callable[..., str]) -> None:
    create()
    assert "already exists" in refused("ResourceInUse", create)


def test_what_is_not_there_is_not_found(client: Any, refused: Callable[..., str]) -> None:
    actions = {"main": "Retain"}
    calls: list[tuple[Any, dict[str, Any]]] = [
        (client.describe_inference_experiment, {}),
        (client.update_inference_experiment, {}),
        (client.start_inference_experiment, {}),
        (client.stop_inference_experiment, {"ModelVariantActions": actions}),
        (client.delete_inference_experiment, {}),
    ]
    for call, more in calls:
        assert "Could not find inference experiment" in refused("ResourceNotFound", call, Name="none", **more)


ALLOWED = {
    "update": {ExperimentStatus.CREATED, ExperimentStatus.RUNNING},
    "start": {ExperimentStatus.CREATED},
    "stop": {ExperimentStatus.RUNNING},
    "delete": {ExperimentStatus.CREATED, ExperimentStatus.COMPLETED, ExperimentStatus.CANCELLED},
}


@pytest.mark.parametrize("verb", ALLOWED)
@pytest.mark.parametrize("status", ExperimentStatus)
def test_each_operation_is_a_conflict_outside_its_statuses(
    client: Any,
    create: Callable[..., str],
    stand: Callable[..., None],
    refused: Callable[..., str],
    verb: str,
    status: ExperimentStatus,
) -> None:
    create()
    stand(status)
    call = getattr(client, f"{verb}_inference_experiment")
    more: dict[str, Any] = {"ModelVariantActions": {"main": "Retain", "shadow": "Remove"}} if verb == "stop" else {}
    if status in ALLOWED[verb]:
        call(Name="x", **more)
    else:
        assert f"is {status}" in refused("ConflictException", call, Name="x", **more)


def test_one_that_was_created_can_be_changed_as_a_whole(client: Any, create: Callable[..., str], stand: Any) -> None:
    create(Schedule={"StartTime": time.time() + 3600})
    stand(ExperimentStatus.CREATED)
    client.update_inference_experiment(
        Name="x",
        Description="new",
        ModelVariants=[a_variant("main"), a_variant("second")],
        ShadowModeConfig=mode(10, shadow="second"),
        Schedule={"EndTime": time.time() + 7200},
    )
    described = client.describe_inference_experiment(Name="x")
    assert described["Description"] == "new"
    assert [one["VariantName"] for one in described["ModelVariants"]] == ["main", "second"]
    assert described["ShadowModeConfig"] == mode(10, shadow="second")
    assert (described["Schedule"]["EndTime"] - described["Schedule"]["StartTime"]).total_seconds() < 3700


def test_of_a_running_one_only_end_description_and_percentage_can_be_changed(
    client: Any, front: Any, region: str, create: Any, stand: Any, refused: Any
) -> None:
    create()
    stand(ExperimentStatus.RUNNING)
    end = time.time() + 3600
    client.update_inference_experiment(Name="x", Description="new", ShadowModeConfig=mode(5), Schedule={"EndTime": end})
    described = client.describe_inference_experiment(Name="x")
    assert described["ShadowModeConfig"] == mode(5)
    assert described["Schedule"]["EndTime"].timestamp() == pytest.approx(end, abs=1)
    store = front.dyno.store
    mirror = route_of(store.endpoint(region, "e"), store.servers()).mirror
    assert mirror is not None
    assert mirror.percent == pytest.approx(5.0)
    for change, word in (
        ({"ModelVariants": [a_variant("main"), a_variant("other")]}, "ModelVariants"),
        ({"Schedule": {"StartTime": time.time() + 60}}, "StartTime"),
        ({"DataStorageConfig": {"Destination": "s3://bucket/other"}}, "DataStorageConfig"),
    ):
        told = refused("ConflictException", client.update_inference_experiment, Name="x", **change)
        assert word in told


@pytest.mark.parametrize(
    ("main", "shadow", "after"),
    [
        ("Retain", "Remove", (["main"], [])),
        ("Retain", "Retain", (["main"], ["shadow"])),
        ("Remove", "Promote", (["shadow"], [])),
        ("Remove", "Remove", None),
    ],
)
def test_a_stop_says_what_the_endpoint_serves_then(
    client: Any, front: Any, region: str, create: Any, stand: Any, main: str, shadow: str, after: Any
) -> None:
    create()
    stand(ExperimentStatus.RUNNING)
    client.stop_inference_experiment(Name="x", ModelVariantActions={"main": main, "shadow": shadow}, Reason="why")
    described = client.describe_inference_experiment(Name="x")
    assert (described["Status"], described["StatusReason"]) == ("Stopping", "why")
    order = front.dyno.store.experiment(region, "x").stop
    assert names(order.after) == after


def names(spec: FleetSpec | None) -> Any:
    return None if spec is None else ([one.name for one in spec.variants], [one.name for one in spec.shadows])


@pytest.mark.parametrize(
    ("actions", "words"),
    [
        ({"main": "Promote", "shadow": "Remove"}, "cannot be carried out together"),
        ({"main": "Retain", "shadow": "Promote"}, "cannot be carried out together"),
        ({"main": "Remove", "shadow": "Retain"}, "cannot be carried out together"),
        ({"main": "Retain"}, "no action for shadow"),
        ({"main": "Retain", "other": "Remove"}, "other"),
    ],
)
def test_actions_that_cannot_be_are_refused(
    client: Any, create: Any, stand: Any, refused: Any, actions: dict[str, str], words: str
) -> None:
    create()
    stand(ExperimentStatus.RUNNING)
    told = refused("ValidationException", client.stop_inference_experiment, Name="x", ModelVariantActions=actions)
    assert words in told
    assert client.describe_inference_experiment(Name="x")["Status"] == "Running"


def test_a_promoted_variant_may_get_another_size(client: Any, front: Any, region: str, create: Any, stand: Any) -> None:
    create()
    stand(ExperimentStatus.RUNNING)
    client.stop_inference_experiment(
        Name="x",
        ModelVariantActions={"main": "Remove", "shadow": "Promote"},
        DesiredModelVariants=[a_variant("shadow", instance_type="ml.c5.large")],
        DesiredState="Completed",
    )
    after = front.dyno.store.experiment(region, "x").stop.after
    assert after.variants[0].instance_type.name == "ml.c5.large"
    assert client.describe_endpoint_config(EndpointConfigName=after.config_name)["ProductionVariants"][0][
        "InstanceType"
    ] == ("ml.c5.large")


def test_experiments_are_listed_and_filtered(client: Any, create: Any, stand: Any) -> None:
    for name in ("one", "two", "three"):
        create(name)
    stand(ExperimentStatus.COMPLETED, "two")
    pages = client.get_paginator("list_inference_experiments").paginate(
        SortBy="Name", SortOrder="Ascending", MaxResults=2
    )
    assert [one["Name"] for page in pages for one in page["InferenceExperiments"]] == ["one", "three", "two"]
    found = client.list_inference_experiments(StatusEquals="Completed")["InferenceExperiments"]
    assert [(one["Name"], one["Type"]) for one in found] == [("two", "ShadowMode")]


@pytest.mark.parametrize(
    ("tag", "words"),
    [
        ({"Key": "dyno:latency", "Value": "5"}, "names no margin"),
        ({"Key": "dyno:latency_percent", "Value": "x"}, "none"),
    ],
)
def test_a_margin_that_is_none_is_refused(create: Any, refused: Any, tag: dict[str, str], words: str) -> None:
    assert words in refused("ValidationException", create, Tags=[tag])


def test_tags_set_the_margins(front: Any, region: str, create: Any) -> None:
    create(
        Tags=[
            {"Key": "dyno:latency_percent", "Value": "25"},
            {"Key": "dyno:stop_when_harmful", "Value": "true"},
        ]
    )
    margins = front.dyno.store.experiment(region, "x").margins
    assert (margins.latency_percent, margins.stop_when_harmful, margins.error_percent) == (25.0, True, 1.0)
