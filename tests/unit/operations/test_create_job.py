"""What a recommendation job may ask for, and what it becomes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from modeldyno.domain.errors import InvalidRequest, ResourceInUse, UnsupportedRequest
from modeldyno.domain.job import Candidate, CompilationOrder, JobSpec, LatencyThreshold, StoppingRules
from modeldyno.domain.serverless import Serverless
from modeldyno.domain.traffic import Phase, Stairs, Traffic
from modeldyno.operations.context import Context

CREATE = "CreateInferenceRecommendationsJob"
Call = Callable[..., dict[str, Any]]


def spec_of(context: Context, name: str = "job") -> JobSpec:
    return context.store.job(context.region, name).spec


def test_a_default_job_carries_its_model_payload_and_candidate_types(call, context, default_job):
    answer = call(CREATE, **default_job)
    assert answer == {"JobArn": f"arn:aws:sagemaker:{context.region}:000000000000:inference-recommendations-job/job"}
    spec = spec_of(context)
    assert spec.model.model_data_url == "s3://bucket/model.tar.gz"
    assert spec.model.environment == {"A": "1"}
    assert spec.model.framework == "SAGEMAKER-SCIKIT-LEARN"
    assert (spec.payload.url, spec.payload.content_type) == ("s3://bucket/payload.tar.gz", "text/csv")
    assert spec.supported_instance_types == ("ml.c5.large", "ml.m5.large")
    assert (spec.max_tests, spec.max_parallel, spec.duration_seconds, spec.seed) == (None, 1, None, 7)
    assert spec.rules == StoppingRules()


def test_an_advanced_job_carries_its_configurations_traffic_and_limits(call, context, advanced_job):
    advanced_job["InputConfig"] |= {
        "JobDurationInSeconds": 600,
        "ResourceLimit": {"MaxNumberOfTests": 3, "MaxParallelOfTests": 2},
    }
    advanced_job["StoppingConditions"] = {
        "MaxInvocations": 500,
        "ModelLatencyThresholds": [{"Percentile": "P99", "ValueInMilliseconds": 80}],
        "FlatInvocations": "Continue",
    }
    call(CREATE, **advanced_job)
    spec = spec_of(context)
    assert spec.candidates == (
        Candidate("ml.c5.large", {"OMP_NUM_THREADS": ("1", "2")}),
        Candidate("local.2cpu"),
    )
    assert spec.traffic == Traffic(phases=(Phase(1, 2, 120), Phase(5, 0, 120)))
    assert spec.rules == StoppingRules(500, LatencyThreshold(99.0, 80), stop_when_flat=False)
    assert (spec.max_tests, spec.max_parallel, spec.duration_seconds) == (3, 2, 600)


def test_stairs_are_taken_with_their_total_duration(call, context, advanced_job):
    advanced_job["InputConfig"]["TrafficPattern"] = {
        "TrafficType": "STAIRS",
        "Stairs": {"DurationInSeconds": 600, "NumberOfSteps": 5, "UsersPerStep": 2},
    }
    call(CREATE, **advanced_job)
    assert spec_of(context).traffic == Traffic(stairs=Stairs(600, 5, 2))


def test_an_advanced_job_without_configurations_tries_the_supported_types(call, context, advanced_job):
    del advanced_job["InputConfig"]["EndpointConfigurations"]
    call(CREATE, **advanced_job)
    assert spec_of(context).candidates == (Candidate("ml.c5.large"), Candidate("ml.m5.large"))


def test_a_package_tells_everything_that_a_job_needs(call, context, package):
    call(CREATE, JobName="job", JobType="Default", RoleArn=_role(), InputConfig={"ModelPackageVersionArn": package})
    spec = spec_of(context)
    assert spec.model.model_package_arn == package
    assert spec.model.framework_version == "1.2-1"
    assert spec.payload.accept == "application/json"
    assert spec.supported_instance_types == ("ml.c5.large",)


def test_inputs_ask_for_a_compiled_model_wherever_they_are_told(call, context, default_job):
    call(CREATE, **default_job)
    assert spec_of(context).compilation is None
    container = default_job["InputConfig"]["ContainerConfig"]
    call(CREATE, **default_job | {"JobName": "place", "OutputConfig": _output("s3://artifacts")})
    assert spec_of(context, "place").compilation == CompilationOrder(None, "s3://artifacts")
    container["DataInputConfig"] = '{"rows": [1, 4]}'
    call(CREATE, **default_job | {"JobName": "inputs"})
    default_place = f"s3://sagemaker-{context.region}-{context.account}"
    assert spec_of(context, "inputs").compilation == CompilationOrder('{"rows": [1, 4]}', default_place)
    with pytest.raises(InvalidRequest, match=r"S3OutputUri https://a/b is not of the form s3://bucket/prefix"):
        call(CREATE, **default_job | {"JobName": "odd", "OutputConfig": _output("https://a/b")})


def test_the_inputs_of_a_package_hold_unless_the_container_config_tells_others(call, context, container_config):
    container = {
        "Image": "sagemaker-scikit-learn:1.2-1",
        "ModelDataUrl": "s3://bucket/model.tar.gz",
        "ModelInput": {"DataInputConfig": "[[1, 4]]"},
    }
    specification = {"Containers": [container], "SupportedContentTypes": ["text/csv"]}
    arn = call("CreateModelPackage", ModelPackageName="inputs", InferenceSpecification=specification)["ModelPackageArn"]
    config = {"ModelPackageVersionArn": arn, "ContainerConfig": container_config}
    call(CREATE, JobName="job", JobType="Default", RoleArn=_role(), InputConfig=config)
    assert spec_of(context).compilation.data_input_config == "[[1, 4]]"
    container_config["DataInputConfig"] = '{"rows": [1, 5]}'
    call(CREATE, JobName="other", JobType="Default", RoleArn=_role(), InputConfig=config)
    assert spec_of(context, "other").compilation.data_input_config == '{"rows": [1, 5]}'


def test_a_burstable_type_is_left_to_its_trial(call, context, advanced_job):
    advanced_job["InputConfig"]["EndpointConfigurations"] = [{"InstanceType": "ml.t2.medium"}]
    call(CREATE, **advanced_job)
    assert spec_of(context).candidates == (Candidate("ml.t2.medium"),)


def test_container_config_overrides_the_package(call, context, package, container_config):
    container_config["SupportedInstanceTypes"] = ["ml.m5.large"]
    config = {"ModelPackageVersionArn": package, "ContainerConfig": container_config}
    call(CREATE, JobName="job", JobType="Default", RoleArn=_role(), InputConfig=config)
    assert spec_of(context).supported_instance_types == ("ml.m5.large",)


def test_account_numbers_of_callers_are_not_checked(call, context, package):
    foreign = package.replace("000000000000", "999999999999")
    call(CREATE, JobName="job", JobType="Default", RoleArn=_role(), InputConfig={"ModelPackageVersionArn": foreign})
    listed = call("ListInferenceRecommendationsJobs", ModelPackageVersionArnEquals=package)
    assert [job["JobName"] for job in listed["InferenceRecommendationsJobs"]] == ["job"]


def test_a_package_of_another_region_is_refused(call, context, package):
    foreign = package.replace(context.region, "us-east-1")
    with pytest.raises(InvalidRequest, match=f"ARN should be scoped to correct region: {context.region}"):
        call(CREATE, JobName="job", JobType="Default", RoleArn=_role(), InputConfig={"ModelPackageVersionArn": foreign})


def test_what_changes_nothing_is_said_in_the_log(call, context, default_job, package):
    default_job["InputConfig"]["ContainerConfig"]["NearestModelName"] = "xgboost"
    call(CREATE, **default_job)
    config = {"ModelPackageVersionArn": package}
    call(CREATE, JobName="packaged", JobType="Default", RoleArn=_role(), InputConfig=config)
    for name in ("job", "packaged"):
        (line,) = context.store.log_lines(context.store.job(context.region, name).id)
        assert "NearestModelName" in line.message
        assert "every candidate is measured" in line.message


def test_a_name_is_taken_once_in_a_region(call, default_job):
    call(CREATE, **default_job)
    with pytest.raises(ResourceInUse, match="job already exists"):
        call(CREATE, **default_job)


def test_the_model_may_change_after_the_job_was_created(call, context, default_job):
    call(CREATE, **default_job)
    call("DeleteModel", ModelName="iris")
    assert spec_of(context).model.model_data_url == "s3://bucket/model.tar.gz"


def test_an_own_server_is_known_by_its_image(call, context, default_job):
    call("CreateModel", ModelName="own", PrimaryContainer={"Image": "acme/server:1"})
    default_job["InputConfig"]["ModelName"] = "own"
    call(CREATE, **default_job)
    assert spec_of(context).model.model_data_url is None


def _output(url: str) -> dict[str, Any]:
    return {"CompiledOutputConfig": {"S3OutputUri": url}}


def _role() -> str:
    return "arn:aws:iam::123456789012:role/dyno"


def change(path: str, value: Any) -> Callable[[Any], None]:
    def apply(request: Any) -> None:
        *outer, last = [int(member) if member.isdigit() else member for member in path.split(".")]
        for member in outer:
            request = request[member]
        if value is None:
            del request[last]
        else:
            request[last] = value

    return apply


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            change("InputConfig.ModelPackageVersionArn", "arn:aws:sagemaker:us-east-1:123456789012:model-package/g/1"),
            r"Provide only one of model package ARN or model name, not both\.",
        ),
        (change("InputConfig.ModelName", None), "Provide either a model package ARN or a model name"),
        (change("InputConfig.ModelName", "nobody"), 'Could not find model "arn:aws:sagemaker:.*:model/nobody"'),
        (change("InputConfig.ContainerConfig.Domain", None), "Specify `Domain` in the ContainerConfig. `Domain` is a"),
        (change("InputConfig.ContainerConfig.Task", None), "Specify `Task`"),
        (change("InputConfig.ContainerConfig.Framework", None), "Specify `Framework`"),
        (change("InputConfig.ContainerConfig.PayloadConfig", {}), "`SamplePayloadUrl`.*`SupportedContentTypes`"),
        (
            change("InputConfig.ContainerConfig.PayloadConfig.SupportedContentTypes", ["text/csv", "application/json"]),
            "one content type, and text/csv, application/json are given",
        ),
        (change("InputConfig.ContainerConfig.SupportedInstanceTypes", ["ml.c9.mega"]), "ml.c9.mega is not known"),
        (change("InputConfig.TrafficPattern", None), "Specify `TrafficPattern`"),
        (change("InputConfig.TrafficPattern.TrafficType", "STAIRS"), "Specify `Stairs`"),
        (change("InputConfig.TrafficPattern.Phases.0.InitialNumberOfUsers", None), "`InitialNumberOfUsers` in phase 1"),
        (change("InputConfig.EndpointConfigurations.1", {}), "Specify `InstanceType` in EndpointConfiguration 2"),
        (
            change("InputConfig.JobDurationInSeconds", 200),
            r"Total Traffic duration \(across\) should not be more than Job duration\.",
        ),
        (
            change("InputConfig.TrafficPattern.Phases.0.InitialNumberOfUsers", 2**31 - 1),
            r"rises to 21474\d+ users; Dyno simulates 10000 at most",
        ),
        (
            change(
                "InputConfig.TrafficPattern",
                {
                    "TrafficType": "STAIRS",
                    "Stairs": {"DurationInSeconds": 60, "NumberOfSteps": 2**31 - 1, "UsersPerStep": 3},
                },
            ),
            "rises to 6442450941 users",
        ),
        (change("StoppingConditions", {"MaxInvocations": 0}), "MaxInvocations is 0"),
        (
            change("StoppingConditions", {"ModelLatencyThresholds": [{"Percentile": "95", "ValueInMilliseconds": 5}]}),
            "Percentile '95'",
        ),
        (
            change("StoppingConditions", {"ModelLatencyThresholds": [{"Percentile": "P95"}]}),
            "ValueInMilliseconds None",
        ),
        (
            change(
                "InputConfig.EndpointConfigurations.0.EnvironmentParameterRanges.CategoricalParameterRanges",
                [{"Name": "A=B", "Value": ["1"]}],
            ),
            "'A=B' of EndpointConfiguration 1 cannot be a variable's name",
        ),
    ],
)
def test_a_request_that_breaks_a_rule_is_refused_with_it(call, advanced_job, changed, message):
    changed(advanced_job)
    with pytest.raises(InvalidRequest, match=message):
        call(CREATE, **advanced_job)


def test_all_that_is_wrong_is_told_together(call, advanced_job):
    for changed in (
        change("InputConfig.ContainerConfig.Domain", None),
        change("InputConfig.TrafficPattern.Phases.1.DurationInSeconds", None),
        change("StoppingConditions", {"MaxInvocations": -1}),
    ):
        changed(advanced_job)
    with pytest.raises(InvalidRequest) as refusal:
        call(CREATE, **advanced_job)
    assert len(refusal.value.violations) == 3


@pytest.mark.parametrize("member", ["EndpointConfigurations", "TrafficPattern"])
def test_a_default_job_chooses_its_own_configurations_and_traffic(call, advanced_job, member):
    advanced_job["JobType"] = "Default"
    with pytest.raises(InvalidRequest, match=f"{member} is only for Advanced jobs"):
        call(CREATE, **advanced_job)


def test_a_package_without_its_metadata_is_refused_by_its_version(call, package_request):
    del package_request["Domain"]
    call("CreateModelPackageGroup", ModelPackageGroupName="g")
    arn = call("CreateModelPackage", ModelPackageGroupName="g", **package_request)["ModelPackageArn"]
    with pytest.raises(InvalidRequest) as refusal:
        call(CREATE, JobName="job", JobType="Default", RoleArn=_role(), InputConfig={"ModelPackageVersionArn": arn})
    assert str(refusal.value) == (
        "Specify `Domain` in the Model Package version 1. `Domain` is a mandatory parameter for the job."
    )


def test_an_image_that_cannot_run_is_refused_at_once(call, default_job):
    call("CreateModel", ModelName="odd", PrimaryContainer={"Image": "nobody/knows:1"})
    default_job["InputConfig"]["ModelName"] = "odd"
    with pytest.raises(InvalidRequest, match="nobody/knows:1"):
        call(CREATE, **default_job)


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        (change("InputConfig.VpcConfig", {"SecurityGroupIds": ["sg-1"], "Subnets": ["s-1"]}), "InputConfig.VpcConfig"),
        (change("InputConfig.VolumeKmsKeyId", "key"), "InputConfig.VolumeKmsKeyId"),
        (change("OutputConfig", {"KmsKeyId": "key"}), "OutputConfig.KmsKeyId"),
        (
            change(
                "InputConfig.EndpointConfigurations.0",
                {"ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 1, "ProvisionedConcurrency": 1}},
            ),
            r"InputConfig.EndpointConfigurations\[\].ServerlessConfig.ProvisionedConcurrency",
        ),
        (
            change("InputConfig.ContainerConfig.PayloadConfig.SamplePayloadUrl", "https://bucket/key"),
            "https://bucket/key",
        ),
    ],
)
def test_what_is_not_supported_is_refused_by_name(call, advanced_job, changed, path):
    changed(advanced_job)
    with pytest.raises(UnsupportedRequest, match=f"{path} is not supported"):
        call(CREATE, **advanced_job)


@pytest.mark.parametrize("kind", ["RealTime", "Serverless"])
def test_an_endpoint_type_that_is_measured_may_be_named(call, default_job, kind):
    default_job["InputConfig"]["ContainerConfig"]["SupportedEndpointType"] = kind
    call(CREATE, **default_job)


@pytest.mark.parametrize(
    ("configuration", "words"),
    [
        ({}, "Specify `InstanceType` in EndpointConfiguration 1, or ServerlessConfig"),
        (
            {"InstanceType": "ml.c5.large", "ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 1}},
            "one of them, not both",
        ),
        (
            {"ServerlessConfig": {"MemorySizeInMB": 1500, "MaxConcurrency": 1}},
            "MemorySizeInMB 1500 of EndpointConfiguration 1 is not allowed: it must be one of 1024, 2048",
        ),
    ],
)
def test_an_endpoint_configuration_is_of_an_instance_type_or_serverless(call, advanced_job, configuration, words):
    advanced_job["InputConfig"]["EndpointConfigurations"] = [configuration]
    with pytest.raises(InvalidRequest, match=words):
        call(CREATE, **advanced_job)


def test_a_serverless_configuration_is_a_candidate_with_its_concurrency(call, context, advanced_job):
    asked = {"ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 3}}
    advanced_job["InputConfig"]["EndpointConfigurations"] = [asked]
    call(CREATE, **advanced_job)
    (candidate,) = spec_of(context, advanced_job["JobName"]).candidates
    assert candidate.serverless == Serverless(2048, 3)
    assert candidate.instance_type == "serverless 2048 MB"


@pytest.mark.parametrize(
    ("changed", "violation"),
    [
        (
            change("InputConfig.TrafficPattern.Phases.1.DurationInSeconds", 60),
            "at 'inputConfig.trafficPattern.phases.2.member.durationInSeconds' failed to satisfy",
        ),
        (
            change("InputConfig.TrafficPattern.Phases.0.InitialNumberOfUsers", 4),
            "failed to satisfy constraint: Member must have value less than or equal to 3",
        ),
        (
            change("InputConfig.ContainerConfig.Task", "GUESSING"),
            "Value 'GUESSING' at 'inputConfig.containerConfig.task' failed to satisfy constraint: Member must",
        ),
    ],
)
def test_documented_limits_hold_only_when_they_are_asked_for(call, advanced_job, changed, violation):
    advanced_job["InputConfig"]["TrafficPattern"]["Phases"][1]["InitialNumberOfUsers"] = 3
    changed(advanced_job)
    with pytest.raises(InvalidRequest) as refusal:
        call(CREATE, strict=True, **advanced_job)
    assert violation in str(refusal.value)
    assert str(refusal.value).startswith("1 validation error detected: ")
    call(CREATE, **advanced_job)


def test_documented_limits_hold_jumps_between_phases(call, advanced_job):
    advanced_job["InputConfig"]["TrafficPattern"]["Phases"] = [
        {"InitialNumberOfUsers": 1, "SpawnRate": 3, "DurationInSeconds": 180},
        {"InitialNumberOfUsers": 1, "SpawnRate": 0, "DurationInSeconds": 120},
    ]
    message = r"Users at the end of prev phase is 10 while initial users of current phase is 1\."
    with pytest.raises(InvalidRequest, match=message):
        call(CREATE, strict=True, **advanced_job)
    call(CREATE, **advanced_job)
