"""Inference experiments on a real service, with unmodified boto3: their life, and the guarantees of the mirror."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.e2e.hosting import Hosting, Traffic, model_variant, shadow_config
from tests.e2e.service import ROLE, until

ROWS = '["cat"]'


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosting]:
    """One service for the whole module; each test leaves it as it was."""
    service = Hosting(tmp_path_factory.mktemp("hosting"))
    service.answers("prod", "--answer", ROWS).answers("good", "--answer", ROWS).answers("other", "--answer", '["dog"]')
    for way in ("deaf", "drips", "errors", "breaks"):
        service.answers(way, "--way", way)
    service.answers("broken", "--broken")
    service.start()
    for name in ("prod", "good", "other", "deaf", "drips", "errors", "breaks", "broken"):
        service.model(name)
    yield service
    service.end()
    assert service.left_behind() == []


@pytest.fixture
def service(running: Hosting) -> Iterator[Hosting]:
    yield running
    running.clear()


def report(service: Hosting, name: str) -> Any:
    command = [sys.executable, "-m", "modeldyno", "shadow", "report", name, "--json", "--data-dir", str(service.data)]
    done = subprocess.run([*command, "--config", str(service.config)], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def accounted(service: Hosting, name: str, eligible: int) -> dict[str, int]:
    """The accounting, once nothing is in flight."""

    def look() -> dict[str, int] | None:
        counts: dict[str, int] = report(service, name)["accounting"]
        return counts if counts["in_flight"] == 0 and counts["eligible"] >= eligible else None

    counts = until(look, 30)
    assert counts["eligible"] == sum(count for outcome, count in counts.items() if outcome != "eligible")
    return dict(counts)


# --- the life of an experiment ---


def test_one_runs_on_an_endpoint_and_is_completed_with_the_endpoint_as_before(service: Hosting) -> None:
    service.endpoint("e", "prod")
    before = service.pid("e", "prod")
    described = service.experiment("x", "e", "prod", "good", percent=50)
    assert {one["Status"] for one in described["ModelVariants"]} == {"InService"}
    assert described["EndpointMetadata"]["EndpointStatus"] == "InService"
    schedule = described["Schedule"]
    assert (schedule["EndTime"] - schedule["StartTime"]).days == 7
    assert service.pid("e", "prod") == before  # production is not deployed anew
    for _ in range(10):
        service.invoke("e")
    counts = accounted(service, "x", 10)
    assert (counts["compared"], counts["unsampled"]) == (5, 5)
    service.client.stop_inference_experiment(Name="x", ModelVariantActions={"prod": "Retain", "good": "Remove"})
    done = service.stands("x", "Completed")
    assert {one["VariantName"]: one["Status"] for one in done["ModelVariants"]} == {
        "prod": "InService",
        "good": "Deleted",
    }
    endpoint = service.settled("e")
    assert endpoint["EndpointConfigName"] == "e-config"
    assert "ShadowProductionVariants" not in endpoint
    assert service.pid("e", "prod") == before
    until(lambda: len(service.servers()) == 1, 20)


def test_promotion_under_load_loses_no_request(service: Hosting) -> None:
    service.endpoint("e", "prod")
    with Traffic(service, "e") as traffic:
        service.experiment("x", "e", "prod", "other")
        service.client.stop_inference_experiment(
            Name="x",
            ModelVariantActions={"prod": "Remove", "other": "Promote"},
            Reason="better",
            DesiredState="Completed",
        )
        assert service.stands("x", "Completed")["StatusReason"] == "better"
        time.sleep(0.5)
    assert traffic.errors == []
    assert set(traffic.answers) == {ROWS, '["dog"]'}
    (production,) = service.settled("e")["ProductionVariants"]
    assert production["VariantName"] == "other"


def test_one_makes_an_endpoint_where_there_is_none(service: Hosting) -> None:
    service.experiment("x", "fresh", "prod", "good")
    assert service.invoke("fresh")["Text"] == ROWS
    with pytest.raises(ClientError, match="belongs to the inference experiment x"):
        service.client.delete_endpoint(EndpointName="fresh")
    service.client.stop_inference_experiment(Name="x", ModelVariantActions={"prod": "Remove", "good": "Remove"})
    service.stands("x", "Completed")
    until(lambda: service.client.list_endpoints()["Endpoints"] == [], 20)
    service.client.delete_inference_experiment(Name="x")
    with pytest.raises(ClientError, match="Could not find inference experiment"):
        service.client.describe_inference_experiment(Name="x")


def test_a_shadow_that_cannot_start_cancels_it_and_production_goes_on(service: Hosting) -> None:
    service.endpoint("e", "prod")
    with Traffic(service, "e") as traffic:
        service.client.create_inference_experiment(
            Name="x",
            Type="ShadowMode",
            RoleArn=ROLE,
            EndpointName="e",
            ModelVariants=[model_variant("prod"), model_variant("broken")],
            ShadowModeConfig=shadow_config("prod", "broken", 100),
        )
        described = until(lambda: _ended(service, "x"))
    assert described["Status"] == "Cancelled"
    assert "exited with status 3" in described["StatusReason"]
    assert traffic.errors == []
    assert service.settled("e")["EndpointConfigName"] == "e-config"


def _ended(service: Hosting, name: str) -> Any:
    described = service.client.describe_inference_experiment(Name=name)
    return described if described["Status"] in ("Completed", "Cancelled") else None


def test_a_later_start_waits_and_can_be_started_by_hand(service: Hosting) -> None:
    service.endpoint("e", "prod")
    now = time.time()
    service.client.create_inference_experiment(
        Name="x",
        Type="ShadowMode",
        RoleArn=ROLE,
        EndpointName="e",
        Schedule={"StartTime": now + 3600, "EndTime": now + 7200},
        ModelVariants=[model_variant("prod"), model_variant("good")],
        ShadowModeConfig=shadow_config("prod", "good", 100),
    )
    service.stands("x", "Created")
    with pytest.raises(ClientError) as refused:
        service.client.stop_inference_experiment(Name="x", ModelVariantActions={"prod": "Retain", "good": "Remove"})
    assert refused.value.response["Error"]["Code"] == "ConflictException"
    service.client.start_inference_experiment(Name="x")
    service.stands("x", "Running")
    soon = time.time() + 2
    service.client.update_inference_experiment(Name="x", Schedule={"EndTime": soon})
    assert service.stands("x", "Completed")["CompletionTime"].timestamp() >= soon - 1


# --- the guarantees ---


def test_after_an_update_to_zero_has_answered_nothing_more_is_selected(service: Hosting) -> None:
    service.endpoint("e", "prod")
    service.experiment("x", "e", "prod", "good")
    with Traffic(service, "e"):
        time.sleep(0.5)
        service.client.update_inference_experiment(Name="x", ShadowModeConfig=shadow_config("prod", "good", 0))
        before = accounted_now(service)
        time.sleep(1.0)
    after = accounted(service, "x", 1)
    assert after["compared"] <= before + 2  # those in flight when the update answered
    assert after["unsampled"] > 10


def accounted_now(service: Hosting) -> int:
    """How many have been selected by now: written down within a second."""
    time.sleep(1.0)
    counts = report(service, "x")["accounting"]
    return int(counts["compared"] + counts["shadow_error"])


def test_a_clients_retries_are_mirrored_once(service: Hosting) -> None:
    service.endpoint("e", "prod")
    service.experiment("x", "e", "prod", "good")
    import urllib.request

    for attempt in range(3):
        headers = {"amz-sdk-invocation-id": "one-logical-request", "amz-sdk-request": f"attempt={attempt + 1}"}
        url = f"{service.url}/endpoints/e/invocations"
        urllib.request.urlopen(urllib.request.Request(url, b"1", headers)).read()
    assert accounted(service, "x", 1)["eligible"] == 1


_BAD = {"errors": "shadow_error", "breaks": "shadow_error", "deaf": "timeout", "drips": "timeout"}


@pytest.mark.parametrize(("shadow", "outcome"), _BAD.items())
def test_production_never_waits_for_a_bad_shadow(service: Hosting, shadow: str, outcome: str) -> None:
    service.endpoint("e", "prod")
    alone = latencies(service)
    service.experiment("x", "e", "prod", shadow)
    beside = latencies(service)
    assert max(beside) < 1.5  # the shadow's own limit is 3 s
    assert statistics.median(beside) < 5 * statistics.median(alone) + 0.05
    counts = accounted(service, "x", 40)
    assert counts[outcome] == 40


def latencies(service: Hosting, count: int = 40) -> list[float]:
    client = service.invoker
    taken = []
    for _ in range(count):
        began = time.monotonic()
        assert client.invoke_endpoint(EndpointName="e", Body=b"1")["Body"].read().decode() == ROWS
        taken.append(time.monotonic() - began)
    return taken


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
def test_production_never_waits_for_a_shadow_that_is_stopped_or_killed(
    service: Hosting, number: signal.Signals
) -> None:
    service.endpoint("e", "prod")
    service.experiment("x", "e", "prod", "good")
    os.kill(service.pid("e", "good"), number)
    taken = latencies(service)
    assert max(taken) < 1.5
    counts = accounted(service, "x", 40)
    assert counts["eligible"] == 40


@pytest.mark.parametrize("who", ["front", "worker"])
def test_an_experiment_goes_on_after_a_kill_and_every_request_is_accounted_for(service: Hosting, who: str) -> None:
    service.endpoint("e", "prod")
    service.experiment("x", "e", "prod", "good")
    sent = 0
    with Traffic(service, "e") as traffic:
        time.sleep(1.0)
        service.kill(who)
        time.sleep(5.0)
        sent = sum(traffic.answers.values())
        time.sleep(1.0)
        assert sum(traffic.answers.values()) > sent  # it serves again
    assert service.stands("x", "Running")
    counts = accounted(service, "x", sum(traffic.answers.values()))
    assert counts["compared"] + counts["lost_in_crash"] >= sum(traffic.answers.values())
    assert counts["lost_in_crash"] <= 50


def test_captures_survive_a_store_that_cannot_be_written(service: Hosting) -> None:
    service.endpoint("e", "prod")
    place = service.data / "s3" / "bucket" / "kept"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("a file where a directory is to be")
    service.experiment("x", "e", "prod", "good", DataStorageConfig={"Destination": "s3://bucket/kept/"})
    for number in range(5):
        service.invoke("e", str(number).encode(), InferenceId=f"id-{number}")
    time.sleep(1.5)
    service.kill("worker")
    place.unlink()

    def events(variant: str) -> set[str]:
        lines = [line for file in (place / "e" / variant).rglob("*.jsonl") for line in file.read_text().splitlines()]
        return {json.loads(line)["eventMetadata"]["inferenceId"] for line in lines}

    wanted = {f"id-{number}" for number in range(5)}
    until(lambda: events("prod") == wanted and events("good") == wanted, 30)


# --- the verdict ---


def test_a_shadow_that_says_otherwise_is_harmful_and_can_stop_itself(service: Hosting) -> None:
    service.endpoint("e", "prod")
    tags = [{"Key": "dyno:stop_when_harmful", "Value": "true"}]
    service.experiment("x", "e", "prod", "other", Tags=tags)
    with Traffic(service, "e"):
        described = until(lambda: _ended(service, "x"), 60)
    assert described["Status"] == "Cancelled"
    assert "the shadow is harmful" in described["StatusReason"]
    document = report(service, "x")
    assert document["verdict"] == "harmful"
    assert document["fields"][0]["field"] == "[]"
    assert service.settled("e")["EndpointConfigName"] == "e-config"


def test_the_report_tells_of_a_running_experiment_in_words_and_as_a_page(service: Hosting, tmp_path: Path) -> None:
    service.endpoint("e", "prod")
    service.experiment("x", "e", "prod", "good")
    with Traffic(service, "e"):
        time.sleep(2.0)
    page = tmp_path / "report.html"
    command = [sys.executable, "-m", "modeldyno", "shadow", "report", "x", "--data-dir", str(service.data)]
    command += ["--config", str(service.config)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "cannot tell yet" in text
    subprocess.run([*command, "--html", str(page)], check=True, capture_output=True)
    assert "Every request that could be mirrored" in page.read_text()


def refusals() -> list[tuple[str, Callable[[Any], Any], str]]:
    def create(client: Any, **more: Any) -> Any:
        given = {
            "Name": "x",
            "Type": "ShadowMode",
            "RoleArn": ROLE,
            "EndpointName": "e",
            "ModelVariants": [model_variant("prod"), model_variant("good")],
            "ShadowModeConfig": shadow_config("prod", "good", 50),
            **more,
        }
        return client.create_inference_experiment(**given)

    inf1 = [model_variant("prod"), model_variant("good", "ml.inf1.xlarge")]
    return [
        ("inf1", lambda client: create(client, ModelVariants=inf1), "Inf1"),
        ("percent", lambda client: create(client, ShadowModeConfig=shadow_config("prod", "good", 250)), "250"),
        ("own shadow", lambda client: create(client, ShadowModeConfig=shadow_config("prod", "prod", 5)), "own shadow"),
        ("stranger", lambda client: create(client, ShadowModeConfig=shadow_config("prod", "who", 5)), "who"),
        ("kms", lambda client: create(client, KmsKey="key"), "KmsKey"),
        ("31 days", lambda client: create(client, Schedule={"EndTime": time.time() + 31 * 86400 + 60}), "30 days"),
        ("past", lambda client: create(client, Schedule={"EndTime": time.time() - 60}), "EndTime"),
        (
            "no model",
            lambda client: create(client, ModelVariants=[model_variant("prod"), model_variant("gone")]),
            "gone",
        ),
    ]


def test_what_cannot_be_is_refused_by_name(service: Hosting) -> None:
    service.endpoint("e", "prod")
    client: Any = boto3.client(
        "sagemaker", endpoint_url=service.url, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="a"
    )
    for what, attempt, words in refusals():
        with pytest.raises(ClientError, match=words):
            attempt(client)
        assert client.list_inference_experiments()["InferenceExperiments"] == [], what
