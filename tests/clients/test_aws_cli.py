"""The AWS CLI, as its users type it: shorthand, JSON, files, queries, formats and pages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import ROLE, Client
from tests.e2e.hosting import Hosting, model_variant, shadow_config
from tests.e2e.service import tar_gz
from tests.requests import a_package

pytestmark = [pytest.mark.client("aws-cli"), pytest.mark.timeout(240)]


class Aws:
    """`aws` of a shell."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.place = client.place

    def text(self, *words: str) -> str:
        done = self._client("aws", *words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def __call__(self, *words: str) -> Any:
        return json.loads(self.text(*words) or "null")

    def refused(self, *words: str) -> str:
        done = self._client("aws", *words)
        assert done.returncode in (1, 254, 255), done.stdout
        return done.stderr

    def file(self, name: str, content: Any) -> str:
        path = self.place / name
        path.write_text(json.dumps(content))
        return f"file://{path}"


@pytest.fixture(scope="module")
def aws(client_of: Callable[[str], Client]) -> Aws:
    return Aws(client_of("aws-cli"))


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
    assert aws("sagemaker", "list-models")["Models"] == []


def test_who_one_is(aws: Aws, service: Hosting) -> None:
    identity = aws("sts", "get-caller-identity")
    assert identity["Arn"] == f"arn:aws:sts::000000000000:assumed-role/dyno/{service.credentials[0]}"
    assert aws("iam", "get-role", "--role-name", "dyno", "--query", "Role.Arn") == ROLE
    allowed = aws(
        "iam", "simulate-principal-policy", "--policy-source-arn", ROLE, "--action-names", "sagemaker:CreateModel"
    )
    assert allowed["EvaluationResults"][0]["EvalDecision"] == "allowed"


def test_objects_go_up_and_down_and_away(aws: Aws) -> None:
    assert aws.text("s3", "mb", "s3://cli") == "make_bucket: cli\n"
    (aws.place / "up").mkdir()
    (aws.place / "up" / "small.txt").write_text("small")
    (aws.place / "up" / "large.bin").write_bytes(bytes(range(256)) * 40_000)  # over the 8 MB where parts begin
    aws.text("s3", "cp", "--recursive", "up", "s3://cli/folder")
    assert [line.split()[2:] for line in aws.text("s3", "ls", "s3://cli/folder/").splitlines()] == [
        ["10240000", "large.bin"],
        ["5", "small.txt"],
    ]
    aws.text("s3", "sync", "s3://cli/folder", "down")
    assert (aws.place / "down" / "large.bin").read_bytes() == (aws.place / "up" / "large.bin").read_bytes()
    assert aws.text("s3", "sync", "s3://cli/folder", "down") == ""
    aws.text("s3", "mv", "s3://cli/folder/small.txt", "s3://cli/moved.txt")
    assert aws.text("s3", "cp", "s3://cli/moved.txt", "-") == "small"
    listed = aws("s3api", "list-objects-v2", "--bucket", "cli", "--page-size", "1", "--query", "Contents[].Key")
    assert listed == ["folder/large.bin", "moved.txt"]
    aws.text("configure", "set", "default.s3.signature_version", "s3v4")  # else presigned URLs are of version 2
    with urllib.request.urlopen(aws.text("s3", "presign", "s3://cli/moved.txt").strip()) as answer:
        assert answer.read() == b"small"
    aws.text("s3", "rb", "--force", "s3://cli")
    assert "NoSuchBucket" in aws.refused("s3", "ls", "s3://cli")


def test_models_are_described_and_tagged(aws: Aws, models: tuple[str, str]) -> None:
    described = aws("sagemaker", "describe-model", "--model-name", "a")
    assert described["PrimaryContainer"]["Environment"] == {"A": "1", "B": "two"}
    assert aws("sagemaker", "describe-model", "--model-name", "b")["Containers"][0]["ContainerHostname"] == "only"
    arn = described["ModelArn"]
    aws("sagemaker", "add-tags", "--resource-arn", arn, "--tags", '[{"Key": "more", "Value": "c d"}]')
    aws("sagemaker", "delete-tags", "--resource-arn", arn, "--tag-keys", "team")
    tags = aws.text("sagemaker", "list-tags", "--resource-arn", arn, "--output", "text")
    assert sorted(tags.splitlines()) == ["TAGS\tmore\tc d", "TAGS\tstage\ttest"]


def test_errors_have_the_codes_that_scripts_look_for(aws: Aws, models: tuple[str, str]) -> None:
    again = aws.refused("sagemaker", "create-model", "--model-name", "a", "--execution-role-arn", ROLE,
                        "--primary-container", "Image=a")  # fmt: skip
    assert "(ValidationException)" in again
    assert "Cannot create already existing model" in again
    missing = aws.refused("sagemaker", "describe-inference-recommendations-job", "--job-name", "none")
    assert "(ResourceNotFound) when calling the DescribeInferenceRecommendationsJob operation" in missing
    unknown = aws.refused("sagemaker", "list-clusters")
    assert "does not implement ListClusters" in unknown
    typed = aws.refused("sagemaker", "list-models", "--sort-by", "Colour")
    assert "Colour" in typed


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
    group = aws("sagemaker", "describe-model-package-group", "--model-package-group-name", "cli")
    assert group["ModelPackageGroupStatus"] == "Completed"
    aws("sagemaker", "delete-model-package", "--model-package-name", arn)
    aws("sagemaker", "delete-model-package-group", "--model-package-group-name", "cli")


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


def test_a_job_from_its_request_to_its_result_in_every_format(aws: Aws, service: Hosting) -> None:
    archive = aws.place / "payload.tar.gz"
    archive.write_bytes(tar_gz({"a.csv": b"1,2\n"}))
    aws.text("s3", "mb", "s3://jobs")
    aws.text("s3", "cp", str(archive), "s3://jobs/payload.tar.gz")
    aws("sagemaker", "create-model", "--model-name", "m", "--execution-role-arn", ROLE,
        "--primary-container", "Image=truth:20ms")  # fmt: skip
    config = {
        "Domain": "MACHINE_LEARNING",
        "Task": "OTHER",
        "Framework": "SAGEMAKER-SCIKIT-LEARN",
        "PayloadConfig": {"SamplePayloadUrl": "s3://jobs/payload.tar.gz", "SupportedContentTypes": ["text/csv"]},
    }
    arn = aws(
        "sagemaker", "create-inference-recommendations-job", "--job-name", "j", "--job-type", "Advanced",
        "--role-arn", ROLE, "--job-description", "two users", "--output-config", "{}",
        "--stopping-conditions",
        "MaxInvocations=100000,ModelLatencyThresholds=[{Percentile=P95,ValueInMilliseconds=5000}]",
        "--tags", "Key=team,Value=a",
        "--input-config", json.dumps({
            "ModelName": "m",
            "ContainerConfig": config,
            "EndpointConfigurations": [{"InstanceType": "local.half"}],
            "TrafficPattern": {
                "TrafficType": "PHASES",
                "Phases": [{"InitialNumberOfUsers": 2, "SpawnRate": 0, "DurationInSeconds": 3}],
            },
            "ResourceLimit": {"MaxNumberOfTests": 1, "MaxParallelOfTests": 1},
        }),
        "--query", "JobArn",
    )  # fmt: skip
    assert arn == "arn:aws:sagemaker:us-east-1:000000000000:inference-recommendations-job/j"
    assert service.ended("j", 200)["Status"] == "COMPLETED"
    described = aws("sagemaker", "describe-inference-recommendations-job", "--job-name", "j")
    # Those of the reference page (docs.aws.amazon.com/cli/latest/reference/sagemaker) that one can have that succeeded.
    assert set(described) == {"JobName", "JobDescription", "JobType", "JobArn", "RoleArn", "Status", "CreationTime",
                              "CompletionTime", "LastModifiedTime", "InputConfig", "StoppingConditions",
                              "InferenceRecommendations"}  # fmt: skip
    (best,) = described["InferenceRecommendations"]
    assert best["Metrics"]["MaxInvocations"] > 0
    assert best["EndpointConfiguration"]["InstanceType"] == "local.half"
    describing = ("sagemaker", "describe-inference-recommendations-job", "--job-name", "j")
    row = "InferenceRecommendations[].[EndpointConfiguration.InstanceType,Metrics.MaxInvocations]"
    text = aws.text(*describing, "--query", row, "--output", "text")
    assert text.split() == ["local.half", str(best["Metrics"]["MaxInvocations"])]
    table = aws.text(*describing, "--output", "table")
    assert "DescribeInferenceRecommendationsJob" in table
    assert str(best["Metrics"]["ModelLatency"]) in table
    steps = aws("sagemaker", "list-inference-recommendations-job-steps", "--job-name", "j", "--status", "COMPLETED")
    assert steps["Steps"][0]["InferenceBenchmark"]["Metrics"] == best["Metrics"]
    jobs = aws("sagemaker", "list-inference-recommendations-jobs", "--model-name-equals", "m", "--max-items", "1")
    assert jobs["InferenceRecommendationsJobs"][0]["JobDescription"] == "two users"
    ended = aws.refused("sagemaker", "stop-inference-recommendations-job", "--job-name", "j")
    assert "status COMPLETED" in ended
    told = aws("logs", "get-log-events", "--log-group-name", "/aws/sagemaker/InferenceRecommendationsJobs",
               "--log-stream-name", "j/execution", "--query", "events[-1].message")  # fmt: skip
    assert told == "COMPLETED."
    tags = aws.text("sagemaker", "list-tags", "--resource-arn", arn, "--output", "text")
    assert tags.split() == ["TAGS", "team", "a"]
    aws("sagemaker", "delete-model", "--model-name", "m")


def test_the_skeleton_of_a_request_is_filled_in_and_sent(aws: Aws) -> None:
    skeleton = aws("sagemaker", "create-model-package-group", "--generate-cli-skeleton", "input")
    assert set(skeleton) >= {"ModelPackageGroupName", "ModelPackageGroupDescription"}
    filled = {"ModelPackageGroupName": "filled", "ModelPackageGroupDescription": "from its skeleton"}
    aws("sagemaker", "create-model-package-group", "--cli-input-json", json.dumps(filled))
    described = aws("sagemaker", "describe-model-package-group", "--model-package-group-name", "filled")
    assert described["ModelPackageGroupDescription"] == "from its skeleton"
    aws("sagemaker", "delete-model-package-group", "--model-package-group-name", "filled")


@pytest.fixture
def dyno_aws(service: Hosting, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`dyno aws` of a shell in which nothing is set, or something wrong."""

    def run(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-P", "-m", "modeldyno", "aws", *words]
        given = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **variables}
        return subprocess.run(command, env=given, capture_output=True, text=True, check=False)

    return run


def test_dyno_aws_finds_the_service_and_a_key(
    dyno_aws: Callable[..., subprocess.CompletedProcess[str]], service: Hosting
) -> None:
    where = ("--data-dir", str(service.data))
    wrong = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "x", "AWS_ENDPOINT_URL_STS": "http://127.0.0.1:1"}
    shown = dyno_aws(*where, "sts", "get-caller-identity", "--query", "Arn", "--output", "text", **wrong)
    assert shown.stdout == f"arn:aws:sts::000000000000:assumed-role/dyno/{service.credentials[0]}\n", shown.stderr
    first = dyno_aws(*where, "--output", "text", "--region", "eu-west-1", "iam", "get-role", "--role-name", "r")
    assert first.stdout.startswith("ROLE\tarn:aws:iam::000000000000:role/r"), first.stderr


def test_dyno_aws_ends_as_the_aws_cli_does(
    dyno_aws: Callable[..., subprocess.CompletedProcess[str]], service: Hosting, aws: Aws
) -> None:
    words = ("sagemaker", "describe-model", "--model-name", "nobody")
    shown = dyno_aws("--data-dir", str(service.data), *words)
    assert (shown.returncode, shown.stderr) == (255, aws.refused(*words))
    elsewhere = dyno_aws("--data-dir", str(service.data), "--port", "1", *words)
    assert elsewhere.returncode == 255
    assert "http://127.0.0.1:1/" in elsewhere.stderr
