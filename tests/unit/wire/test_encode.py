from __future__ import annotations

import json
import math

import pytest

from modeldyno.domain.errors import UnknownOperation
from modeldyno.domain.trial import TrialStatus
from modeldyno.wire.encode import ResultError, encode_output

JOB = {
    "JobName": "job",
    "JobType": "Default",
    "JobArn": "arn:aws:sagemaker:us-east-1:000000000000:inference-recommendations-job/job",
    "RoleArn": "arn:aws:iam::000000000000:role/dyno",
    "Status": "IN_PROGRESS",
    "CreationTime": 1700000000.1239,
    "LastModifiedTime": 1700000000,
    "InputConfig": {"ModelName": "model"},
}


def described(**members):
    return json.loads(encode_output("DescribeInferenceRecommendationsJob", JOB | members))


def recommended(**metrics):
    configuration = {"EndpointName": "e", "VariantName": "v"}
    recommendation = {"EndpointConfiguration": configuration, "ModelConfiguration": {}, "Metrics": metrics}
    return described(InferenceRecommendations=[recommendation])["InferenceRecommendations"][0]["Metrics"]


def test_members_without_a_value_are_left_out():
    assert "FailureReason" not in described(FailureReason=None)
    assert described(StoppingConditions={"MaxInvocations": None})["StoppingConditions"] == {}


def test_times_are_seconds_since_the_epoch_with_milliseconds():
    job = described()
    assert (job["CreationTime"], job["LastModifiedTime"]) == (1700000000.124, 1700000000)


def test_a_cost_is_a_single_float_widened_as_aws_sends_it():
    metrics = recommended(CostPerHour=0.204, CostPerInference=5.2469e-06, CpuUtilization=100)
    assert metrics["CostPerHour"] == 0.20399999618530273
    assert metrics["CostPerInference"] == pytest.approx(5.2469e-06, rel=1e-7)
    assert metrics["CostPerInference"] != 5.2469e-06
    assert metrics["CpuUtilization"] == 100.0


def test_an_enum_is_its_word():
    assert described(Status=TrialStatus.STOPPED)["Status"] == "STOPPED"


def test_an_operation_without_output_has_an_empty_body():
    assert encode_output("StopInferenceRecommendationsJob", None) == b""
    assert encode_output("StopInferenceRecommendationsJob", {}) == b""
    assert encode_output("DeleteTags", None) == b"{}"
    with pytest.raises(ResultError, match="no output"):
        encode_output("StopInferenceRecommendationsJob", {"JobName": "job"})


@pytest.mark.parametrize(
    "members",
    [
        {"JobNam": "job"},
        {"JobName": 3},
        {"JobName": None},
        {"CreationTime": "today"},
        {"CreationTime": True},
        {"CreationTime": math.nan},
        {"InputConfig": []},
        {"InputConfig": {"JobDurationInSeconds": 1.0}},
        {"InputConfig": {"JobDurationInSeconds": True}},
        {"InputConfig": {"ModelName": "m", "Tags": []}},
        {"InferenceRecommendations": {}},
        {"InferenceRecommendations": [None]},
        {"InferenceRecommendations": "none"},
    ],
)
def test_a_result_that_the_model_does_not_allow_is_a_mistake_of_ours(members):
    with pytest.raises(ResultError):
        described(**members)


@pytest.mark.parametrize("cost", [1e39, math.inf, math.nan, "0.2", True])
def test_a_number_that_no_single_float_holds_is_refused(cost):
    with pytest.raises(ResultError):
        recommended(CostPerHour=cost, CostPerInference=0.0, MaxInvocations=1, ModelLatency=1)


def test_maps_booleans_and_unions_are_held_to_their_types():
    model = {"ModelName": "m", "ModelArn": "arn", "CreationTime": 0, "ExecutionRoleArn": "role"}
    assert json.loads(encode_output("DescribeModel", model | {"EnableNetworkIsolation": False}))
    for wrong in (
        {"EnableNetworkIsolation": 0},
        {"PrimaryContainer": {"Environment": {"A": 1}}},
        {"PrimaryContainer": {"Environment": {1: "A"}}},
        {"PrimaryContainer": {"Environment": []}},
    ):
        with pytest.raises(ResultError):
            encode_output("DescribeModel", model | wrong)
    scaling = {"DynamicScalingConfiguration": {"ScalingPolicies": [{}]}}
    with pytest.raises(ResultError, match="ScalingPolicy is a union"):
        encode_output("GetScalingConfigurationRecommendation", scaling)


def test_an_operation_that_sagemaker_does_not_have_is_refused_by_name():
    with pytest.raises(UnknownOperation, match="'Nonsense'"):
        encode_output("Nonsense", {})
