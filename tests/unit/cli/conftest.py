"""A data directory with jobs in it, and the command line to look at them with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from modeldyno.app.compose import Dyno, open_dyno
from modeldyno.cli.commands import app
from modeldyno.domain.job import Job
from modeldyno.settings import Settings
from tests.unit.cli.stored import REGION, add_job, finish

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No configuration of the person who runs the tests reaches them."""
    monkeypatch.chdir(tmp_path)
    for name in ("DYNO_CONFIG", "DYNO_DATA_DIR", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def dyno(data_dir: Path) -> Iterator[Dyno]:
    opened = open_dyno(Settings(data_dir=str(data_dir)))
    yield opened
    opened.close()


@pytest.fixture
def run(data_dir: Path, dyno: Dyno) -> Run:
    """Run `dyno COMMAND ...` on the installation."""

    def invoke(command: str, *arguments: str) -> Result:
        return CliRunner().invoke(app, [command, *arguments, "--data-dir", str(data_dir)], prog_name="dyno")

    return invoke


@pytest.fixture
def ended(dyno: Dyno) -> Job:
    """A job ``churn`` that has ended: one trial measured, one failed."""
    job = add_job(dyno, "churn")
    finish(dyno, job)
    log = dyno.places.trial_log(REGION, "churn", 1)
    log.parent.mkdir(parents=True)
    log.write_text("Traceback\nValueError: no\n")
    return job
