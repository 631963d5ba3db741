"""Starting and ending the service: each way it cannot start is one clear line and an exit status that is not 0."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import ssl
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest
import sqlalchemy
import trustme
from botocore.config import Config
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives import serialization

from tests.e2e.service import Service, running, until


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


def test_the_front_may_have_as_many_connections_as_the_system_lets_it(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, before[1]))
    try:
        with running(tmp_path) as service:
            assert service.children()["front"].rlimit(psutil.RLIMIT_NOFILE) == (before[1], before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


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
def test_what_other_machines_reach_is_served_with_tls_only(tmp_path: Path, host: str) -> None:
    line = refused("--host", host, "--data-dir", str(tmp_path))
    assert f"Other machines can reach {host}" in line
    assert "--tls-cert" in line


def test_without_a_key_nothing_is_served_that_other_machines_reach(tmp_path: Path) -> None:
    line = refused("--port", "0", "--data-dir", str(tmp_path), "--behind-tls-proxy")
    assert "dyno keys create" in line


def test_half_a_certificate_or_a_wrong_one_is_named(tmp_path: Path) -> None:
    assert "both --tls-cert and --tls-key" in refused("--tls-cert", "a.pem", "--data-dir", str(tmp_path))
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("nonsense")
    line = refused("--tls-cert", str(wrong), "--tls-key", str(wrong), "--data-dir", str(tmp_path))
    assert str(wrong) in line


def test_what_a_key_file_lacks_is_said(tmp_path: Path) -> None:
    missing = refused("--tls-cert", "none.pem", "--tls-key", "none.pem", "--data-dir", str(tmp_path))
    assert "none.pem" in missing
    assert "No such file" in missing
    issued = trustme.CA().issue_cert("127.0.0.1")
    certificate, key = tmp_path / "server.pem", tmp_path / "key.pem"
    issued.cert_chain_pems[0].write_to_path(str(certificate))
    plain = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None)
    kind = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
    key.write_bytes(plain.private_bytes(*kind, serialization.BestAvailableEncryption(b"open sesame")))
    line = refused("--tls-cert", str(certificate), "--tls-key", str(key), "--data-dir", str(tmp_path))
    assert f"The key {key} is encrypted" in line


def test_a_key_made_on_the_command_line_opens_the_door_over_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    issued.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "server.pem"))
    service = Service(tmp_path, f'[tls]\ncert = "{tmp_path}/server.pem"\nkey = "{tmp_path}/server.pem"\n')

    def dyno(*words: str) -> str:
        command = [sys.executable, "-m", "modeldyno", *words, "--data-dir", str(service.data)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout

    service.trust = ssl.create_default_context(cafile=str(tmp_path / "authority.pem"))
    made = json.loads(dyno("keys", "create", "--json", "--note", "mine"))
    service.start()
    try:
        assert service.url.startswith("https://")
        verify = str(tmp_path / "authority.pem")
        known = client(service.url, verify, made["AccessKeyId"], made["SecretAccessKey"])
        known.list_models()
        with pytest.raises(ClientError, match="UnrecognizedClientException"):
            client(service.url, verify, "any", "any").list_models()
        assert made["AccessKeyId"] in dyno("keys", "list")
        assert made["SecretAccessKey"] not in dyno("keys", "list")
        dyno("keys", "revoke", made["AccessKeyId"])
        until(lambda: is_refused(known))
    finally:
        assert service.process is not None
        service.process.terminate()
        assert service.end() == 0


def client(url: str, verify: str, key: str, secret: str) -> Any:
    return boto3.session.Session(key, secret, region_name="us-east-1").client(
        "sagemaker", endpoint_url=url, verify=verify, config=Config(retries={"total_max_attempts": 1})
    )


def is_refused(client: Any) -> bool:
    try:
        client.list_models()
    except ClientError as refusal:
        return str(refusal.response["Error"]["Code"]) == "UnrecognizedClientException"
    return False


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
