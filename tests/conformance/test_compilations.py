"""Compiled recommendations in the API's members, by boto3: what a job tells of them, and DescribeCompilationJob."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest

from modeldyno.domain.compilation import Compilation, CompilationStatus
from modeldyno.domain.images import Framework
from modeldyno.domain.job import JobStatus
from modeldyno.domain.names import compilation_name
from modeldyno.domain.resource import Kind, Resource
from modeldyno.domain.trial import CompiledModel
from tests.requests import ROLE

INPUTS = '{"rows": [1, 4]}'
OUTPUT = {"CompiledOutputConfig": {"S3OutputUri": "s3://artifacts/compiled"}}
GROUP = "/aws/sagemaker/InferenceRecommendationsJobs"


@pytest.fixture
def compiled_job(sagemaker, job_request, region):
    """A job that asks for a compiled model; its name."""
    job_request["InputConfig"]["ContainerConfig"]["DataInputConfig"] = INPUTS
    sagemaker.create_inference_recommendations_job(**job_request, OutputConfig=OUTPUT)
    return "job"


@pytest.fixture
def compile_as(front, engine, compiled_job, region):
    """Do what a worker does when it compiles: store how it stands, and say so in its stream."""

    def change(status: CompilationStatus, **more: object) -> Compilation:
        job = engine.job()
        name = compilation_name(job.name, job.id)
        made = Compilation(
            name=name,
            arn=f"arn:aws:sagemaker:{region}:000000000000:compilation-job/{name}",
            region=region,
            job_id=job.id,
            role_arn=ROLE,
            model=job.spec.model,
            framework=Framework.SCIKIT_LEARN,
            framework_version="1.2",
            inputs=INPUTS,
            output_url="s3://artifacts/compiled",
            image="dyno-onnx-scikit-learn:1.2",
            status=status,
            worker_id="w",
            created_at=1_700_000_000.0,
            modified_at=1_700_000_009.0,
        )
        made = replace(made, **more)
        row = Resource(
            Kind.COMPILATION, region, name, made.arn, str(status), made.created_at, made.modified_at, asdict(made)
        )
        front.dyno.store.add_resource(row)
        front.dyno.store.tell(made.arn, 1_700_000_009.0, f"a story that ended {status}")
        return made

    return change


def test_the_members_that_ask_for_a_compiled_model_are_taken_and_echoed(sagemaker, compiled_job):
    answer = sagemaker.describe_inference_recommendations_job(JobName=compiled_job)
    assert answer["InputConfig"]["ContainerConfig"]["DataInputConfig"] == INPUTS


def test_a_compiled_recommendation_names_its_compilation_job_and_no_specification(sagemaker, engine, compile_as, front):
    made = compile_as(CompilationStatus.COMPLETED, ended_at=1_700_000_009.0)
    engine.plan(["ml.c5.large"])
    job = engine.job()
    (plain,) = front.dyno.store.trials(job.id)
    source = replace(job.spec.model, image=made.image, model_data_url=made.artifact_url)
    twin = replace(plain.spec, index=1, endpoint_name="sm-epc-twin", compiled=CompiledModel(made.name, source))
    assert front.dyno.store.extend_job(job.id, [twin], 1_700_000_010.0)
    engine.succeed(600.0, 12.0)
    engine.succeed(900.0, 8.0)
    engine.end(JobStatus.COMPLETED)
    best, second = sagemaker.describe_inference_recommendations_job(JobName="job")["InferenceRecommendations"]
    assert best["ModelConfiguration"]["CompilationJobName"] == made.name
    assert "CompilationJobName" not in second["ModelConfiguration"]
    steps = sagemaker.list_inference_recommendations_job_steps(JobName="job")["Steps"]
    told = [step["InferenceBenchmark"]["ModelConfiguration"] for step in steps]
    assert [one.get("CompilationJobName") for one in told] == [None, made.name]
    for configuration in (best["ModelConfiguration"], second["ModelConfiguration"], *told):
        assert "InferenceSpecificationName" not in configuration


def test_a_compilation_tells_where_the_model_is_and_what_runs_it(sagemaker, compile_as, region):
    made = compile_as(CompilationStatus.COMPLETED, ended_at=1_700_000_009.0)
    answer = sagemaker.describe_compilation_job(CompilationJobName=made.name)
    assert answer["CompilationJobArn"] == f"arn:aws:sagemaker:{region}:000000000000:compilation-job/{made.name}"
    assert answer["CompilationJobStatus"] == "COMPLETED"
    assert answer["ModelArtifacts"]["S3ModelArtifacts"] == f"s3://artifacts/compiled/{made.name}/model.tar.gz"
    assert answer["InferenceImage"] == "dyno-onnx-scikit-learn:1.2"
    assert answer["InputConfig"] == {
        "S3Uri": "s3://bucket/model.tar.gz",
        "DataInputConfig": INPUTS,
        "Framework": "SKLEARN",
        "FrameworkVersion": "1.2",
    }
    assert answer["OutputConfig"] == {"S3OutputLocation": "s3://artifacts/compiled"}
    assert (answer["RoleArn"], answer["FailureReason"]) == (ROLE, "")
    times = [answer[f"{name}Time"].timestamp() for name in ("Creation", "CompilationStart", "CompilationEnd")]
    assert times == [1_700_000_000.0, 1_700_000_000.0, 1_700_000_009.0]


def test_a_failed_compilation_tells_why_and_has_no_artifacts(sagemaker, compile_as):
    made = compile_as(CompilationStatus.FAILED, ended_at=1_700_000_009.0, failure_reason="no operator for it")
    answer = sagemaker.describe_compilation_job(CompilationJobName=made.name)
    assert (answer["CompilationJobStatus"], answer["FailureReason"]) == ("FAILED", "no operator for it")
    assert answer["ModelArtifacts"] == {"S3ModelArtifacts": ""}
    assert "InferenceImage" not in answer


def test_a_compilation_has_a_stream_of_its_own(connect, compile_as, region):
    logs = connect(region, "logs")
    named = {"logGroupName": GROUP}
    streams = logs.describe_log_streams(**named, logStreamNamePrefix="job/")["logStreams"]
    assert [stream["logStreamName"] for stream in streams] == ["job/execution"]
    made = compile_as(CompilationStatus.COMPLETED)
    streams = logs.describe_log_streams(**named, logStreamNamePrefix="job/")["logStreams"]
    stream = f"job/CompilationJob/{made.name}"
    assert [each["logStreamName"] for each in streams] == [stream, "job/execution"]
    events = logs.get_log_events(**named, logStreamName=stream)["events"]
    assert [event["message"] for event in events] == ["a story that ended COMPLETED"]


def test_a_compilation_that_is_not_there_is_told(sagemaker, refused):
    message = refused("ResourceNotFound", sagemaker.describe_compilation_job, CompilationJobName="none")
    assert "compilation-job/none" in message


def test_other_operations_on_compilations_are_refused_by_name(sagemaker, refused):
    message = refused("UnknownOperationException", sagemaker.list_compilation_jobs)
    assert "ListCompilationJobs" in message


def test_a_package_with_inputs_asks_for_a_compiled_model_too(sagemaker, engine):
    container = {
        "Image": "sagemaker-scikit-learn:1.2-1",
        "ModelDataUrl": "s3://bucket/model.tar.gz",
        "Framework": "SAGEMAKER-SCIKIT-LEARN",
        "ModelInput": {"DataInputConfig": INPUTS},
    }
    specification = {
        "Containers": [container],
        "SupportedContentTypes": ["text/csv"],
        "SupportedResponseMIMETypes": [],
        "SupportedRealtimeInferenceInstanceTypes": ["ml.c5.large"],
    }
    arn = sagemaker.create_model_package(
        ModelPackageName="packaged",
        Domain="MACHINE_LEARNING",
        Task="OTHER",
        SamplePayloadUrl="s3://bucket/payload.tar.gz",
        InferenceSpecification=specification,
    )["ModelPackageArn"]
    sagemaker.create_inference_recommendations_job(
        JobName="packaged", JobType="Default", RoleArn=ROLE, InputConfig={"ModelPackageVersionArn": arn}
    )
    order = engine.job("packaged").spec.compilation
    assert order is not None
    assert order.data_input_config == INPUTS
