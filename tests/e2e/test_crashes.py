"""`kill -9` of any process at any moment: nothing is lost, duplicated or left behind."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from modeldyno.store.sql import open_store
from tests.e2e.service import Service, running, until

LOAD = {"TrafficType": "PHASES", "Phases": [{"InitialNumberOfUsers": 4, "SpawnRate": 0, "DurationInSeconds": 3}]}
POINTS = {
    "when the job was just stored": lambda service: True,
    "while a server starts": lambda service: bool(service.servers()),
    "under load": lambda service: under_load(service),
    "after the first trial": lambda service: "COMPLETED" in statuses(service),
}


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    def prepare(made: Service) -> None:
        made.truth("truth:1", "--workers", "2", "--service-ms", "20", "--startup-seconds", "0.5")

    with running(tmp_path, prepare=prepare) as started:
        yield started


def submit(service: Service, trials: int) -> None:
    ranges = [{"Name": "A", "Value": ["1", "2"]}, {"Name": "B", "Value": ["1", "2", "3"][: trials // 2]}]
    service.submit(
        "job",
        "truth:1",
        configurations=[
            {
                "InstanceType": "local.one",
                "EnvironmentParameterRanges": {"CategoricalParameterRanges": ranges},
            }
        ],
        traffic=LOAD,
    )


def statuses(service: Service) -> list[str]:
    return [step["Status"] for step in service.steps("job")]


def under_load(service: Service) -> bool:
    """Whether a trial has been in service for a while, by its stored windows."""
    store = open_store(f"sqlite:///{service.data / 'dyno.sqlite'}", migrate=False, now=0.0)
    try:
        job = store.job("us-east-1", "job")
        return any(len(store.windows(trial.id)) >= 2 for trial in store.trials(job.id))
    finally:
        store.close()


def check(service: Service, trials: int) -> None:
    job = service.ended("job", seconds=90)
    assert job["Status"] == "COMPLETED", job
    assert statuses(service) == ["COMPLETED"] * trials
    assert len({row["RecommendationId"] for row in job["InferenceRecommendations"]}) == trials
    until(lambda: service.left_behind() == [], 10)


@pytest.mark.timeout(200)
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("victim", ["worker", "supervisor"])
def test_a_job_survives_a_kill(service: Service, point: str, victim: str) -> None:
    submit(service, 2)
    until(lambda: POINTS[point](service))
    finished = [step for step in service.steps("job") if step["Status"] == "COMPLETED"]
    service.kill(victim)
    check(service, 2)
    assert [step for step in service.steps("job") if step in finished] == finished


@pytest.mark.timeout(120)
def test_the_front_is_back_at_once_and_no_call_fails(service: Service) -> None:
    submit(service, 2)
    for _ in range(3):
        service.kill("front")
        assert service.job("job")["JobName"] == "job"
        until(lambda: "front" in service.children())
    check(service, 2)


@pytest.mark.timeout(400)
def test_a_job_survives_twenty_kills_at_random_moments(service: Service) -> None:
    chance = random.Random(20)
    submit(service, 6)
    for _ in range(20):
        time.sleep(chance.uniform(0.05, 2.5))
        service.kill(chance.choice(["worker", "front", "supervisor"]))
    check(service, 6)
