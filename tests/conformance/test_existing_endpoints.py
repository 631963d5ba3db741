"""Jobs that measure an endpoint as it serves, as boto3 sees them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from modeldyno.domain.endpoint import EndpointStatus
from modeldyno.domain.job import JobStatus
from modeldyno.domain.plan import plan


@pytest.fixture
def endpoint(front: Any, sagemaker: Any, region: str, model: str) -> Callable[..., None]:
    """Make an endpoint of the model; nothing is deployed, its row says what it is."""

    def make(name: str, *variants: str, status: str = "InService", shadow: bool = False, count: int = 1) -> None:
        def variant(named: str) -> dict[str, Any]:
            return {
                "VariantName": named,
                "ModelName": model,
                "InstanceType": "ml.c5.large",
                "InitialInstanceCount": count,
            }

        shadows = {"ShadowProductionVariants": [variant("shade")]} if shadow else {}
        production = [variant(named) for named in variants or ("main",)]
        sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=production, **shadows)
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
        changed = EndpointStatus(status)
        front.dyno.store.change_endpoint(region, name, lambda row: replace(row, status=changed))

    return make


@pytest.fixture
def planned(engine: Any) -> Callable[[], None]:
    """Plan the job as the worker does."""

    def carry() -> None:
        job, dyno = engine.job(), engine.dyno
        made = plan(job.spec, dyno.catalogue, dyno.host(), frozenset(), job.name, job.id)
        assert dyno.store.plan_job(job.id, made.trials, made.notes, 1_700_000_000.0)

    return carry


def asking(request: dict[str, Any], name: str = "live", **more: Any) -> dict[str, Any]:
    config = {**request["InputConfig"], "Endpoints": [{"EndpointName": name}], **more}
    return {**request, "InputConfig": config}


def advanced(request: dict[str, Any], **more: Any) -> dict[str, Any]:
    phases = [{"InitialNumberOfUsers": 1, "SpawnRate": 1, "DurationInSeconds": 120}]
    traffic = {"TrafficType": "PHASES", "Phases": phases}
    return {**asking(request, TrafficPattern=traffic, **more), "JobType": "Advanced"}


def test_what_an_endpoint_has_shown_stands_beside_the_recommendations(
    sagemaker: Any, job_request: dict[str, Any], engine: Any, endpoint: Any, planned: Any
) -> None:
    endpoint("live", count=2)
    sagemaker.create_inference_recommendations_job(**asking(job_request))
    planned()
    engine.succeed(1234.9, 56.2)
    while any(not trial.status.ended for trial in engine.dyno.store.trials(engine.job().id)):
        engine.succeed(400.0, 20.0)
    engine.end(JobStatus.COMPLETED)
    job = sagemaker.describe_inference_recommendations_job(JobName="job")
    assert job["InputConfig"]["Endpoints"] == [{"EndpointName": "live"}]
    metrics = {"MaxInvocations": 1234, "ModelLatency": 57}
    assert job["EndpointPerformances"] == [{"Metrics": metrics, "EndpointInfo": {"EndpointName": "live"}}]
    names = [row["EndpointConfiguration"]["EndpointName"] for row in job["InferenceRecommendations"]]
    assert names
    assert all(name.startswith("sm-epc-job-") for name in names)
    steps = sagemaker.list_inference_recommendations_job_steps(JobName="job")["Steps"]
    benchmark = steps[0]["InferenceBenchmark"]
    assert (benchmark["EndpointMetrics"], "Metrics" in benchmark) == (metrics, False)
    assert benchmark["EndpointConfiguration"] == {
        "EndpointName": "live",
        "VariantName": "main",
        "InstanceType": "ml.c5.large",
        "InitialInstanceCount": 2,
    }
    assert all("EndpointMetrics" not in step["InferenceBenchmark"] for step in steps[1:])
    scaling = sagemaker.get_scaling_configuration_recommendation(
        InferenceRecommendationsJobName="job", EndpointName="live", TargetCpuUtilizationPerCore=25
    )
    # 187.5% of the 4 cores of both instances: 46.875% of a core at 617.45 a minute and instance
    assert scaling["Metric"]["InvocationsPerInstance"] == 329


def test_an_advanced_job_takes_an_endpoint_beside_configurations_or_alone(
    sagemaker: Any, job_request: dict[str, Any], engine: Any, endpoint: Any, planned: Any
) -> None:
    endpoint("live")
    del job_request["InputConfig"]["ContainerConfig"]["SupportedInstanceTypes"]
    configurations = [{"InstanceType": "ml.c5.large"}, {"InstanceType": "local.2cpu"}]
    limit = {"MaxNumberOfTests": 2}
    request = advanced(job_request, EndpointConfigurations=configurations, ResourceLimit=limit)
    sagemaker.create_inference_recommendations_job(**request)
    planned()
    trials = engine.dyno.store.trials(engine.job().id)
    assert [trial.spec.existing is not None for trial in trials] == [True, False]
    request = {**advanced(job_request, ResourceLimit={"MaxNumberOfTests": 1}), "JobName": "alone"}
    sagemaker.create_inference_recommendations_job(**request)
    job, dyno = engine.job("alone"), engine.dyno
    (only,) = plan(job.spec, dyno.catalogue, dyno.host(), frozenset(), job.name, job.id).trials
    assert only.endpoint_name == "live"
    steps = sagemaker.list_inference_recommendations_job_steps(JobName="job")["Steps"]
    assert len(steps) == 2


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ({"status": "Creating"}, "is Creating: only an endpoint that is InService is measured"),
        ({"status": "Failed"}, "is Failed: only"),
        ({"variants": ("a", "b")}, "has the variants a, b: only an endpoint with one is measured"),
        ({"shadow": True}, "has the shadow variant shade"),
    ],
)
def test_an_endpoint_that_cannot_be_measured_is_refused_by_name(
    sagemaker: Any,
    job_request: dict[str, Any],
    endpoint: Any,
    refused: Callable[..., str],
    made: dict[str, Any],
    words: str,
) -> None:
    endpoint("live", *made.pop("variants", ()), **made)
    told = refused("ValidationException", sagemaker.create_inference_recommendations_job, **asking(job_request))
    assert words in told
    assert "endpoint/live" in told


def test_an_endpoint_of_an_experiment_is_left_alone(
    front: Any,
    sagemaker: Any,
    region: str,
    job_request: dict[str, Any],
    endpoint: Any,
    refused: Callable[..., str],
) -> None:
    endpoint("live")
    front.dyno.store.change_endpoint(region, "live", lambda row: replace(row, experiment="trial-run"))
    told = refused("ValidationException", sagemaker.create_inference_recommendations_job, **asking(job_request))
    assert "belongs to the inference experiment trial-run" in told


def test_an_endpoint_that_is_not_there_and_a_limit_that_leaves_nothing_else(
    sagemaker: Any, region: str, job_request: dict[str, Any], endpoint: Any, refused: Callable[..., str]
) -> None:
    create = sagemaker.create_inference_recommendations_job
    told = refused("ValidationException", create, **asking(job_request))
    assert f'Could not find endpoint "arn:aws:sagemaker:{region}:000000000000:endpoint/live".' in told
    endpoint("live")
    told = refused("ValidationException", create, **asking(job_request, ResourceLimit={"MaxNumberOfTests": 1}))
    assert "MaxNumberOfTests is 1, which the endpoint takes: at least 2 are needed" in told
    one = {"MaxNumberOfTests": 1}  # the types of ContainerConfig are measured, too
    told = refused("ValidationException", create, **advanced(job_request, ResourceLimit=one))
    assert "at least 2 are needed" in told
    two = [{"EndpointName": "live"}, {"EndpointName": "live"}]
    told = refused("ValidationException", create, **asking(job_request, Endpoints=two))
    assert "'inputConfig.endpoints'" in told
