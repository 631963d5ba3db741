"""Jobs that measure an endpoint as it serves, with real servers, real load and real callers beside it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from modeldyno.testing.truth_server import read_record, true_per_second, within
from tests.e2e.hosting import Hosting, Traffic
from tests.e2e.service import until

SHORT = {"TrafficType": "PHASES", "Phases": [{"InitialNumberOfUsers": 4, "SpawnRate": 0, "DurationInSeconds": 6}]}


@pytest.fixture(scope="module")
def record() -> Iterator[Path]:
    """A file that a server of any user may write."""
    with tempfile.TemporaryDirectory(dir="/tmp") as place:
        Path(place).chmod(0o777)
        yield Path(place) / "served"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, record: Path) -> Iterator[Hosting]:
    service = Hosting(tmp_path_factory.mktemp("existing"))
    service.truth("truth", "--workers", "2", "--service-ms", "20", "--record", str(record))
    service.answers("answers", "--answer", '"a"', "--sleep-ms", "20")
    service.start()
    service.model("truth")
    service.model("answers")
    yield service
    service.clear()
    service.end()
    assert service.left_behind() == []


@pytest.mark.timeout(420)
def test_a_default_job_measures_a_live_endpoint_beside_its_callers_and_leaves_it_as_it_was(
    service: Hosting, record: Path
) -> None:
    before = service.endpoint("live", "truth", truth={"InstanceType": "local.one"})
    assert before["EndpointStatus"] == "InService", before["FailureReason"]
    pid = service.pid("live", "truth")
    with Traffic(service, "live", threads=1, pause_seconds=0.05) as traffic:
        service.submit("job", "truth", "local.half", input={"Endpoints": [{"EndpointName": "live"}]})
        job = service.ended("job", 200)
    assert job["Status"] == "COMPLETED", job

    (performance,) = job["EndpointPerformances"]
    assert performance["EndpointInfo"] == {"EndpointName": "live"}
    (trial, other) = service.result("job")["trials"]
    assert (trial["existing_endpoint"], trial["endpoint_name"]) == (True, "live")
    assert "measured at a live endpoint" in trial["flags"]["live_traffic"]
    assert "live_traffic" not in other["flags"]
    first, last = (trial["windows"][trial["figures"][which]] for which in ("first_window", "last_window"))
    served = within(read_record(record), first["started_at"], last["started_at"] + last["duration_seconds"])
    truth = true_per_second(served, workers=2) * 60
    # the endpoint's own callers took their part of the capacity: 1 of at most 50 + 20 ms, a part of 100 a second
    assert 0.7 * truth < performance["Metrics"]["MaxInvocations"] < 1.02 * truth

    (row,) = job["InferenceRecommendations"]
    assert row["EndpointConfiguration"]["InstanceType"] == "local.half"
    steps = service.steps("job")
    assert steps[0]["InferenceBenchmark"]["EndpointMetrics"] == performance["Metrics"]
    assert "Metrics" not in steps[0]["InferenceBenchmark"]
    assert steps[1]["InferenceBenchmark"]["Metrics"] == row["Metrics"]

    assert (traffic.errors, traffic.answers.total() > 50) == ([], True)
    assert service.pid("live", "truth") == pid
    after = service.client.describe_endpoint(EndpointName="live")
    assert (after["EndpointStatus"], after["LastModifiedTime"]) == ("InService", before["LastModifiedTime"])


@pytest.mark.timeout(420)
def test_an_advanced_job_drives_its_traffic_at_every_instance_of_an_endpoint(service: Hosting) -> None:
    service.endpoint("two", "answers", answers={"InitialInstanceCount": 2})
    service.submit(
        "pattern",
        "answers",
        configurations=[{"InstanceType": "local.half"}],
        traffic=SHORT,
        input={"Endpoints": [{"EndpointName": "two"}], "ResourceLimit": {"MaxNumberOfTests": 2}},
    )
    job = service.ended("pattern", 200)
    assert job["Status"] == "COMPLETED", job
    assert [one["EndpointInfo"]["EndpointName"] for one in job["EndpointPerformances"]] == ["two"]
    trials = service.result("pattern")["trials"]
    assert [(trial["figures"]["users"], trial["existing_endpoint"]) for trial in trials] == [(4, True), (4, False)]
    asked = [int(service.invoke("two")["Text"] == '"a"') for _ in range(2)]
    assert asked == [1, 1]


@pytest.mark.timeout(420)
def test_a_killed_worker_measures_the_same_servers_again(service: Hosting) -> None:
    service.endpoint("kept", "answers")
    pid = service.pid("kept", "answers")
    service.submit(
        "killed",
        "answers",
        configurations=[{"InstanceType": "local.half"}],
        traffic=SHORT,
        input={"Endpoints": [{"EndpointName": "kept"}]},
    )
    until(lambda: any("Load begins" in line for line in _story(service, "killed")), 200)
    service.kill("worker")
    job = service.ended("killed", 200)
    assert job["Status"] == "COMPLETED", job
    assert [one["EndpointInfo"]["EndpointName"] for one in job["EndpointPerformances"]] == ["kept"]
    assert [trial["attempt"] for trial in service.result("killed")["trials"]] == [2, 1]
    assert service.pid("kept", "answers") == pid


@pytest.mark.timeout(420)
def test_an_endpoint_that_is_deleted_under_load_ends_its_measurement_by_name(service: Hosting) -> None:
    service.endpoint("short", "answers")
    service.submit(
        "interrupted",
        "answers",
        configurations=[{"InstanceType": "local.half"}],
        traffic=SHORT,
        input={"Endpoints": [{"EndpointName": "short"}]},
    )
    until(lambda: service.steps("interrupted") and service.steps("interrupted")[0]["Status"] == "IN_PROGRESS", 200)
    until(lambda: any("Load begins" in line for line in _story(service, "interrupted")), 60)
    service.client.delete_endpoint(EndpointName="short")
    job = service.ended("interrupted", 200)
    (endpoint, own) = service.steps("interrupted")
    assert (job["Status"], endpoint["Status"], own["Status"]) == ("COMPLETED", "FAILED", "COMPLETED")
    assert "short" in endpoint["InferenceBenchmark"]["FailureReason"]
    assert "EndpointPerformances" not in job


def _story(service: Hosting, job: str) -> list[str]:
    logs = boto3.client(
        "logs",
        endpoint_url=service.url,
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
    )
    found = logs.filter_log_events(logGroupName="/aws/sagemaker/InferenceRecommendationsJobs")
    return [event["message"] for event in found["events"] if job in event["logStreamName"]]
