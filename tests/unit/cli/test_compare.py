"""Two jobs side by side on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from modeldyno.app.compose import Dyno
from modeldyno.domain.job import JobStatus
from modeldyno.domain.latency import bucket_of
from modeldyno.domain.measurement import Window
from modeldyno.domain.trial import Placement, TrialStatus
from tests.unit.cli.stored import HOST, add_job, measured_from

Run = Callable[..., Result]


def add_measured(dyno: Dyno, name: str, per_second: int, users: int = 4) -> None:
    """An ended job with one trial: twelve even windows of so many answers a second, give or take two."""
    job = add_job(dyno, name, trials=1)
    store, now = dyno.store, dyno.clock.now()
    store.heartbeat("worker", HOST, now, 60)
    claim = store.claim_trial("worker", lambda trial, busy: Placement((1,), None), now, 60)
    assert claim is not None
    latency = bucket_of(round(users / per_second * 1e9))
    windows = [
        Window(at, 1_800_000_000.0 + at, 1.0, users, {latency: per_second + (at * 7) % 5 - 2}) for at in range(12)
    ]
    for window in windows:
        assert store.add_window(claim.trial.id, claim.trial.attempt, window)
    trial, attempt = claim.trial.id, claim.trial.attempt
    assert store.finish_trial(trial, attempt, TrialStatus.COMPLETED, now, result=measured_from(windows))
    assert store.finish_job(job.id, JobStatus.COMPLETED, now)


@pytest.fixture
def three(dyno: Dyno) -> None:
    """Jobs ``before``, ``same`` and ``slower``."""
    for name, rate in (("before", 500), ("same", 501), ("slower", 400)):
        add_measured(dyno, name, rate)


@pytest.mark.usefixtures("three")
def test_the_same_twice_is_called_the_same(run: Run) -> None:
    shown = run("compare", "before", "same")
    assert shown.exit_code == 0, shown.stderr
    assert "B is the same: invocations a minute +0.2%" in shown.stdout
    assert "local.one · W=1" in shown.stdout


@pytest.mark.usefixtures("three")
def test_a_fifth_less_is_slower_with_interval_and_cost_and_still_status_0(run: Run) -> None:
    shown = run("compare", "before", "slower", "--json")
    assert shown.exit_code == 0, shown.stderr
    (pair,) = json.loads(shown.stdout)["pairs"]
    assert pair["verdict"] == "slower"
    figures = {figure["name"]: figure for figure in pair["figures"]}
    assert set(figures) == {"throughput", "p50", "p95", "p99", "cost"}
    assert figures["throughput"]["low_percent"] < -20 < figures["throughput"]["high_percent"] < 0
    assert figures["cost"]["difference_percent"] == pytest.approx(25, abs=0.5)
    assert figures["p95"]["decides"]


@pytest.mark.usefixtures("three")
def test_a_result_file_stands_for_a_job_and_another_host_is_told(run: Run, tmp_path: Path) -> None:
    written = json.loads(run("results", "before", "--json").stdout)
    hosts: list[dict[str, Any]] = [{"processor": "Fast", "cores": 64}, {"processor": "Slow", "cores": 2}]
    paths = []
    for name, host in zip("ab", hosts, strict=True):
        paths.append(tmp_path / f"{name}.json")
        paths[-1].write_text(json.dumps(written | {"host": host}))
    shown = run("compare", *map(str, paths))
    assert shown.exit_code == 0, shown.stderr
    assert "unlike hosts (Fast, 64 cores; Slow, 2 cores)" in " ".join(shown.stdout.split())


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["before", "nobody"], "nobody"),
        (["before", "missing.json"], "missing.json"),
        (["before", "broken.json"], "broken.json is no result document"),
        (["before", "short.json"], "short.json is no result document of Dyno: This result document is not whole"),
        (
            ["before", "odd.json"],
            "odd.json is no result document of Dyno: This result document is not what Dyno writes",
        ),
        (["before", "same", "--tolerance", "much"], "'much' is no percentage"),
    ],
)
def test_what_cannot_be_compared_is_one_line(run: Run, tmp_path: Path, arguments: list[str], said: str) -> None:
    (tmp_path / "broken.json").write_text("[1]")
    (tmp_path / "short.json").write_text('{"format": "dyno-result/1"}')
    (tmp_path / "odd.json").write_text('{"format": "dyno-result/1", "job": [], "trials": 1}')
    shown = run("compare", *arguments)
    assert shown.exit_code == (2 if "--tolerance" in arguments else 1)
    assert shown.stdout == ""
    assert said in shown.stderr
    assert shown.stderr.count("\n") == 1


def test_a_job_that_measured_nothing_cannot_be_compared(run: Run, dyno: Dyno) -> None:
    add_measured(dyno, "before", 500)
    add_job(dyno, "fresh")
    shown = run("compare", "before", "fresh")
    assert shown.exit_code == 1
    assert "fresh has no recommendation" in shown.stderr
