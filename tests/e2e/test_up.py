"""Starting and ending the service: each way it cannot start is one clear line and an exit status that is not 0."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
import sqlalchemy

from tests.e2e.service import Service, running


def refused(*options: str, env: dict[str, str] | None = None) -> str:
    """The one line that `dyno up` ends with; its exit status is not 0 and nothing is on its standard output."""
    command = [sys.executable, "-m", "modeldyno", "up", *options]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, env={**os.environ, **(env or {})})
    assert ended.returncode != 0
    assert ended.stdout == ""
    assert len(ended.stderr.splitlines()) == 1, ended.stderr
    return ended.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    service = Service(tmp_path).start()
    children = service.children()
    assert set(children) == {"front", "worker"}
    assert service.process is not None
    service.process.send_signal(number)
    assert service.end() == 0
    assert not any(child.is_running() for child in children.values())


def test_health_is_answered_and_a_foreign_host_header_is_refused(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        with urllib.request.urlopen(f"{service.url}/health") as answer:
            assert answer.status == 200
        foreign = urllib.request.Request(f"{service.url}/health", headers={"Host": "evil.example"})
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(foreign)


def test_a_busy_port_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        line = refused("--port", str(port), "--data-dir", str(tmp_path))
    assert f"Cannot serve on 127.0.0.1:{port}: Address already in use" in line
    assert "--port" in line


def test_a_data_directory_in_use_is_named_with_its_user(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        line = refused("--port", "0", "--data-dir", str(service.data))
        assert service.process is not None
        assert f"{service.data} is in use by process {service.process.pid}" in line


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.com"])
def test_only_loopback_is_served(tmp_path: Path, host: str) -> None:
    line = refused("--host", host, "--data-dir", str(tmp_path))
    assert "loopback only" in line
    assert host in line


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("port = ", "Invalid value"),
        ('port = "x"', "Expected `int`, got `str` - at `$.port`"),
        ("prot = 1", "unknown field `prot`"),
    ],
)
def test_an_unreadable_configuration_is_named(tmp_path: Path, text: str, words: str) -> None:
    config = tmp_path / "dyno.toml"
    config.write_text(text)
    line = refused("--config", str(config), "--data-dir", str(tmp_path / "data"))
    assert str(config) in line
    assert words in line
    assert "Cannot read the configuration" in refused("--config", str(tmp_path / "none.toml"))


def test_a_data_directory_of_a_newer_dyno_is_refused(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        database = service.data / "dyno.sqlite"
    engine = sqlalchemy.create_engine(f"sqlite:///{database}")
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE dyno_schema SET version_num = '9999'")
    engine.dispose()
    before = database.read_bytes()
    assert "newer Dyno" in refused("--port", "0", "--data-dir", str(service.data))
    assert database.read_bytes() == before


def test_a_data_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    line = refused("--port", "0", "--data-dir", str(blocked / "data"))
    assert f"Cannot use the data directory {blocked / 'data'}" in line


def test_jobs_and_models_are_there_after_a_restart(tmp_path: Path) -> None:
    with running(tmp_path, prepare=lambda service: service.truth("truth:1")) as service:
        arn = "arn:aws:iam::111122223333:role/service-role/recommender"
        service.client.create_model(ModelName="kept", ExecutionRoleArn=arn, PrimaryContainer={"Image": "truth:1"})
        service.end()
        service.start()
        assert service.client.describe_model(ModelName="kept")["ModelName"] == "kept"


def test_modules_of_the_directory_it_is_started_in_are_not_taken_for_its_own(tmp_path: Path) -> None:
    for name in ("uv", "msgspec", "modeldyno"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('a stray module')")
    with running(tmp_path) as service:
        assert set(service.children()) == {"front", "worker"}


def test_the_configuration_of_the_directory_it_is_started_in_is_found(tmp_path: Path) -> None:
    (tmp_path / "dyno.toml").write_text("prot = 1")
    command = [sys.executable, "-m", "modeldyno", "up", "--data-dir", str(tmp_path / "data")]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert ended.returncode != 0
    assert "unknown field `prot`" in ended.stderr
