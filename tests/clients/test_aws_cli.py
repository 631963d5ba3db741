"""The AWS CLI, as its users type it, from an upload to the result of a job; and `dyno aws`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients.conftest import ROLE, Aws
from tests.e2e.hosting import Hosting
from tests.e2e.service import tar_gz

pytestmark = [pytest.mark.client("aws-cli"), pytest.mark.timeout(240)]


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


def test_errors_have_the_codes_that_scripts_look_for(aws: Aws) -> None:
    missing = aws.refused("sagemaker", "describe-inference-recommendations-job", "--job-name", "none")
    assert "(ResourceNotFound) when calling the DescribeInferenceRecommendationsJob operation" in missing
    unknown = aws.refused("sagemaker", "list-clusters")
    assert "does not implement ListClusters" in unknown
    typed = aws.refused("sagemaker", "list-models", "--sort-by", "Colour")
    assert "Colour" in typed


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
