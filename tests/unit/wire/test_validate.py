from __future__ import annotations

import pytest

from modeldyno.domain.errors import InvalidRequest, UnknownOperation
from modeldyno.wire import validate
from modeldyno.wire.service import service
from modeldyno.wire.validate import validate_input

JOB = {
    "JobName": "job",
    "JobType": "Default",
    "RoleArn": "arn:aws:iam::000000000000:role/dyno",
    "InputConfig": {"ModelName": "model"},
}


def violations(operation, params, **extra):
    with pytest.raises(InvalidRequest) as refused:
        validate_input(operation, params, **extra)
    return refused.value


def failed(value, path, rule):
    return f"Value {value} at '{path}' failed to satisfy constraint: Member must {rule}"


def job_violations(**members):
    return violations("CreateInferenceRecommendationsJob", JOB | members).violations


def test_all_violations_come_together_in_aws_s_wording():
    refused = violations(
        "CreateInferenceRecommendationsJob",
        {
            "JobName": "a b",
            "JobType": "DEFAULT",
            "RoleArn": "x",
            "InputConfig": {
                "JobDurationInSeconds": 0,
                "TrafficPattern": {"Phases": [{"InitialNumberOfUsers": 1}, {"InitialNumberOfUsers": 0}]},
                "ResourceLimit": {"MaxNumberOfTests": 1},
            },
            "StoppingConditions": {"ModelLatencyThresholds": []},
            "Tags": [{"Key": "k", "Value": "v" * 257}],
        },
    )
    assert refused.violations == (
        failed("'a b'", "jobName", "satisfy regular expression pattern: [a-zA-Z0-9](-*[a-zA-Z0-9]){0,63}"),
        failed("'DEFAULT'", "jobType", "satisfy enum value set: [Default, Advanced]"),
        failed("'x'", "roleArn", "have length greater than or equal to 20"),
        failed("'x'", "roleArn", f"satisfy regular expression pattern: {service().shapes['RoleArn'].pattern}"),
        failed("'0'", "inputConfig.jobDurationInSeconds", "have value greater than or equal to 1"),
        failed(
            "'0'",
            "inputConfig.trafficPattern.phases.2.member.initialNumberOfUsers",
            "have value greater than or equal to 1",
        ),
        failed("'[]'", "stoppingConditions.modelLatencyThresholds", "have length greater than or equal to 1"),
        failed(f"'{'v' * 255}…'", "tags.1.member.value", "have length less than or equal to 256"),
    )
    assert refused.violations[4] == (
        "Value '0' at 'inputConfig.jobDurationInSeconds' failed to satisfy constraint: "
        "Member must have value greater than or equal to 1"
    )
    assert str(refused).startswith("8 validation errors detected: Value 'a b' at 'jobName' failed")


def test_a_missing_member_is_a_null_that_must_not_be():
    refused = violations("CreateInferenceRecommendationsJob", {"JobName": "a", "Tags": [{"Key": "k"}]})
    assert refused.violations == tuple(
        f"Value null at '{path}' failed to satisfy constraint: Member must not be null"
        for path in ("jobType", "roleArn", "inputConfig", "tags.1.member.value")
    )
    assert str(violations("DescribeModel", {})) == (
        "1 validation error detected: Value null at 'modelName' failed to satisfy constraint: Member must not be null"
    )


def test_sizes_of_lists_and_maps_have_limits():
    (many,) = job_violations(Tags=[{"Key": str(n), "Value": ""} for n in range(51)])
    assert many.endswith("…' at 'tags' failed to satisfy constraint: Member must have length less than or equal to 50")
    assert len(many) < 400
    (many,) = violations(
        "CreateModel", {"ModelName": "m", "PrimaryContainer": {"Environment": {f"A{n}": "" for n in range(101)}}}
    ).violations
    assert many.endswith(
        "at 'primaryContainer.environment' failed to satisfy constraint: "
        "Member must have length less than or equal to 100"
    )


def test_map_keys_and_values_are_named_by_their_key():
    refused = violations(
        "CreateModel", {"ModelName": "m", "PrimaryContainer": {"Environment": {"a b": "", "OK": "x" * 1025}}}
    )
    environment = "primaryContainer.environment"
    assert refused.violations == (
        failed("'a b'", f"{environment}.a b.key", "satisfy regular expression pattern: [a-zA-Z_][a-zA-Z0-9_]*"),
        failed(f"'{'x' * 255}…'", f"{environment}.OK.member", "have length less than or equal to 1024"),
    )


def test_maxima_of_numbers_hold():
    assert violations("ListModels", {"MaxResults": 101}).violations == (
        "Value '101' at 'maxResults' failed to satisfy constraint: Member must have value less than or equal to 100",
    )


@pytest.mark.parametrize(
    ("params", "text"),
    [
        (JOB | {"Jobname": 1}, "Unknown member 'Jobname' at the top level of the request; did you mean 'JobName'?"),
        (JOB | {"Xyzzy": {"a": [None]}}, "Unknown member 'Xyzzy' at the top level of the request"),
        (
            JOB | {"InputConfig": {"ModelName": "m", "Endpoint": []}},
            "Unknown member 'Endpoint' at 'inputConfig'; did you mean 'Endpoints'?",
        ),
        (
            JOB | {"Tags": [{"Key": "a", "Value": "b", "key": "c"}]},
            "Unknown member 'key' at 'tags.1.member'; did you mean 'Key'?",
        ),
        (JOB | {"z" * 10_000: 1}, f"Unknown member '{'z' * 255}…' at the top level of the request"),
    ],
)
def test_an_unknown_member_is_refused_by_name(params, text):
    assert violations("CreateInferenceRecommendationsJob", params).violations == (text,)


def test_of_a_union_exactly_one_member_is_set():
    group = {
        "InstanceCount": 1,
        "InstanceGroupName": "g",
        "InstanceType": "ml.c5.large",
        "ExecutionRole": JOB["RoleArn"],
        "InstanceStorageConfigs": [{}, {"EbsVolumeConfig": {"VolumeSizeInGB": 5}}],
    }
    (refused,) = violations("CreateCluster", {"ClusterName": "c", "InstanceGroups": [group]}).violations
    assert refused == (
        "Value '{}' at 'instanceGroups.1.member.instanceStorageConfigs.1.member' failed to satisfy constraint: "
        "Exactly one of the members [EbsVolumeConfig, FsxLustreConfig, FsxOpenZfsConfig] must be set"
    )


def test_own_instance_types_pass_where_they_are_told_and_are_listed_where_others_fail():
    own = {"ProductionVariantInstanceType": {"local.2cpu": 1}}

    def job(name):
        return JOB | {"InputConfig": {"ModelName": "m", "EndpointConfigurations": [{"InstanceType": name}]}}

    validate_input("CreateInferenceRecommendationsJob", job("ml.c5.xlarge"))
    validate_input("CreateInferenceRecommendationsJob", job("local.2cpu"), extra_enum_values=own)
    (refused,) = violations("CreateInferenceRecommendationsJob", job("local.2cpu")).violations
    assert refused.startswith("Value 'local.2cpu' at 'inputConfig.endpointConfigurations.1.member.instanceType' failed")
    (refused,) = violations("CreateInferenceRecommendationsJob", job("x"), extra_enum_values=own).violations
    assert refused.endswith(", local.2cpu]")
    assert "[ml." in refused


def test_a_pattern_that_runs_away_ends_as_a_violation():
    pattern = service().shapes["ComputeQuotaTargetTeamName"].pattern
    name = "a" * 4000 + "!"
    assert failed(
        f"'{'a' * 255}…'", "computeQuotaTarget.teamName", f"satisfy regular expression pattern: {pattern}"
    ) in (violations("CreateComputeQuota", {"ComputeQuotaTarget": {"TeamName": name}}).violations)


def test_very_many_violations_are_cut_off():
    refused = violations("CreateInferenceRecommendationsJob", JOB | {"Tags": [{}] * 100_000})
    assert len(refused.violations) == validate.VIOLATIONS


def test_an_operation_that_sagemaker_does_not_have_is_refused_by_name():
    with pytest.raises(UnknownOperation, match="'Nonsense'"):
        validate_input("Nonsense", {})
