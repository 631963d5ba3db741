"""What a person sees of jobs on the command line."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from modeldyno.app.compose import Dyno
from modeldyno.cli.commands import app
from modeldyno.domain.job import Job
from tests.unit.cli.stored import add_job

Run = Callable[..., Result]


def test_jobs_are_listed_with_their_status(run: Run, ended: Job) -> None:
    shown = run("jobs")
    assert shown.exit_code == 0
    assert shown.stdout.splitlines()[1].split()[:3] == ["churn", "Default", "COMPLETED"]


def test_a_long_name_stands_on_one_line_and_a_package_by_its_short_name(run: Run, dyno: Dyno) -> None:
    name = "SMPYTHONSDK-1f807fcd-a728-413a-8dd4-c5bd8fcf7271"
    add_job(dyno, name, package="arn:aws:sagemaker:us-east-1:000000000000:model-package/churn/1")
    (line,) = run("jobs").stdout.splitlines()[1:]
    assert (line.split()[0], line.split()[-1]) == (name, "churn/1")


def test_no_jobs_is_said_and_not_an_empty_table(run: Run) -> None:
    shown = run("jobs")
    assert shown.exit_code == 0
    assert shown.stdout == ""
    assert shown.stderr == "No jobs in us-east-1.\n"


def test_looking_where_there_is_no_installation_says_so_and_makes_none(tmp_path: Path) -> None:
    nowhere = tmp_path / "typo"
    looking = (
        ["jobs"],
        ["logs", "churn"],
        ["results", "churn"],
        ["compare", "a", "b"],
        ["endpoints"],
        ["keys", "list"],
    )
    for command in looking:
        shown = CliRunner().invoke(app, [*command, "--data-dir", str(nowhere)], prog_name="dyno")
        assert shown.exit_code == 1, command
        assert shown.stderr.startswith(f"dyno: There is no installation in {nowhere}: ")
        assert "--data-dir" in shown.stderr
        assert not nowhere.exists(), command


def test_an_unknown_job_is_one_line_and_status_1(run: Run) -> None:
    for command in ("watch", "stop", "logs", "results", "delete"):
        shown = run(command, "nobody")
        assert shown.exit_code == 1, command
        assert shown.stdout == ""
        assert shown.stderr.startswith("dyno: ")
        assert "nobody" in shown.stderr
        assert shown.stderr.count("\n") == 1


def test_a_usage_error_is_status_2(run: Run) -> None:
    assert run("results").exit_code == 2
    assert run("results", "churn", "--json", "--csv").exit_code == 2
    assert run("nonsense").exit_code == 2


def test_results_are_a_ranked_table_with_doubts_and_failures(run: Run, ended: Job) -> None:
    text = run("results", "churn").stdout
    assert "Use local.one with W=1: 6,000 invocations a minute at 1.25 ms (P95)" in text
    assert "#1: There was no cgroup." in text
    assert "local.one · W=2: The model server exited with status 1." in text
    assert "ml.big was left out: it is too big." in text


def test_results_as_json_are_the_result_document_alone(run: Run, ended: Job) -> None:
    document = json.loads(run("results", "churn", "--json", "--target-per-minute", "20000").stdout)
    assert document["format"] == "dyno-result/1"
    assert len(document["trials"][0]["windows"]) == 3
    assert document["fleets"] == [
        {
            "rank": 1,
            "target_per_minute": 20000,
            "instances": 4,
            "usd_per_month": 4 * 0.04 * 730,
            "planned_by": "closed_loop",
        }
    ]


def test_results_as_csv_have_a_row_a_trial(run: Run, ended: Job) -> None:
    rows = list(csv.DictReader(io.StringIO(run("results", "churn", "--csv").stdout)))
    assert [row["status"] for row in rows] == ["COMPLETED", "FAILED"]
    assert rows[0]["capacity_per_minute"] == "6000.0"
    assert rows[1]["capacity_per_minute"] == ""


def test_results_go_to_a_file_when_one_is_named(run: Run, ended: Job, tmp_path: Path) -> None:
    page, table = tmp_path / "report.html", tmp_path / "report.txt"
    assert run("results", "churn", "--html", "--out", str(page)).stdout == ""
    assert run("results", "churn", "--out", str(table)).stdout == ""
    assert page.read_text().startswith("<!doctype html>")
    assert "6,000" in table.read_text()


def test_a_file_that_cannot_be_written_is_one_line(run: Run, ended: Job, tmp_path: Path) -> None:
    shown = run("results", "churn", "--csv", "--out", str(tmp_path / "no" / "where.csv"))
    assert shown.exit_code == 1
    assert shown.stderr == f"dyno: {tmp_path}/no/where.csv: No such file or directory\n"


def test_a_full_disk_is_told_with_the_file_that_it_met(run: Run, ended: Job) -> None:
    shown = run("results", ended.name, "--csv", "--out", "/dev/full")
    assert (shown.exit_code, shown.stderr) == (1, "dyno: /dev/full: No space left on device\n")


def test_logs_tell_the_story_and_the_whole_log_of_each_server(run: Run, ended: Job) -> None:
    text = run("logs", "churn").stdout
    assert "Planned 2 trials." in text
    assert "--- what the model server of trial 1 wrote ---\nTraceback\nValueError: no\n" in text


def test_logs_of_a_trial_that_is_not_there_say_how_many_there_are(run: Run, ended: Job) -> None:
    shown = run("logs", "churn", "2")
    assert shown.exit_code == 1
    assert shown.stderr == "dyno: The job churn has no trial 2; it has 2, counted from 0.\n"


def test_watching_an_ended_job_shows_it_and_returns(run: Run, ended: Job) -> None:
    shown = run("watch", "churn")
    assert shown.exit_code == 0
    assert "trial 0 (2 in all), local.one · W=1: COMPLETED, 4 users, 6,000 invocations/min" in shown.stdout
    assert "FAILED, The model server exited with status 1." in shown.stdout


def test_stopping_an_ended_job_is_refused(run: Run, ended: Job) -> None:
    shown = run("stop", "churn")
    assert shown.exit_code == 1
    assert "churn" in shown.stderr


def test_deleting_a_job_removes_its_records_logs_and_inputs(run: Run, dyno: Dyno, tmp_path: Path, ended: Job) -> None:
    assert run("delete", "churn").exit_code == 0
    assert run("logs", "churn").exit_code == 1
    assert not dyno.places.trial_log("us-east-1", "churn", 1).parent.exists()


def test_what_recommend_stored_for_a_job_goes_with_it(run: Run, dyno: Dyno) -> None:
    from modeldyno.cli.jobs import forget_inputs

    url = "s3://dyno-recommend/mine/model.tar.gz"
    dyno.objects.put(url, b"bytes")
    forget_inputs(dyno, "us-east-1", "mine")
    assert not dyno.objects.exists(url)


def test_a_file_is_put_where_jobs_find_it(run: Run, dyno: Dyno, tmp_path: Path) -> None:
    source = tmp_path / "payload.csv"
    source.write_text("1,2\n")
    assert run("put", str(source), "s3://bucket/some/payload.csv").stdout == "s3://bucket/some/payload.csv\n"
    assert dyno.objects.read("s3://bucket/some/payload.csv", 100) == b"1,2\n"


def test_a_bad_url_is_refused_in_one_line(run: Run, tmp_path: Path) -> None:
    source = tmp_path / "payload.csv"
    source.write_text("1,2\n")
    shown = run("put", str(source), "/not/s3")
    assert shown.exit_code == 1
    assert shown.stderr.startswith("dyno: ")
    assert "/not/s3" in shown.stderr


def test_the_version_is_told() -> None:
    assert CliRunner().invoke(app, ["--version"]).stdout.strip() == f"dyno {version('modeldyno')}"


def test_stopping_a_job_that_is_not_there_is_told_by_its_name(run: Run, dyno: Dyno) -> None:
    shown = run("stop", "nobody")
    assert (shown.exit_code, shown.stderr.strip()) == (1, "dyno: There is no job nobody.")


@pytest.mark.usefixtures("ended")
def test_an_output_that_cannot_show_every_letter_gets_the_others(data_dir: Path) -> None:
    command = [sys.executable, "-m", "modeldyno", "results", "churn", "--data-dir", str(data_dir)]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONIOENCODING": "ascii"}
    shown = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert (shown.returncode, shown.stderr) == (0, b"")
    assert b"local.one" in shown.stdout
