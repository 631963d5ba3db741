"""What the SDKs ask of other services, with unmodified clients, in each protocol that they may choose."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from modeldyno.ports.store import LogLine
from tests.conformance.conftest import Engine


@pytest.fixture
def logs(connect: Callable[..., Any], region: str) -> Any:
    return connect(region, "logs")


def test_the_caller_is_a_role_as_in_a_notebook(connect: Callable[..., Any], region: str) -> None:
    identity = connect(region, "sts").get_caller_identity()
    assert identity["Account"] == "000000000000"
    assert identity["Arn"] == "arn:aws:sts::000000000000:assumed-role/dyno/any"
    role = connect(region, "iam").get_role(RoleName="dyno")["Role"]
    assert role["Arn"] == "arn:aws:iam::000000000000:role/dyno"
    assert role["AssumeRolePolicyDocument"]["Statement"][0]["Principal"] == {"Service": "sagemaker.amazonaws.com"}


def test_each_job_has_a_log_with_its_progress(
    sagemaker: Any, logs: Any, engine: Engine, job_request: dict[str, Any]
) -> None:
    sagemaker.create_inference_recommendations_job(**job_request)
    engine.plan(["ml.c5.large"])
    engine.dyno.store.log(
        engine.job().id,
        [
            LogLine(1_700_000_000.0, "The job begins."),
            LogLine(1_700_000_001.0, "The model cannot be loaded."),
            LogLine(1_700_000_002.0, "of the trial", 0),
        ],
    )
    group = "/aws/sagemaker/InferenceRecommendationsJobs"
    assert group in [one["logGroupName"] for one in logs.describe_log_groups()["logGroups"]]
    streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix="job")["logStreams"]
    stream = "job/execution"
    assert stream in [one["logStreamName"] for one in streams]
    events = logs.get_log_events(logGroupName=group, logStreamName=stream, startFromHead=True)
    assert [one["message"] for one in events["events"]][:2] == ["The job begins.", "The model cannot be loaded."]
    assert events["events"][0]["timestamp"] == 1_700_000_000_000
    of_trial = next(name for name in (one["logStreamName"] for one in streams) if name.startswith("job/Endpoint/"))
    newest = logs.get_log_events(logGroupName=group, logStreamName=of_trial, limit=1)
    assert [one["message"] for one in newest["events"]] == ["of the trial"]
    again = logs.get_log_events(logGroupName=group, logStreamName=stream, nextToken=events["nextForwardToken"])
    assert again["events"] == []
    found = logs.filter_log_events(logGroupName=group, logStreamNames=[stream])
    assert [one["message"] for one in found["events"]] == [one["message"] for one in events["events"]]


def test_a_group_or_stream_that_is_not_there_is_told(logs: Any) -> None:
    with pytest.raises(ClientError) as refused:
        logs.get_log_events(logGroupName="/none", logStreamName="s")
    assert refused.value.response["Error"]["Code"] == "ResourceNotFoundException"


@pytest.mark.parametrize(
    ("service", "call"),
    [
        ("logs", lambda client: client.create_log_group(logGroupName="g")),
        ("iam", lambda client: client.list_roles()),
        ("sts", lambda client: client.assume_role(RoleArn="arn:aws:iam::000000000000:role/r", RoleSessionName="ss")),
    ],
)
def test_an_operation_that_is_not_there_is_refused_by_name(
    connect: Callable[..., Any], region: str, service: str, call: Callable[[Any], object]
) -> None:
    client = connect(region, service)
    with pytest.raises(ClientError) as refused:
        call(client)
    answer = refused.value.response
    assert 400 <= answer["ResponseMetadata"]["HTTPStatusCode"] < 500, json.dumps(answer, default=str)
    assert refused.value.operation_name in answer["Error"]["Message"]


def test_every_action_is_allowed_to_every_role(connect: Callable[..., Any], region: str) -> None:
    iam = connect(region, "iam")
    asked = {
        "PolicySourceArn": "arn:aws:iam::000000000000:role/any",
        "ActionNames": ["sagemaker:CreateModel", "s3:GetObject"],
    }
    pages = iam.get_paginator("simulate_principal_policy").paginate(**asked, PaginationConfig={"PageSize": 1})
    results = [result for page in pages for result in page["EvaluationResults"]]
    assert [(one["EvalActionName"], one["EvalResourceName"], one["EvalDecision"]) for one in results] == [
        ("sagemaker:CreateModel", "*", "allowed"),
        ("s3:GetObject", "*", "allowed"),
    ]
    with pytest.raises(ClientError, match="PolicyInputList"):
        iam.simulate_principal_policy(**asked, PolicyInputList=["{}"])
    with pytest.raises(ClientError, match="Marker"):
        iam.simulate_principal_policy(**asked, Marker="elsewhere")
