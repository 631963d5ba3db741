"""`dyno load` drives a server and tells what it can do."""

from __future__ import annotations

import functools
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from modeldyno.cli.commands import app
from modeldyno.testing.truth_server import Service, read_record


def load(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["load", *map(str, arguments)], prog_name="dyno")


def document(*arguments: object) -> dict[str, Any]:
    result = load(*arguments, "--json")
    assert result.exit_code == 0, result.output
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


@pytest.fixture
def body(tmp_path: Path) -> Path:
    path = tmp_path / ".body.json"
    path.write_bytes(b"[1, 2]")
    return path


@pytest.fixture
def record(tmp_path: Path) -> Path:
    return tmp_path / "record"


@pytest.fixture
def url(record: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "modeldyno.testing.truth_server", "--workers", "2", "--service-ms", "5"]
    with subprocess.Popen([*command, "--record", str(record)], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield server.stdout.readline().split()[1]
        server.terminate()


def test_a_closed_loop_is_told_with_intervals(url: str, body: Path) -> None:
    answer = document(f"{url}/invocations", "--users", 4, "--duration", 2, "--body", body)
    assert (answer["loop"], answer["users"], answer["method"]) == ("closed", 4, "POST")
    low, high = answer["requests_per_second_interval"]
    assert low <= answer["requests_per_second"] <= high
    assert answer["requests_per_second"] <= 2 / 0.005
    percentiles = [answer[f"{name}_us"] for name in ("p50", "p90", "p95", "p99", "p99_9", "p99_99")]
    assert percentiles == sorted(percentiles)
    assert answer["p50_us_interval"][0] <= answer["p50_us"] <= answer["p50_us_interval"][1]
    assert answer["failed"] == {}
    assert answer["bytes_received"] > 0
    assert 0 < answer["generator_cpu_share"] < 1
    assert answer["generator_delay_share"] >= 0


def test_every_request_is_told_also_the_last_ones(url: str, body: Path, record: Path, tmp_path: Path) -> None:
    raw = tmp_path / "records.npz"
    answer = document(
        f"{url}/invocations", "--rate", 150, "--duration", 0.5, "--body", body, "--raw", raw, "--processes", 2
    )
    assert (answer["loop"], answer["arrivals"], answer["rate_per_second"]) == ("open", "poisson", 150)
    services: tuple[Service, ...] = ()
    while len(services) < answer["raw"]["records"]:  # the server writes its records once a second
        services = read_record(record)
    with np.load(raw) as records:
        assert len(records["status"]) == answer["raw"]["records"] == len(services)
        assert set(records["status"]) == {200}
    assert answer["raw"]["cut"] is False
    assert answer["offered"] <= answer["raw"]["records"]


def test_words_for_a_person_and_progress_beside_them(url: str, body: Path) -> None:
    result = load(f"{url}/invocations", "--rate", 40, "--arrivals", "constant", "--duration", 1, "--body", body)
    assert result.exit_code == 0
    assert "open loop, constant arrivals, 40/s" in result.stdout
    for word in ("requests/s", "p50", "p99.9", "failed", "received", "offered", "of a core"):
        assert word in result.stdout
    assert "requests/s, p95" in result.stderr


def test_without_a_body_it_gets_any_path(url: str) -> None:
    assert document(f"{url}/ping", "--duration", 0.3)["failed"] == {}
    found = load(f"{url}/nowhere?a=b", "--duration", 0.3, "--json")
    missing = json.loads(found.stdout)
    assert found.exit_code == 1
    assert missing["failed"] == {"http_404": missing["requests"]}
    assert missing["p50_us"] is None
    assert "100.00%" in load(f"{url}/nowhere", "--duration", 0.3).stdout


def test_an_interrupted_load_tells_what_it_has(url: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "modeldyno", "load", f"{url}/ping", "--duration", "600", "--json"]
    command += ["--raw", str(tmp_path / "raw.npz"), "--users", "2", "--processes", "2"]
    heed = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # ignored where tests run in the background
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, text=True, preexec_fn=heed) as process:  # type: ignore[call-overload]
        assert process.stderr.readline()
        process.send_signal(signal.SIGINT)
        shown, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    answer = json.loads(shown)
    assert answer["interrupted"]
    assert 0 < answer["requests"] <= answer["raw"]["records"]
    assert len(np.load(tmp_path / "raw.npz")["status"]) == answer["raw"]["records"]


def test_several_generators_share_the_users(url: str, body: Path) -> None:
    answer = document(f"{url}/invocations", "--users", 3, "--processes", 2, "--duration", 1, "--body", body)
    mean_users = answer["requests_per_second"] * answer["p50_us"] / 1e6
    assert 2 < mean_users < 4  # Little's law
    assert answer["processes"] == 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--users", 1, "--rate", 1), "not both"),
        (("--rate", 0), "--rate must be from 0.001 to 10,000,000"),
        (("--rate", 1e-300), "--rate must be from 0.001"),
        (("--arrivals", "constant"), "give --rate"),
        (("--duration", 0), "--duration must be above 0"),
        (("--timeout", 0), "--timeout must be above 0"),
        (("--content-type", "a/b"), "give --body"),
        (("--processes", 2), "as many --users"),
        (("--header", "no colon"), "is not a header"),
    ],
)
def test_contradictions_are_refused(arguments: tuple[object, ...], told: str) -> None:
    result = load("http://127.0.0.1:1/", *arguments)
    assert result.exit_code == 2
    assert told in result.stderr


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://127.0.0.1/", "is not an http:// URL"),
        ("http:///path", "is not an http:// URL"),
        ("http://[::1/", "is no URL"),
        ("http://127.0.0.1:99999/", "is no URL"),
        ("http://user:secret@127.0.0.1/", "--header 'Authorization"),
    ],
)
def test_only_http_is_driven(url: str, told: str) -> None:
    result = load(url)
    assert result.exit_code == 2
    assert told in result.stderr
    assert "secret" not in result.stderr


def test_a_header_that_frames_the_message_is_refused(body: Path) -> None:
    result = load("http://127.0.0.1:1/", "--body", body, "--header", "Content-Length: 5")
    assert result.exit_code == 1
    assert "generator's own" in result.stderr


def test_where_no_request_succeeded_the_figures_are_told_and_the_status_is_1(body: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}/"
        result = load(url, "--duration", 0.5, "--body", body, "--json")
    assert result.exit_code == 1
    assert list(json.loads(result.stdout)["failed"]) == ["connection_refused"]
    assert result.stderr.endswith("dyno: no request succeeded.\n")


def test_a_disk_that_has_no_room_for_the_records_takes_no_figure(url: str) -> None:
    result = load(f"{url}/ping", "--duration", 0.5, "--raw", "/dev/full", "--json")
    assert result.exit_code == 1
    answer = json.loads(result.stdout)
    assert answer["requests_per_second"] > 0
    assert answer["raw"] is None
    assert result.stderr.endswith("dyno: /dev/full: No space left on device\n")


def test_a_directory_of_bodies_without_one_is_called_that(url: str, tmp_path: Path) -> None:
    (tmp_path / "bodies").mkdir()
    result = load(f"{url}/invocations", "--duration", 0.5, "--body-dir", tmp_path / "bodies")
    assert result.exit_code == 1
    assert "directory of payloads holds no files" in result.stderr
