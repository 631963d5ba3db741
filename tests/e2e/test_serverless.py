"""Serverless, with real servers: measured in jobs, and hosted from nothing."""

from __future__ import annotations

import os
import signal
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.e2e.hosting import Hosting, Traffic
from tests.e2e.service import TYPES, Service, running, until

START_SECONDS = 2.0
SERVERLESS = f"""{TYPES}
[serverless]
mb_per_vcpu = 2048
idle_seconds = 4
[serverless.usd_per_second]
1024 = 0.00002
"""


def traffic(users: int, seconds: int) -> dict[str, Any]:
    phase = {"InitialNumberOfUsers": users, "SpawnRate": 0, "DurationInSeconds": seconds}
    return {"TrafficType": "PHASES", "Phases": [phase]}


def serverless(memory_mb: int, concurrency: int) -> dict[str, Any]:
    return {"ServerlessConfig": {"MemorySizeInMB": memory_mb, "MaxConcurrency": concurrency}}


@pytest.fixture(scope="module")
def measuring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    def prepare(made: Service) -> None:
        made.config.write_text(SERVERLESS)
        made.truth("truth:20ms", "--workers", "1", "--service-ms", "20", "--startup-seconds", str(START_SECONDS))

    with running(tmp_path_factory.mktemp("dyno"), prepare=prepare) as started:
        yield started


@pytest.mark.timeout(240)
def test_an_advanced_job_measures_the_cold_start_and_what_each_server_answers_one_by_one(measuring: Service) -> None:
    configurations = [serverless(1024, 1), serverless(1024, 2)]
    measuring.submit("both", "truth:20ms", configurations=configurations, traffic=traffic(3, 30))
    job = measuring.ended("both")
    assert job["Status"] == "COMPLETED", job.get("FailureReason")
    steps = {
        step["InferenceBenchmark"]["EndpointConfiguration"]["ServerlessConfig"]["MaxConcurrency"]: step
        for step in measuring.steps("both")
    }
    trials = {trial["serverless"]["concurrency"]: trial for trial in measuring.result("both")["trials"]}
    assert set(steps) == set(trials) == {1, 2}
    for concurrency, step in steps.items():
        benchmark, figures = step["InferenceBenchmark"], trials[concurrency]["figures"]
        assert "InstanceType" not in benchmark["EndpointConfiguration"]
        assert figures["users"] == concurrency
        assert set(trials[concurrency]["figures"]["errors"]) == set()
        assert trials[concurrency]["stop_reason"].startswith(f"more than {concurrency} users would be throttled")
        # What no two invocations at one server share: 20 ms each, as many at once as there are servers.
        assert figures["mean_latency_ms"] == pytest.approx(20, rel=0.3)
        assert figures["capacity_per_minute"] == pytest.approx(
            concurrency * 60_000 / figures["mean_latency_ms"], rel=0.1
        )
        metrics = benchmark["Metrics"]
        assert START_SECONDS * 1e6 <= metrics["ModelSetupTime"] < (START_SECONDS + 10) * 1e6
        assert "CostPerHour" not in metrics
        assert metrics["CostPerInference"] == pytest.approx(0.00002 * figures["mean_latency_ms"] / 1000, rel=1e-3)
    best = job["InferenceRecommendations"][0]["EndpointConfiguration"]
    assert best["ServerlessConfig"]["MemorySizeInMB"] == 1024


@pytest.mark.timeout(240)
def test_a_default_job_tries_the_sizes_that_the_host_can_be_with_one_invocation_at_a_time(measuring: Service) -> None:
    measuring.submit(
        "sizes", "truth:20ms", endpoint_type="Serverless", input={"ResourceLimit": {"MaxNumberOfTests": 1}}
    )
    job = measuring.ended("sizes")
    assert job["Status"] == "COMPLETED", job.get("FailureReason")
    (row,) = job["InferenceRecommendations"]
    assert row["EndpointConfiguration"]["ServerlessConfig"] == {"MemorySizeInMB": 1024, "MaxConcurrency": 1}
    assert row["Metrics"]["ModelSetupTime"] >= START_SECONDS * 1e6
    notes = measuring.result("sizes")["job"]["plan_notes"]
    assert any(note.startswith("serverless 2048 MB was not tried: the job is limited to 1 tests") for note in notes)


# --- endpoints -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hosting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosting]:
    service = Hosting(tmp_path_factory.mktemp("dyno"), SERVERLESS)
    service.answers("a", "--answer", '"a"', "--sleep-ms", "1500", "--startup-seconds", str(START_SECONDS))
    service.answers("b", "--answer", '"b"')
    service.answers("broken", "--broken")
    try:
        service.start()
        for image in ("a", "b", "broken"):
            service.model(image)
        yield service
    finally:
        service.end()
    assert service.left_behind() == []


@pytest.fixture
def service(hosting: Hosting) -> Iterator[Hosting]:
    yield hosting
    hosting.clear()


def of(concurrency: int, provisioned: int = 0, memory_mb: int = 1024) -> dict[str, Any]:
    """A variant without instances."""
    config = {"MemorySizeInMB": memory_mb, "MaxConcurrency": concurrency}
    return {"ServerlessConfig": {**config, "ProvisionedConcurrency": provisioned} if provisioned else config}


def serve(service: Hosting, model: str, *, name: str = "e", **config: Any) -> Any:
    variant = {"VariantName": model, "ModelName": model, **config}
    service.client.create_endpoint_config(EndpointConfigName=f"{name}-config", ProductionVariants=[variant])
    service.client.create_endpoint(EndpointName=name, EndpointConfigName=f"{name}-config")
    return service.settled(name)


def standing(service: Hosting, name: str = "e") -> Any:
    (variant,) = service.client.describe_endpoint(EndpointName=name)["ProductionVariants"]
    return variant


def test_nothing_runs_until_an_invocation_comes_and_nothing_runs_a_while_after_it(service: Hosting) -> None:
    described = serve(service, "a", **of(2))
    assert described["EndpointStatus"] == "InService"
    until(lambda: not service.servers(), 10)
    assert standing(service)["CurrentServerlessConfig"] == {"MemorySizeInMB": 1024, "MaxConcurrency": 2}
    assert standing(service)["CurrentInstanceCount"] == 0

    began = time.monotonic()
    assert service.invoke("e")["Text"] == '"a"'
    assert time.monotonic() - began >= START_SECONDS + 1.5  # a server was started, and then it answered
    assert len(service.servers()) == 1
    metrics = urllib.request.urlopen(f"{service.url}/metrics").read().decode()
    setup = next(line for line in metrics.splitlines() if line.startswith("ModelSetupTime{"))
    assert float(setup.split()[-1]) >= START_SECONDS * 1e6
    latency = next(line for line in metrics.splitlines() if line.startswith("ModelLatency_sum"))
    assert float(latency.split()[-1]) < (START_SECONDS + 1) * 1e6  # without the wait for the server

    began = time.monotonic()
    service.invoke("e")
    assert time.monotonic() - began < 1.5 + START_SECONDS  # warm
    until(lambda: not service.servers(), 20)
    assert service.invoke("e")["Text"] == '"a"'


def test_so_many_are_answered_at_once_and_the_others_are_throttled(service: Hosting) -> None:
    serve(service, "a", **of(2))
    invoke = service.invoker.invoke_endpoint
    with ThreadPoolExecutor(5) as pool:
        ended = [pool.submit(invoke, EndpointName="e", Body=b"1", ContentType="text/csv") for _ in range(5)]
    answers = [one.result()["Body"].read().decode() for one in ended if one.exception() is None]
    errors = [one.exception() for one in ended if one.exception() is not None]
    assert answers == ['"a"', '"a"']
    assert {
        (error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]) for error in errors
    } == {("ThrottlingException", 429)}
    assert len(service.servers()) == 2


def test_provisioned_concurrency_is_there_before_anybody_asks_and_stays(service: Hosting) -> None:
    serve(service, "b", **of(2, provisioned=1))
    assert len(service.servers()) == 1
    (killed,) = service.servers()
    assert service.invoke("e")["Text"] == '"b"'
    os.kill(killed, signal.SIGKILL)
    assert service.invoke("e")["Text"] == '"b"'  # it is replaced
    assert killed not in service.servers()
    update = {"VariantName": "b", "ServerlessUpdateConfig": {"MaxConcurrency": 3, "ProvisionedConcurrency": 2}}
    service.client.update_endpoint_weights_and_capacities(EndpointName="e", DesiredWeightsAndCapacities=[update])
    service.settled("e")
    expected = {"MemorySizeInMB": 1024, "MaxConcurrency": 3, "ProvisionedConcurrency": 2}
    assert standing(service)["CurrentServerlessConfig"] == expected
    assert len(service.servers()) == 2


def test_a_model_that_cannot_be_started_fails_the_endpoint(service: Hosting) -> None:
    described = serve(service, "broken", **of(1))
    assert described["EndpointStatus"] == "Failed"
    assert "exited with status 3" in described["FailureReason"]


def test_an_update_to_another_serverless_configuration_loses_no_request(service: Hosting) -> None:
    serve(service, "b", **of(4))
    variant = {"VariantName": "b", "ModelName": "b", **of(4, memory_mb=2048)}
    service.client.create_endpoint_config(EndpointConfigName="larger", ProductionVariants=[variant])
    with Traffic(service, "e") as traffic:
        service.client.update_endpoint(EndpointName="e", EndpointConfigName="larger")
        assert service.settled("e")["EndpointConfigName"] == "larger"
    assert traffic.errors == []
    assert set(traffic.answers) == {'"b"'}
    assert standing(service)["CurrentServerlessConfig"]["MemorySizeInMB"] == 2048


def test_a_serverless_endpoint_goes_on_after_its_worker_was_killed(service: Hosting) -> None:
    serve(service, "b", **of(1))
    service.kill("worker")
    assert service.invoke("e")["Text"] == '"b"'


def test_bodies_over_four_megabytes_and_streams_are_refused(service: Hosting) -> None:
    serve(service, "b", **of(1))
    assert service.invoke("e", b"1" * 4 * 1024**2)["Text"] == '"b"'
    with pytest.raises(ClientError, match="over the limit of a serverless endpoint, 4194304 bytes"):
        service.invoke("e", b"1" * (4 * 1024**2 + 1))
    with pytest.raises(ClientError, match="InvokeEndpointWithResponseStream is not supported"):
        service.invoker.invoke_endpoint_with_response_stream(EndpointName="e", Body=b"1", ContentType="text/csv")
