"""Jobs from boto3 to measured, ranked recommendations, against servers whose truth is known."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modeldyno.testing.truth_server import read_record, true_per_second, within
from tests.e2e.service import Service, running, until

SHORT = {"TrafficType": "PHASES", "Phases": [{"InitialNumberOfUsers": 4, "SpawnRate": 0, "DurationInSeconds": 5}]}


@pytest.fixture(scope="module")
def record() -> Iterator[Path]:
    """A file that a server of any user may write."""
    with tempfile.TemporaryDirectory(dir="/tmp") as place:
        os.chmod(place, 0o777)
        yield Path(place) / "served"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, record: Path) -> Iterator[Service]:
    def prepare(made: Service) -> None:
        made.truth("truth:20ms", "--workers", "2", "--service-ms", "20", "--record", str(record))
        made.truth("truth:failing", "--fail-share", "1")
        made.truth("truth:slow-start", "--startup-seconds", "60")

    with running(tmp_path_factory.mktemp("dyno"), prepare=prepare) as started:
        yield started


@pytest.mark.timeout(240)
def test_two_workers_of_20_ms_are_measured_within_5_percent_of_what_they_recorded(
    service: Service, record: Path
) -> None:
    service.submit("truth", "truth:20ms", "local.one")
    job = service.ended("truth")
    assert job["Status"] == "COMPLETED", job
    (row,) = job["InferenceRecommendations"]
    (trial,) = service.result("truth")["trials"]
    first, last = (trial["windows"][trial["figures"][which]] for which in ("first_window", "last_window"))
    served = within(read_record(record), first["started_at"], last["started_at"] + last["duration_seconds"])
    truth = true_per_second(served, workers=2) * 60
    assert row["Metrics"]["MaxInvocations"] == pytest.approx(truth, rel=0.05)
    times_ms = sorted((one.ended_ns - one.arrived_ns) / 1e6 for one in served)
    assert row["Metrics"]["ModelLatency"] == pytest.approx(times_ms[int(0.95 * len(times_ms))], abs=5)
    hourly, served = row["Metrics"]["CostPerHour"], row["Metrics"]["MaxInvocations"]
    assert row["Metrics"]["CostPerInference"] == pytest.approx(hourly / (served * 60), rel=1e-5)
    assert row["EndpointConfiguration"]["InstanceType"] == "local.one"
    assert row["InvocationStartTime"] < row["InvocationEndTime"]
    assert len(trial["windows"]) >= 5
    assert trial["figures"]["requests"] > 100


@pytest.mark.timeout(240)
def test_an_advanced_job_of_phases_with_a_failing_and_a_good_configuration(service: Service) -> None:
    service.submit(
        "phases",
        "truth:20ms",
        configurations=[
            {"InstanceType": "ml.m5.24xlarge"},
            {
                "InstanceType": "local.half",
                "EnvironmentParameterRanges": {"CategoricalParameterRanges": [{"Name": "A", "Value": ["1", "2"]}]},
            },
        ],
        traffic=SHORT,
    )
    job = service.ended("phases")
    assert job["Status"] == "COMPLETED", job
    steps = service.steps("phases")
    assert [step["Status"] for step in steps] == ["FAILED", "COMPLETED", "COMPLETED"]
    assert "has 96 vCPUs" in steps[0]["InferenceBenchmark"]["FailureReason"]
    chosen = [
        {item["Key"]: item["Value"] for item in row["ModelConfiguration"]["EnvironmentParameters"]}
        for row in job["InferenceRecommendations"]
    ]
    assert sorted(environment["A"] for environment in chosen) == ["1", "2"]


@pytest.mark.timeout(240)
def test_stairs_climb_to_their_last_step(service: Service) -> None:
    stairs = {"DurationInSeconds": 8, "NumberOfSteps": 4, "UsersPerStep": 1}
    service.submit(
        "stairs",
        "truth:20ms",
        configurations=[{"InstanceType": "local.one"}],
        traffic={"TrafficType": "STAIRS", "Stairs": stairs},
        StoppingConditions={"FlatInvocations": "Continue"},
    )
    assert service.ended("stairs")["Status"] == "COMPLETED"
    (trial,) = service.result("stairs")["trials"]
    assert [level["users"] for level in trial["levels"]][-1] == 4
    assert trial["windows"][-1]["users"] == 4
    assert 7 <= sum(window["duration_seconds"] for window in trial["windows"]) <= 10


@pytest.mark.timeout(240)
def test_a_model_that_answers_500_is_told_with_the_end_of_its_log(service: Service) -> None:
    service.submit("failing", "truth:failing", "local.one")
    job = service.ended("failing")
    assert job["Status"] == "FAILED"
    assert "100% of invocations failed (http_500" in job["FailureReason"]
    assert len(job["FailureReason"]) <= 1024


@pytest.mark.timeout(240)
def test_stop_ends_a_job_within_five_seconds_and_keeps_its_results(service: Service) -> None:
    ranges = {"CategoricalParameterRanges": [{"Name": "A", "Value": ["1", "2", "3"]}]}
    service.submit(
        "stopped",
        "truth:20ms",
        configurations=[{"InstanceType": "local.one", "EnvironmentParameterRanges": ranges}],
        traffic=SHORT,
    )
    until(lambda: "COMPLETED" in [step["Status"] for step in service.steps("stopped")])
    service.client.stop_inference_recommendations_job(JobName="stopped")
    assert service.job("stopped")["Status"] in ("STOPPING", "STOPPED")
    job = service.ended("stopped", seconds=5)
    assert job["Status"] == "STOPPED"
    assert len(job["InferenceRecommendations"]) >= 1
    with pytest.raises(service.client.exceptions.ClientError) as refused:
        service.client.stop_inference_recommendations_job(JobName="stopped")
    assert "stopped" in str(refused.value)


@pytest.mark.timeout(240)
def test_stop_reaches_a_server_that_is_still_starting(service: Service) -> None:
    service.submit("starting", "truth:slow-start", "local.one")
    until(lambda: "IN_PROGRESS" in [step["Status"] for step in service.steps("starting")])
    service.client.stop_inference_recommendations_job(JobName="starting")
    assert service.ended("starting", seconds=5)["Status"] == "STOPPED"


def test_a_missing_payload_is_named_in_the_failure_reason(service: Service) -> None:
    config: dict[str, Any] = {"SamplePayloadUrl": "s3://bucket/none.tar.gz", "SupportedContentTypes": ["text/csv"]}
    service.submit(
        "missing",
        "truth:20ms",
        input={
            "ContainerConfig": {
                "Domain": "MACHINE_LEARNING",
                "Task": "OTHER",
                "Framework": "XGBOOST",
                "PayloadConfig": config,
            }
        },
    )
    job = service.ended("missing")
    assert job["Status"] == "FAILED"
    assert "s3://bucket/none.tar.gz" in job["FailureReason"]
