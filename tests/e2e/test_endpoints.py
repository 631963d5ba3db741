"""Endpoints that serve: made, updated, broken and deleted, with unmodified boto3."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError

from tests.e2e.hosting import Hosting, Traffic, variant
from tests.e2e.service import until


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosting]:
    """One service for the whole module; each test leaves it as it was."""
    service = Hosting(tmp_path_factory.mktemp("hosting"))
    service.answers("a", "--answer", '"a"').answers("b", "--answer", '"b"').answers("broken", "--broken")
    service.answers("slow", "--answer", '"slow"', "--sleep-ms", "300").answers("errors", "--way", "errors")
    service.answers("streams", "--answer", "0123456789" * 20, "--way", "streams").answers("deaf", "--way", "deaf")
    service.start()
    for name in ("a", "b", "broken", "slow", "errors", "streams", "deaf"):
        service.model(name)
    yield service
    service.end()
    assert service.left_behind() == []


@pytest.fixture
def service(running: Hosting) -> Iterator[Hosting]:
    yield running
    running.clear()


def test_an_endpoint_is_made_invoked_and_deleted(service: Hosting) -> None:
    service.config_of("c", "a")
    service.client.create_endpoint(EndpointName="e", EndpointConfigName="c")
    service.client.get_waiter("endpoint_in_service").wait(EndpointName="e", WaiterConfig={"Delay": 1})
    described = service.client.describe_endpoint(EndpointName="e")
    (production,) = described["ProductionVariants"]
    assert (production["CurrentInstanceCount"], production["DesiredInstanceCount"]) == (1, 1)
    answer = service.invoke("e", CustomAttributes="trace=1", InferenceId="mine")
    assert (answer["Text"], answer["InvokedProductionVariant"]) == ('"a"', "a")
    assert (answer["ContentType"], answer["CustomAttributes"]) == ("application/json", "trace=1")
    service.gone("e")
    with pytest.raises(ClientError, match="Endpoint e of account 000000000000 not found") as refused:
        service.invoke("e")
    assert refused.value.response["Error"]["Code"] == "ValidationError"
    assert service.servers() == []


def test_a_model_that_cannot_start_fails_its_endpoint_with_the_reason(service: Hosting) -> None:
    described = service.endpoint("e", "broken")
    assert described["EndpointStatus"] == "Failed"
    assert "exited with status 3" in described["FailureReason"]
    with pytest.raises(ClientError, match="can only be deleted"):
        service.client.update_endpoint(EndpointName="e", EndpointConfigName="e-config")
    service.gone("e")


def test_a_models_error_is_told_with_its_status(service: Hosting) -> None:
    service.endpoint("e", "errors")
    with pytest.raises(ClientError) as raised:
        service.invoke("e")
    response = raised.value.response
    assert response["Error"]["Code"] == "ModelError"
    assert (response["OriginalStatusCode"], response["OriginalMessage"]) == (500, "made to fail")
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 424


def test_a_stream_arrives_in_parts(service: Hosting) -> None:
    service.endpoint("e", "streams")
    answer = service.invoker.invoke_endpoint_with_response_stream(EndpointName="e", Body=b"1")
    parts = [event["PayloadPart"]["Bytes"] for event in answer["Body"]]
    assert b"".join(parts) == b"0123456789" * 20
    assert len(parts) >= 3
    assert (answer["ContentType"], answer["InvokedProductionVariant"]) == ("application/json", "streams")


def test_variants_share_the_traffic_by_weight_and_can_be_named(service: Hosting) -> None:
    service.endpoint("e", "a", "b", a={"InitialVariantWeight": 3})
    answers = [service.invoke("e")["Text"] for _ in range(8)]
    assert (answers.count('"a"'), answers.count('"b"')) == (6, 2)
    assert {service.invoke("e", TargetVariant="b")["Text"] for _ in range(3)} == {'"b"'}
    with pytest.raises(ClientError, match="Variant c of endpoint e not found"):
        service.invoke("e", TargetVariant="c")
    service.client.update_endpoint_weights_and_capacities(
        EndpointName="e", DesiredWeightsAndCapacities=[{"VariantName": "a", "DesiredWeight": 0}]
    )
    service.settled("e")
    until(lambda: {service.invoke("e")["Text"] for _ in range(4)} == {'"b"'}, 5)


def test_an_update_under_load_loses_no_request(service: Hosting) -> None:
    service.endpoint("e", "a")
    service.config_of("next", "b")
    with Traffic(service, "e") as traffic:
        time.sleep(0.5)
        service.client.update_endpoint(EndpointName="e", EndpointConfigName="next")
        with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
            service.client.delete_endpoint(EndpointName="e")
        assert service.settled("e")["EndpointConfigName"] == "next"
        time.sleep(1.0)
    assert traffic.errors == []
    assert set(traffic.answers) == {'"a"', '"b"'}
    assert service.invoke("e")["Text"] == '"b"'
    until(lambda: len(service.servers()) == 1, 10)


def test_requests_in_flight_end_before_their_server_does(service: Hosting) -> None:
    service.endpoint("e", "slow")
    service.config_of("next", "a")
    with Traffic(service, "e", threads=4, pause_seconds=0) as traffic:
        time.sleep(0.5)
        service.client.update_endpoint(EndpointName="e", EndpointConfigName="next")
        service.settled("e")
        time.sleep(1.0)
    assert traffic.errors == []
    assert traffic.answers['"slow"'] > 0


def test_an_update_to_a_broken_model_is_rolled_back_under_load(service: Hosting) -> None:
    service.endpoint("e", "a")
    service.config_of("next", "broken")
    with Traffic(service, "e") as traffic:
        service.client.update_endpoint(EndpointName="e", EndpointConfigName="next")
        described = service.settled("e")
    assert described["EndpointConfigName"] == "e-config"
    assert "exited with status 3" in described["FailureReason"]
    assert traffic.errors == []
    assert set(traffic.answers) == {'"a"'}


def test_instances_are_added_and_a_killed_one_is_replaced(service: Hosting) -> None:
    service.endpoint("e", "a", a={"InitialInstanceCount": 2})
    killed = service.pid("e", "a", 1)
    os.kill(killed, signal.SIGKILL)
    until(
        lambda: service.client.describe_endpoint(EndpointName="e")["ProductionVariants"][0]["CurrentInstanceCount"] < 2
    )
    assert service.invoke("e")["Text"] == '"a"'
    until(
        lambda: service.client.describe_endpoint(EndpointName="e")["ProductionVariants"][0]["CurrentInstanceCount"] == 2
    )
    assert service.pid("e", "a", 1) != killed


def test_a_stopped_instance_is_taken_out_and_comes_back(service: Hosting) -> None:
    service.endpoint("e", "a", a={"InitialInstanceCount": 2})
    stopped = service.pid("e", "a", 0)
    os.kill(stopped, signal.SIGSTOP)

    def in_service() -> int:
        described = service.client.describe_endpoint(EndpointName="e")
        return int(described["ProductionVariants"][0]["CurrentInstanceCount"])

    until(lambda: in_service() == 1, 30)
    time.sleep(0.5)  # a front looks at the routes twenty times a second
    assert {service.invoke("e")["Text"] for _ in range(4)} == {'"a"'}
    os.kill(stopped, signal.SIGCONT)
    until(lambda: in_service() == 2, 30)
    assert service.pid("e", "a", 0) == stopped


def test_a_killed_worker_leaves_the_servers_running_and_the_next_adopts_them(service: Hosting) -> None:
    service.endpoint("e", "a")
    before = service.pid("e", "a")
    with Traffic(service, "e") as traffic:
        service.kill("worker")
        time.sleep(3.0)
    assert traffic.errors == []
    assert service.pid("e", "a") == before
    os.kill(before, signal.SIGKILL)  # the new worker watches it
    until(lambda: service.found("e", "a") not in (None, before), 20)
    until(lambda: _answer_or_none(service) == '"a"', 10)


def test_a_killed_front_serves_again_within_five_seconds(service: Hosting) -> None:
    service.endpoint("e", "a")
    service.invoke("e")
    service.kill("front")
    began = time.monotonic()

    def answers() -> bool:
        try:
            return bool(service.invoke("e")["Text"] == '"a"')
        except Exception:  # the connection that was open is broken
            return False

    until(answers, 10)
    assert time.monotonic() - began < 5


def test_a_clean_stop_ends_the_servers_and_the_next_start_brings_them_back(service: Hosting) -> None:
    service.endpoint("e", "a")
    assert service.end() == 0
    assert service.servers() == []
    service.start()
    until(lambda: service.settled("e")["ProductionVariants"][0]["CurrentInstanceCount"] == 1)
    until(lambda: service.servers(), 20)
    assert until(lambda: _answer_or_none(service), 20) == '"a"'


def _answer_or_none(service: Hosting) -> str | None:
    try:
        return str(service.invoke("e")["Text"])
    except ClientError:
        return None


def test_what_is_captured_lies_in_the_store_in_awss_layout(service: Hosting) -> None:
    capture = {
        "EnableCapture": True,
        "InitialSamplingPercentage": 50,
        "DestinationS3Uri": "s3://bucket/captured",
        "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
        "CaptureContentTypeHeader": {"CsvContentTypes": ["text/csv"], "JsonContentTypes": ["application/json"]},
    }
    service.endpoint("e", "a", DataCaptureConfig=capture)
    for number in range(10):
        service.invoke("e", str(number).encode(), InferenceId=f"id-{number}")
    place = service.data / "s3" / "bucket" / "captured" / "e" / "a"

    def records() -> list[str]:
        return [line for file in place.rglob("*.jsonl") for line in file.read_text().splitlines()]

    until(lambda: len(records()) == 5, 10)
    assert all('"encoding":"CSV"' in record and '"inferenceId":"id-' in record for record in records())


def test_a_variant_that_this_host_cannot_be_fails_by_name(service: Hosting) -> None:
    service.client.create_endpoint_config(
        EndpointConfigName="big", ProductionVariants=[variant("a", InstanceType="ml.p4d.24xlarge")]
    )
    service.client.create_endpoint(EndpointName="e", EndpointConfigName="big")
    assert "This host cannot be ml.p4d.24xlarge" in service.settled("e")["FailureReason"]
    service.gone("e")
