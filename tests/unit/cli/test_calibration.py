"""`dyno doctor --calibrate`: for real, with fewer servers than a user gets."""

from __future__ import annotations

import functools
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import psutil
import pytest
from typer.testing import CliRunner

from modeldyno.cli import calibration
from modeldyno.cli.commands import app
from modeldyno.instances import host_lock
from modeldyno.instances.host_lock import MeasuringLock

ALONE = """
import sys
from pathlib import Path
from modeldyno.cli import main
from modeldyno.instances import host_lock
host_lock._PLACES = (Path(sys.argv.pop()),)
main()
"""


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether another Dyno measures on this host is none of these tests' business."""
    monkeypatch.setattr(host_lock, "_PLACES", (tmp_path,))


def test_figures_stand_beside_the_truth_of_the_same_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    cases = [case for case in calibration.CASES if case.name in ("fixed", "instant")]
    monkeypatch.setattr(calibration, "CASES", cases)
    result = CliRunner().invoke(app, ["doctor", "--calibrate", "--json"])
    assert result.exit_code == 0, result.output
    document = msgspec.json.decode(result.stdout)
    assert document["format"] == "dyno-calibration/1"
    fixed, instant = document["servers"]
    assert fixed["error"] == pytest.approx(
        0, abs=0.15
    )  # the host may be busy; that the truth is the recorded one shows
    assert 50 < fixed["truth_per_second"] < 100
    assert fixed["latencies"]["p50"]["recorded_ms"] >= 19
    assert fixed["latencies"]["p50"]["error_ms"] >= -0.2
    assert instant["truth_per_second"] is None
    assert instant["latencies"]["p50"]["recorded_ms"] < 1
    assert any(sentence.startswith("Capacity within ") for sentence in document["conclusions"])
    assert "1/2  2 workers of 20 ms" in result.stderr
    assert "requests/s" in result.stderr


def test_the_table_says_it_for_a_person(capsys: pytest.CaptureFixture[str]) -> None:
    from tests.unit.domain.test_calibration import found

    calibration.show([found(), found(20_000.0, None, title="answers at once", flags={"x": "it was busy"})])
    told = " ".join(capsys.readouterr().out.split())
    for words in ("-1.2%", "in the interval", "Capacity within 1.2% of the truth", "answers at once: it was busy."):
        assert words in told


def test_while_another_dyno_measures_it_does_not() -> None:
    other = MeasuringLock()
    assert other.try_acquire()
    try:
        result = CliRunner().invoke(app, ["doctor", "--calibrate"])
    finally:
        other.release()
    assert result.exit_code == 1
    assert "Another Dyno is measuring on this host (process " in result.stderr


def test_an_interrupted_calibration_leaves_nothing_behind(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    command = [sys.executable, "-c", ALONE, "doctor", "--calibrate", str(tmp_path)]
    environment = {"PATH": "/usr/bin:/bin", "TMPDIR": str(scratch)}
    heed = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # ignored where tests run in the background
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, preexec_fn=heed) as process:
        assert process.stderr is not None
        while "requests/s" not in (line := process.stderr.readline()):
            assert line, "it ended"
        started = psutil.Process(process.pid).children(recursive=True)
        assert len(started) >= 2  # the server and the generator
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    deadline = time.monotonic() + 5
    while any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in started):
        assert time.monotonic() < deadline, "something still runs"
        time.sleep(0.05)
    assert list(scratch.iterdir()) == []
    assert MeasuringLock().try_acquire()
