"""Servers that misbehave for real, under the real generator; the search on them: tests/unit/domain."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from modeldyno.domain.measurement import Window, failure_share
from modeldyno.domain.quality import flags_of
from modeldyno.domain.statistics import relative_half_width
from modeldyno.domain.trial import Flag
from modeldyno.load.process import ProcessGenerator
from modeldyno.ports import LoadTarget
from modeldyno.testing.truth_server import Service, read_record, true_per_second, within

BODIES = {"a.csv": b"1\n", "b.csv": b"1\n", "c.csv": b"1\n", "d.csv": b"40\n"}


@contextlib.contextmanager
def serving(record: Path, *options: object) -> Iterator[tuple[int, str]]:
    """A known-truth server on the last core: its process id and URL."""
    command = [sys.executable, "-m", "modeldyno.testing.truth_server", "--port", "0", "--record", str(record)]
    with subprocess.Popen([*command, *map(str, options)], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            os.sched_setaffinity(server.pid, {max(os.sched_getaffinity(0))})
            yield server.pid, server.stdout.readline().split()[1]
        finally:
            server.terminate()


async def load(url: str, place: Path, *, users: int, count: int, pid: int) -> list[Window]:
    """So many whole windows, with the server's memory."""
    payloads = place / "payloads"
    payloads.mkdir()
    for name, body in BODIES.items():
        (payloads / name).write_bytes(body)
    target = LoadTarget(url, payloads, "text/csv", None, 1, cores=(min(os.sched_getaffinity(0)),))
    server, windows = psutil.Process(pid), []
    async with ProcessGenerator().drive(target) as session:
        await session.set_users(users)
        async for window in session.windows():
            windows.append(replace(window, memory_bytes=server.memory_info().rss))
            if sum(not each.settling for each in windows) == count:
                return [each for each in windows if not each.settling]
    raise AssertionError("the windows ended")


async def measured(place: Path, *options: object, users: int = 2, count: int = 3) -> tuple[list[Window], Path]:
    record = place / "record"
    with serving(record, *options) as (pid, url):
        windows = await load(url, place, users=users, count=count, pid=pid)
    return windows, record


def served(windows: list[Window], record: Path) -> tuple[Service, ...]:
    return within(read_record(record), windows[0].started_at, windows[-1].started_at + windows[-1].duration_seconds)


def per_second(windows: list[Window]) -> float:
    return sum(window.succeeded for window in windows) / sum(window.duration_seconds for window in windows)


def told(windows: list[Window], load: list[Window] | None = None) -> dict[Flag, str]:
    width = relative_half_width(windows)
    return flags_of(windows, relative_half_width=width, foreign_share=None, stopped=False, load=load or windows)


async def test_a_server_that_pauses_is_counted_with_its_pauses_and_told(tmp_path: Path) -> None:
    options = ("--workers", 2, "--service-ms", 5, "--pause-every", 1.5, "--pause-seconds", 0.5)
    windows, record = await measured(tmp_path, *options, users=4, count=4)
    assert per_second(windows) == pytest.approx(true_per_second(served(windows, record), 2), rel=0.1)
    assert {Flag.UNEVEN, Flag.NOT_SETTLED} <= told(windows).keys()


async def test_a_server_that_leaks_time_and_memory_is_told(tmp_path: Path) -> None:
    options = ("--service-ms", 2, "--leak-share", 0.02, "--leak-bytes", 50_000)
    windows, _ = await measured(tmp_path, *options, users=1, count=5)
    assert Flag.SLOWED in told(windows[-2:], windows)
    assert Flag.MEMORY_GROWS in told(windows)


async def test_a_server_that_throttles_itself_is_told(tmp_path: Path) -> None:
    options = ("--service-ms", 10, "--throttle-after", 2.5, "--throttle-factor", 6)
    windows, _ = await measured(tmp_path, *options, users=1, count=5)
    assert Flag.SLOWED in told(windows[-2:], windows)
    assert Flag.NOT_SETTLED in told(windows)


async def test_a_server_that_says_that_it_closes_a_connection_is_counted_right(tmp_path: Path) -> None:
    windows, record = await measured(tmp_path, "--workers", 2, "--service-ms", 5, "--close-every", 5)
    assert failure_share(windows) == 0
    assert sum(window.succeeded for window in windows) == pytest.approx(len(served(windows, record)), abs=3)
    assert per_second(windows) < true_per_second(served(windows, record), 2)  # opening them anew is part of it


async def test_a_server_that_closes_connections_in_silence_is_told(tmp_path: Path) -> None:
    options = ("--workers", 2, "--service-ms", 5, "--close-every", 5, "--close-silently")
    windows, record = await measured(tmp_path, *options)
    kinds = {kind for window in windows for kind in window.failed}
    assert kinds <= {"connection_reset"}
    assert sum(window.succeeded for window in windows) == pytest.approx(len(served(windows, record)), abs=3)
    assert (Flag.ERRORS in told(windows)) == bool(kinds)


async def test_instant_answers_are_no_proof_of_the_servers_speed(tmp_path: Path) -> None:
    windows, _ = await measured(tmp_path, "--service-ms", 0, users=4)
    assert told(windows).keys() & {Flag.GENERATOR_BUSY, Flag.GENERATOR_DELAYED, Flag.LITTLES_LAW}
    assert per_second(windows) > 500


async def test_payloads_of_very_different_cost_are_counted_as_what_they_took(tmp_path: Path) -> None:
    options = ("--workers", 2, "--service-ms", 2, "--cost-from-body")
    windows, record = await measured(tmp_path, *options, users=6, count=4)
    truth = true_per_second(served(windows, record), 2)
    assert per_second(windows) == pytest.approx(truth, rel=0.15)
    times = sorted(one.ended_ns - one.started_ns for one in served(windows, record))
    assert times[-1] > 5 * times[0]
