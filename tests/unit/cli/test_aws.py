"""What the AWS CLI is told by `dyno aws`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner, Result

from modeldyno.app.compose import Dyno
from modeldyno.app.places import DirectoryLock
from modeldyno.cli import aws
from modeldyno.cli.commands import app
from modeldyno.domain.errors import ServiceError
from modeldyno.domain.key import AccessKey
from modeldyno.settings import Settings, TlsSetting

Run = Callable[..., Result]
OLD, NEW = AccessKey("DYNO1", "s1", 1.0), AccessKey("DYNO2", "s2", 2.0)
GONE = AccessKey("DYNO3", "s3", 3.0, revoked_at=4.0)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, data_dir: Path) -> list[tuple[list[str], dict[str, str]]]:
    """The words and the variables with which a program would have been started."""
    program = tmp_path / "bin" / "aws"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    monkeypatch.setenv("DYNO_DATA_DIR", str(data_dir))
    monkeypatch.setattr(aws, "sys", SimpleNamespace(executable=str(tmp_path / "nowhere" / "python")))
    found: list[tuple[list[str], dict[str, str]]] = []
    monkeypatch.setattr(aws.os, "execve", lambda path, words, variables: found.append((words[1:], variables)))
    return found


@pytest.fixture
def aws_of_dyno() -> Run:
    """Run `dyno aws ...`."""
    return lambda *words: CliRunner().invoke(app, ["aws", *words], prog_name="dyno")


def test_everything_behind_the_first_word_is_the_aws_clis(aws_of_dyno: Run, told: list) -> None:
    shown = aws_of_dyno("--port", "7", "sagemaker", "list-models", "--port", "8")
    assert shown.exit_code == 0, shown.output
    ((words, variables),) = told
    assert words == ["--endpoint-url", "http://127.0.0.1:7", "sagemaker", "list-models", "--port", "8"]
    assert variables["AWS_ENDPOINT_URL"] == "http://127.0.0.1:7"
    assert variables["AWS_DEFAULT_REGION"] == "us-east-1"


def test_the_running_service_is_found_in_its_data_directory(dyno: Dyno) -> None:
    lock = DirectoryLock(dyno.places)
    assert lock.url() is None
    assert lock.try_acquire()
    lock.tell("https://0.0.0.0:4711")
    try:
        assert DirectoryLock(dyno.places).url() == "https://0.0.0.0:4711"
    finally:
        lock.release()
    assert DirectoryLock(dyno.places).url() is None


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("http://0.0.0.0:80", "http://localhost:80"),
        ("https://[::]:80", "https://localhost:80"),
        ("http://[::1]:80", "http://[::1]:80"),
    ],
)
def test_every_address_is_asked_by_the_name_of_this_machine(given: str, url: str) -> None:
    assert aws.reachable(given) == url


def test_settings_tell_where_it_is() -> None:
    settings = Settings(host="::1", port=1, tls=TlsSetting(cert="c", key="k"))
    assert aws.url_of(settings, None, None) == "https://[::1]:1"
    assert aws.url_of(settings, "dyno.example", 2) == "https://dyno.example:2"


def test_the_newest_valid_key_signs_unless_another_is_set() -> None:
    keys = (OLD, NEW, GONE)
    assert aws.variables({}, "u", keys)["AWS_SECRET_ACCESS_KEY"] == "s2"
    assert aws.variables({"AWS_ACCESS_KEY_ID": "DYNO1"}, "u", keys)["AWS_SECRET_ACCESS_KEY"] == "s1"
    assert aws.variables({"AWS_ACCESS_KEY_ID": "DYNO3"}, "u", keys)["AWS_ACCESS_KEY_ID"] == "DYNO2"
    assert aws.variables({}, "u", ())["AWS_ACCESS_KEY_ID"] == "any"
    with pytest.raises(ServiceError, match="dyno keys create"):
        aws.variables({}, "u", (GONE,))


def test_what_points_elsewhere_is_taken_away() -> None:
    given = {"AWS_PROFILE": "p", "AWS_ENDPOINT_URL_S3": "e", "AWS_SESSION_TOKEN": "t", "AWS_PAGER": "", "HOME": "/h"}
    kept = aws.variables(given, "http://d", ())
    assert {name for name in given if name in kept} == {"AWS_PAGER", "HOME"}
    assert kept["AWS_ENDPOINT_URL"] == "http://d"


def test_without_the_aws_cli_it_is_said_what_to_install(
    aws_of_dyno: Run, told: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    shown = aws_of_dyno("sts", "get-caller-identity")
    assert shown.exit_code == 1
    assert "pip install 'modeldyno[aws]'" in shown.stderr
    assert told == []
