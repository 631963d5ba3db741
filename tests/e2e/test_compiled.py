"""Compiled recommendations, whole: a scikit-learn model that becomes an ONNX graph, and one that cannot."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from modeldyno.domain.images import Framework
from modeldyno.instances.environments import Environments
from tests.e2e.service import ROLE, TYPES, Service, running, tar_gz, until

VERSION = "1.5"
IMAGE = f"683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:{VERSION}-1-cpu-py3"
CACHE = Path(os.environ.get("DYNO_TEST_CACHE") or Path(__file__).parents[2] / ".cache" / "environments")
TRAIN = """
import sys, joblib
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
rows, species = load_iris(return_X_y=True)
joblib.dump(RandomForestClassifier(20, random_state=1).fit(rows, species), sys.argv[1])
"""
SCRIPT = """
import joblib

def model_fn(model_dir):
    return joblib.load(f"{model_dir}/model.joblib")

def predict_fn(rows, model):
    return model.predict_proba(rows)
"""
WRAPPED = SCRIPT.replace('.joblib")', '.joblib"), "notes"').replace("model.predict_proba", "model[0].predict_proba")
ROWS = b"5.1,3.5,1.4,0.2\n6.3,3.3,6.0,2.5\n"
INPUTS = json.dumps({"rows": [1, 4]})


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A model's file, written by the library that will read it."""
    path = tmp_path_factory.mktemp("trained") / "model.joblib"
    python = asyncio.run(Environments(CACHE, {}).python_for(Framework.SCIKIT_LEARN, VERSION))
    subprocess.run([python, "-c", TRAIN, path], check=True)
    return path.read_bytes()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, trained: bytes) -> Iterator[Service]:
    def prepare(made: Service) -> None:
        (made.data / "cache").mkdir(parents=True)
        (made.data / "cache" / "environments").symlink_to(CACHE)
        made.put("bucket/good.tar.gz", tar_gz({"model.joblib": trained, "code/inference.py": SCRIPT.encode()}))
        made.put("bucket/wrapped.tar.gz", tar_gz({"model.joblib": trained, "code/inference.py": WRAPPED.encode()}))
        made.put("bucket/flowers.tar.gz", tar_gz({"a.csv": ROWS, "b.csv": b"5.9,3.0,5.1,1.8\n"}))

    with running(
        tmp_path_factory.mktemp("compiled"), config=f"{TYPES}max_trial_seconds = 10\n", prepare=prepare
    ) as started:
        yield started


def submit(service: Service, name: str) -> None:
    """A Default job on one type with one worker that asks for a compiled model, too."""
    client = service.client
    container = {"Image": IMAGE, "ModelDataUrl": f"s3://bucket/{name}.tar.gz"}
    container["Environment"] = {"SAGEMAKER_MODEL_SERVER_WORKERS": "1"}
    client.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container)
    config = {
        "Domain": "MACHINE_LEARNING",
        "Task": "CLASSIFICATION",
        "Framework": "SAGEMAKER-SCIKIT-LEARN",
        "PayloadConfig": {"SamplePayloadUrl": "s3://bucket/flowers.tar.gz", "SupportedContentTypes": ["text/csv"]},
        "SupportedInstanceTypes": ["local.one"],
        "DataInputConfig": INPUTS,
    }
    client.create_inference_recommendations_job(
        JobName=name,
        JobType="Default",
        RoleArn=ROLE,
        InputConfig={"ModelName": name, "ContainerConfig": config},
        OutputConfig={"CompiledOutputConfig": {"S3OutputUri": "s3://artifacts/compiled/"}},
    )


def story(service: Service, stream: str) -> list[str]:
    keys = {"aws_access_key_id": "any", "aws_secret_access_key": "any"}
    logs = boto3.client("logs", endpoint_url=service.url, region_name="us-east-1", **keys)
    group = "/aws/sagemaker/InferenceRecommendationsJobs"
    events = logs.get_log_events(logGroupName=group, logStreamName=stream, startFromHead=True)["events"]
    return [event["message"] for event in events]


def invoke(service: Service, name: str, image: str, url: str) -> Any:
    """What a model answers on an endpoint of its own."""
    client = service.client
    container = {"Image": image, "ModelDataUrl": url}
    client.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container)
    variant = {"VariantName": "v", "ModelName": name, "InstanceType": "local.one", "InitialInstanceCount": 1}
    client.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    client.create_endpoint(EndpointName=name, EndpointConfigName=name)
    until(lambda: client.describe_endpoint(EndpointName=name)["EndpointStatus"] == "InService", 60)
    keys = {"aws_access_key_id": "any", "aws_secret_access_key": "any"}
    runtime = boto3.client("sagemaker-runtime", endpoint_url=service.url, region_name="us-east-1", **keys)
    answer = runtime.invoke_endpoint(EndpointName=name, Body=ROWS, ContentType="text/csv", Accept="application/json")
    client.delete_endpoint(EndpointName=name)
    return json.loads(answer["Body"].read())


@pytest.mark.timeout(400)
def test_a_model_is_measured_compiled_beside_the_plain_one_and_runs_by_what_describe_tells(service: Service) -> None:
    submit(service, "good")
    job = service.ended("good", 300)
    assert job["Status"] == "COMPLETED", job
    told = [row["ModelConfiguration"].get("CompilationJobName") for row in job["InferenceRecommendations"]]
    assert sorted(map(bool, told)) == [False, True], story(service, "good/execution")
    assert not any("InferenceSpecificationName" in row["ModelConfiguration"] for row in job["InferenceRecommendations"])
    name = next(one for one in told if one)
    assert [
        step["InferenceBenchmark"]["ModelConfiguration"].get("CompilationJobName") for step in service.steps("good")
    ] == [
        None,
        name,
    ]

    compilation = service.client.describe_compilation_job(CompilationJobName=name)
    assert compilation["CompilationJobStatus"] == "COMPLETED"
    assert compilation["InputConfig"]["DataInputConfig"] == INPUTS
    artifacts = compilation["ModelArtifacts"]["S3ModelArtifacts"]
    assert artifacts == f"s3://artifacts/compiled/{name}/model.tar.gz"
    plain = invoke(service, "plain", IMAGE, "s3://bucket/good.tar.gz")
    assert invoke(service, "compiled", compilation["InferenceImage"], artifacts) == [
        pytest.approx(row, abs=1e-4) for row in plain
    ]

    trials = {trial["compiled"]: trial["runtime"] for trial in service.result("good")["trials"]}
    assert trials[None].endswith("script mode, 1 worker")
    assert "with ONNX Runtime" in trials[name]
    assert trials[name].endswith("script mode, compiled, 1 worker")
    assert (
        "2 requests of the sample payload answered as by the plain model"
        in story(service, f"good/CompilationJob/{name}")[-1]
    )


@pytest.mark.timeout(300)
def test_a_model_that_cannot_be_compiled_is_measured_plain_and_the_log_says_why(service: Service) -> None:
    submit(service, "wrapped")
    job = service.ended("wrapped", 200)
    assert job["Status"] == "COMPLETED", job
    (row,) = job["InferenceRecommendations"]
    assert "CompilationJobName" not in row["ModelConfiguration"]
    said = "The model is not compiled: model_fn returned tuple, which is no scikit-learn estimator."
    assert any(line.startswith(said) for line in story(service, "wrapped/execution"))
