"""`dyno check`: the exit status is the answer, with a real server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import Result

from modeldyno.app.catalogue import build_catalogue
from modeldyno.app.compose import Dyno
from modeldyno.cli.checking import chosen_configurations, default_type
from modeldyno.cli.recommending import submit
from modeldyno.cli.request import Wish
from modeldyno.domain.host import Cgroup, Host
from modeldyno.settings import InstanceSetting, Settings

Run = Callable[..., Result]
CONFIG = f"""
[instances."local.one"]
vcpus = 1
memory_gib = 1
usd_per_hour = 0.04
[instances."local.two"]
vcpus = 1
memory_gib = 2
[runtimes."truth:1"]
command = ["{sys.executable}", "-m", "modeldyno.testing.truth_server", "--service-ms", "5"]
worker_variable = "WORKERS"
[runtimes."broken:1"]
command = ["{sys.executable}", "-c", "raise SystemExit('no model here')"]
[measurement]
max_trial_seconds = 5
startup_seconds = 20
"""


@pytest.fixture
def inputs(tmp_path: Path) -> list[str]:
    """A model directory, a payload, a type and a configuration."""
    (tmp_path / "dyno.toml").write_text(CONFIG)
    (tmp_path / "churn").mkdir()
    (tmp_path / "churn" / "weights.bin").write_bytes(b"1")
    (tmp_path / "request.csv").write_text("1,2\n")
    payload = ["--payload", str(tmp_path / "request.csv"), "--content-type", "text/csv"]
    return [str(tmp_path / "churn"), *payload, "--instance-types", "local.one"]


@pytest.mark.timeout(200)
@pytest.mark.parametrize(("least", "status"), [("1", 0), ("50000000", 1)])
def test_the_status_is_the_answer_also_where_nobody_reads_it(
    inputs: list[str], data_dir: Path, least: str, status: int
) -> None:
    command = [sys.executable, "-m", "modeldyno", "check", *inputs, "--image", "truth:1", "--min-per-minute", least]
    command += ["--data-dir", str(data_dir)]
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as nobody:
        done = subprocess.run(command, stdout=nobody, stderr=subprocess.PIPE, check=False)
    assert done.returncode == status, done.stderr.decode()


@pytest.mark.timeout(200)
def test_what_keeps_its_rules_is_status_0_and_what_cannot_is_status_1(
    run: Run, inputs: list[str], tmp_path: Path, data_dir: Path
) -> None:
    baseline = tmp_path / "result.json"
    kept = ["--max-p95-ms", "30000", "--min-per-minute", "1", "--result", str(baseline), "--json"]
    passed = run("check", *inputs, "--image", "truth:1", *kept)
    assert passed.exit_code == 0, passed.stdout + passed.stderr
    answer = json.loads(passed.stdout)
    assert answer["finding"] == "passes"
    rules = answer["configurations"][0]["rules"]
    assert [rule["rule"] for rule in rules] == [
        "answers",
        "P95 at most 30000 ms",
        "at least 1 invocations a minute",
    ]
    known = json.loads(baseline.read_text())
    stored = json.loads(next(data_dir.glob(f"results/*/{known['job']['name']}/result.json")).read_text())
    assert stored["host"] == known["host"]  # whoever wrote it, and on whichever core
    other = run("check", *inputs[:-1], "local.two", "--image", "truth:1", "--baseline", str(baseline))
    assert (other.exit_code, other.stdout) == (2, "")
    assert "The baseline has no answer for local.two: it measured local.one." in other.stderr
    taken = run("check", *inputs, "--image", "truth:1", "--min-per-minute", "1", "--name", known["job"]["name"])
    assert (taken.exit_code, taken.stdout) == (2, "")
    assert f"There is a job {known['job']['name']} already" in taken.stderr
    junit = tmp_path / "junit.xml"
    asked = ["--min-per-minute", "50000000", "--baseline", str(baseline), "--tolerance", "99%", "--junit", str(junit)]
    failed = run("check", *inputs, "--image", "truth:1", *asked)
    assert failed.exit_code == 1, failed.stdout + failed.stderr
    assert "It fails." in failed.stdout
    assert "too few" in " ".join(failed.stdout.split())
    suite = ElementTree.parse(junit).getroot().find("testsuite")
    assert suite is not None
    assert suite.get("failures") == "1"
    cases = {case.get("name"): case for case in suite.iter("testcase")}
    assert cases["at least 50,000,000 invocations a minute"].find("failure") is not None
    assert cases["throughput at most 99% worse than the baseline's"].find("failure") is None


@pytest.mark.timeout(100)
def test_a_model_that_cannot_be_served_is_status_1_with_its_reason_and_log(
    run: Run, inputs: list[str], tmp_path: Path
) -> None:
    junit = tmp_path / "junit.xml"
    shown = run("check", *inputs, "--image", "broken:1", "--min-per-minute", "1", "--junit", str(junit))
    assert shown.exit_code == 1, shown.stderr
    assert "exited with status 1" in " ".join(shown.stdout.split())
    assert "no model here" in junit.read_text()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "say what to check"),
        (["--baseline", "missing.json"], "missing.json"),
        (["--min-per-minute", "1", "--tolerance", "0"], "'0' is no percentage"),
        (["--min-per-minute", "1", "--tolerance", "0.05"], "write 0.05% or 5%"),
        (["--min-per-minute", "1", "--junit", "nowhere/x.xml"], "--junit nowhere/x.xml cannot be written: No such"),
        (["--min-per-minute", "1", "--result", "/"], "--result / cannot be written: Is a directory"),
        (["--min-per-minute", "1", "--instance-types", "ml.p4d.24xlarge"], "This host cannot be ml.p4d.24xlarge"),
        (["--min-per-minute", "1", "--image", "nobody/knows:1"], "nobody/knows:1"),
    ],
)
def test_a_check_that_cannot_be_made_is_status_2(run: Run, inputs: list[str], options: list[str], said: str) -> None:
    shown = run("check", *inputs, "--image", "truth:1", *options)
    assert shown.exit_code == 2
    assert shown.stdout == ""
    assert said in " ".join(shown.stderr.split())


def test_the_type_of_a_check_leaves_the_generator_a_core_where_one_does() -> None:
    own = {
        "local.small": InstanceSetting(1, 1, usd_per_hour=9.0),
        "local.other": InstanceSetting(1, 1, usd_per_hour=8.0),
    }
    two = Host("here", (0, 1), 32_000, "x86_64", Cgroup.V2, root=True)
    assert default_type(build_catalogue(Settings(instances=own)), two) == "local.other"
    assert default_type(build_catalogue(Settings()), two) == "ml.c5.large"


def test_each_configuration_of_a_check_is_judged_so_each_is_measured_to_the_end(
    dyno: Dyno, inputs: list[str], tmp_path: Path
) -> None:
    wish = Wish(
        tmp_path / "churn", tmp_path / "request.csv", "text/csv", None, None, "sagemaker-xgboost:1.7-1", (), None, {}
    )
    job = submit(dyno, "us-east-1", chosen_configurations(dyno, wish, None), "checked")
    assert job.spec.thorough
    assert not submit(dyno, "us-east-1", replace(wish, instance_types=("ml.c5.large",)), "recommended").spec.thorough
