"""The whole service on PostgreSQL."""

from __future__ import annotations

from pathlib import Path

import pytest

from modeldyno.testing.postgres import postgres_server
from tests.e2e.service import Service, until

LOAD = {"TrafficType": "PHASES", "Phases": [{"InitialNumberOfUsers": 4, "SpawnRate": 0, "DurationInSeconds": 6}]}


@pytest.mark.postgres
@pytest.mark.timeout(180)
def test_a_job_on_postgresql_survives_a_restart_of_the_database(tmp_path: Path) -> None:
    with postgres_server() as database:
        service = Service(tmp_path)
        service.truth("truth:1", "--workers", "2", "--service-ms", "20")
        service.start("--database", database.url(database.new_database()))
        try:
            service.submit("job", "truth:1", configurations=[{"InstanceType": "local.one"}], traffic=LOAD)
            until(service.servers)
            database.stop()
            database.start()
            job = service.ended("job")
            assert job["Status"] == "COMPLETED", job
            (row,) = job["InferenceRecommendations"]
            assert row["Metrics"]["MaxInvocations"] > 4000
            assert not (service.data / "dyno.sqlite").exists()
        finally:
            service.end()
        assert service.left_behind() == []
