"""Whoever is killed, in whatever order: the endpoint serves again, every request is accounted for, nothing is left."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from tests.e2e.hosting import Hosting, Traffic, shadow_config
from tests.e2e.service import until
from tests.e2e.test_shadows import ROWS, accounted

ROUNDS = int(os.environ.get("DYNO_KILL_ROUNDS", "5"))
SEED = int(os.environ.get("DYNO_KILL_SEED", "3"))
WHO = ("front", "worker", "supervisor", "prod", "good", "both")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Hosting]:
    service = Hosting(tmp_path)
    for image in ("prod", "good"):
        service.answers(image, "--answer", ROWS)
    service.start()
    for image in ("prod", "good"):
        service.model(image)
    yield service
    service.end()
    assert service.left_behind() == []
    assert not list((service.data / "hosted").glob("*"))


def kill(service: Hosting, who: str) -> None:
    if who == "both":
        service.kill("worker")
        service.kill("front")
    elif who in ("prod", "good"):
        if found := service.found("e", who):
            with contextlib.suppress(ProcessLookupError):  # it may be gone already
                os.kill(found, signal.SIGKILL)
    else:
        service.kill(who)


def answers(service: Hosting) -> bool:
    try:
        return bool(service.invoke("e")["Text"] == ROWS)
    except (BotoCoreError, ClientError):
        return False


def test_whoever_is_killed_the_endpoint_serves_again_and_all_is_accounted_for(service: Hosting) -> None:
    chance = random.Random(SEED)
    service.endpoint("e", "prod", prod={"InitialInstanceCount": 2})
    service.experiment("x", "e", "prod", "good")
    served = 0
    for number in range(ROUNDS):
        who = chance.choice(WHO)
        with Traffic(service, "e") as traffic:
            time.sleep(chance.random())
            if chance.random() < 0.5:
                config = shadow_config("prod", "good", chance.choice((50, 100)))
                service.client.update_inference_experiment(Name="x", ShadowModeConfig=config)
            kill(service, who)
            began = time.monotonic()
            until(lambda: answers(service), 5 if who in ("front", "worker", "good", "both") else 20)
            print(f"round {number}: {who}, {len(traffic.errors)} errors, back after {time.monotonic() - began:.2f} s")
            time.sleep(0.5)
        served += sum(traffic.answers.values())
        if who == "good":
            assert traffic.errors == []
    assert service.stands("x", "Running")
    counts = accounted(service, "x", 1)
    assert counts["compared"] > 0
    assert counts["lost_in_crash"] <= 50 * ROUNDS
    service.client.stop_inference_experiment(Name="x", ModelVariantActions={"prod": "Remove", "good": "Promote"})
    service.stands("x", "Completed")
    assert answers(service)
    service.gone("e")
    assert service.servers() == []
