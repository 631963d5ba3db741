"""A run-off with real processes: held after the trials, survived a `kill -9` in its midst, and nothing is left."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from modeldyno.domain.trial import TrialStatus
from modeldyno.store.sql import open_store
from tests.e2e.service import TYPES, Service, running, until

# Both types cost the same, and a model that sleeps is as fast on either.
CONFIG = TYPES.replace("usd_per_hour = 0.02\n", "usd_per_hour = 0.04\n").replace(
    "run_off_seconds = 0", "run_off_seconds = 12\nmax_trial_seconds = 5"
)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    def prepare(made: Service) -> None:
        made.truth("truth:1", "--workers", "2", "--service-ms", "20")

    with running(tmp_path, config=CONFIG, prepare=prepare) as started:
        yield started


def contender_status(service: Service) -> TrialStatus | None:
    store = open_store(f"sqlite:///{service.data / 'dyno.sqlite'}", migrate=False, now=0.0)
    try:
        row = store.run_off(store.job("us-east-1", "job").id)
        return None if row is None else row.status
    finally:
        store.close()


@pytest.mark.timeout(200)
def test_a_run_off_survives_a_kill_and_is_no_step_of_the_job(service: Service) -> None:
    service.submit("job", "truth:1", "local.half", "local.one")
    until(lambda: contender_status(service) is TrialStatus.IN_PROGRESS and len(service.servers()) > 1, 90)
    service.kill("worker")
    job = service.ended("job", seconds=90)
    assert job["Status"] == "COMPLETED"
    assert len(job["InferenceRecommendations"]) == 2
    assert [step["Status"] for step in service.steps("job")] == ["COMPLETED", "COMPLETED"]
    assert contender_status(service) is TrialStatus.COMPLETED
    until(lambda: service.left_behind() == [], 10)
