"""`dyno recommend`: from files to a ranking, with a real server of known speed."""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from typer.testing import Result

from modeldyno.app.compose import Dyno
from modeldyno.domain.resource import Query

Run = Callable[..., Result]
CONFIG = f"""
[instances."local.one"]
vcpus = 1
memory_gib = 1
usd_per_hour = 0.04
example = true
[instances."local.huge"]
vcpus = 4000
usd_per_hour = 9.0
[runtimes."truth:1"]
command = ["{sys.executable}", "-m", "modeldyno.testing.truth_server", "--service-ms", "5"]
worker_variable = "WORKERS"
[measurement]
max_trial_seconds = 3
"""


@pytest.fixture
def inputs(tmp_path: Path) -> list[str]:
    """A model directory, a payload and a configuration."""
    (tmp_path / "dyno.toml").write_text(CONFIG)
    (tmp_path / "churn").mkdir()
    (tmp_path / "churn" / "weights.bin").write_bytes(b"1")
    (tmp_path / "request.csv").write_text("1,2\n")
    return [str(tmp_path / "churn"), "--payload", str(tmp_path / "request.csv"), "--content-type", "text/csv"]


def stored(dyno: Dyno) -> list[str]:
    return [job.name for job in dyno.store.find_jobs(Query("us-east-1")).items]


def test_a_dry_run_lists_trials_and_what_cannot_run_and_leaves_nothing(run: Run, dyno: Dyno, inputs: list[str]) -> None:
    types = ["--instance-types", "local.one,local.huge", "--env", "WORKERS=1,2"]
    shown = run("recommend", *inputs, "--image", "truth:1", *types, "--dry-run", "--json")
    assert shown.exit_code == 0, shown.stderr
    plan = json.loads(shown.stdout)
    assert [(trial["instance_type"], trial["environment"]) for trial in plan["trials"]] == [
        ("local.one", {"WORKERS": "1"}),
        ("local.huge", {"WORKERS": "1"}),
        ("local.one", {"WORKERS": "2"}),
        ("local.huge", {"WORKERS": "2"}),
    ]
    assert plan["estimated_seconds"] > 0
    assert plan["trials"][0]["cannot_run"] is None
    assert "4000 vCPUs" in plan["trials"][1]["cannot_run"]
    assert stored(dyno) == []
    table = run("recommend", *inputs, "--image", "truth:1", *types, "--dry-run").stdout
    assert (plan["tests"], plan["configurations"]) == (4, 4)
    assert "4 trials, about" in table
    assert "nothing was run" in table


def test_a_dry_run_of_more_than_fits_says_that_the_trials_choose(run: Run, inputs: list[str]) -> None:
    settings = ["--env", "WORKERS=1,2,3,4", "--env", "A=1,2,3,4", "--instance-types", "local.one"]
    shown = run("recommend", *inputs, "--image", "truth:1", *settings, "--dry-run", "--json")
    assert shown.exit_code == 0, shown.stderr
    plan = json.loads(shown.stdout)
    assert (plan["tests"], plan["configurations"]) == (10, 16)
    assert 0 < len(plan["trials"]) < 10
    assert plan["estimated_seconds"] == 10 * 30 + 40
    table = run("recommend", *inputs, "--image", "truth:1", *settings, "--dry-run").stdout
    assert "10 of 16 configurations, chosen as the trials go" in " ".join(table.split())


def test_the_framework_that_was_found_is_told(run: Run, inputs: list[str], tmp_path: Path) -> None:
    (tmp_path / "churn" / "code").mkdir()
    (tmp_path / "churn" / "code" / "inference.py").write_text("import sklearn\n")
    shown = run("recommend", *inputs, "--instance-types", "local.one", "--dry-run")
    assert shown.exit_code == 0, shown.stderr
    assert "Framework: scikit-learn newest version (code/inference.py imports it)." in shown.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "say --framework"),
        (["--framework", "pascal"], "'pascal' is not known: choose one of auto, scikit-learn"),
        (["--image", "nobody/knows:1"], "nobody/knows:1"),
        (["--image", "truth:1", "--instance-types", "local.two"], "local.two"),
        (["--image", "truth:1", "--env", "WORKERS"], "NAME=value1,value2"),
        (["--image", "truth:1", "--name", "no good"], "no good"),
    ],
)
def test_a_wish_that_cannot_be_met_is_one_line_and_nothing_is_stored(
    run: Run, dyno: Dyno, inputs: list[str], options: list[str], said: str
) -> None:
    shown = run("recommend", *inputs, *options)
    assert shown.exit_code == 1
    assert shown.stdout == ""
    assert said in shown.stderr
    assert stored(dyno) == []
    assert not (dyno.places.objects / "dyno-recommend").exists() or not any(
        (dyno.places.objects / "dyno-recommend").iterdir()
    )


@pytest.mark.timeout(200)
def test_a_model_is_measured_and_the_answer_is_json_alone_on_standard_output(
    run: Run, dyno: Dyno, inputs: list[str], tmp_path: Path
) -> None:
    page = tmp_path / "report.html"
    options = ["--image", "truth:1", "--instance-types", "local.one", "--name", "mine", "--max-p95-ms", "200"]
    shown = run("recommend", *inputs, *options, "--target-per-minute", "100000", "--json", "--html", str(page))
    assert shown.exit_code == 0, shown.stderr
    result = json.loads(shown.stdout)
    (best,) = result["recommendations"]
    assert best["instance_type"] == "local.one"
    assert result["job"]["threshold_ms"] == 200
    assert result["fleets"][0]["instances"] >= 100_000 // best["capacity_per_minute"]
    assert "trial 0 (1 in all), local.one: COMPLETED" in shown.stderr
    assert page.read_text().startswith("<!doctype html>")
    again = run("recommend", *inputs, *options)
    assert again.exit_code == 1
    assert "mine" in again.stderr
    assert run("delete", "mine").exit_code == 0
    assert not dyno.objects.exists("s3://dyno-recommend/mine/model.tar.gz")


@pytest.mark.timeout(200)
def test_an_interrupt_stops_the_job_and_leaves_no_process(dyno: Dyno, data_dir: Path, inputs: list[str]) -> None:
    options = ["--image", "truth:1", "--instance-types", "local.one", "--name", "mine", "--data-dir", str(data_dir)]
    command = [sys.executable, "-m", "modeldyno", "recommend", *inputs, *options]
    heed = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # ignored where tests run in the background
    pipes = {"stderr": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen(command, **pipes, text=True, preexec_fn=heed)  # type: ignore[call-overload]
    assert process.stderr is not None
    next(line for line in process.stderr if line.startswith("trial 0"))
    process.send_signal(signal.SIGINT)
    drain = threading.Thread(target=process.stderr.read)
    drain.start()
    assert process.wait(60) == 130
    drain.join()
    process.stderr.close()
    assert process.stdout is not None
    process.stdout.close()
    assert str(dyno.store.job("us-east-1", "mine").status) == "STOPPED"
    assert not _with_directory(data_dir)


def _with_directory(data_dir: Path) -> list[int]:
    """Processes that mention the data directory in their arguments or environment."""
    found = []
    for process in psutil.process_iter():
        try:
            told = [*process.cmdline(), *process.environ().values()]
        except psutil.Error:
            continue
        if process.pid != os.getpid() and any(str(data_dir) in text for text in told):
            found.append(process.pid)
    return found
