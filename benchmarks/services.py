"""The services that are measured, as processes: `dyno up` and `moto_server`."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_SECONDS = 60.0


# Compiled modules are kept, as where it is installed: in a folder of this run's own, so that nothing else is changed
# or relied on. The first start fills it.
_COMPILED = tempfile.TemporaryDirectory(prefix="benchmarks-compiled-")
_ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
_ENVIRONMENT["PYTHONPYCACHEPREFIX"] = _COMPILED.name


def _command(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def _pinned(core: int | None) -> list[str]:
    """The command that starts another on one core: all that it starts stays there."""
    if core is None:
        return []
    pin = "import os, sys; os.sched_setaffinity(0, {int(sys.argv[1])}); os.execv(sys.argv[2], sys.argv[2:])"
    return [sys.executable, "-c", pin, str(core)]


@dataclass(frozen=True, slots=True)
class Service:
    """What was started, where it serves, and how long it took until it did."""

    process_id: int
    port: int
    seconds_to_ready: float


@contextmanager
def dyno_up(data_dir: Path, core: int | None = None) -> Iterator[Service]:
    """`dyno up` on a free port, ended in the end."""
    arguments = [_command("dyno"), "up", "--port", "0", "--data-dir", str(data_dir)]
    started_at = time.perf_counter()
    process = subprocess.Popen([*_pinned(core), *arguments], stdout=subprocess.PIPE, text=True, env=_ENVIRONMENT)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        seconds = time.perf_counter() - started_at
        if not line.startswith("ready "):
            raise RuntimeError(f"dyno up did not start; it said {line!r} and its logs are in {data_dir}/logs.")
        yield Service(process.pid, int(line.rsplit(":", 1)[1]), seconds)
    finally:
        process.terminate()
        process.wait(_SECONDS)


@contextmanager
def moto_server(core: int | None = None) -> Iterator[Service]:
    """moto's server on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    command = [*_pinned(core), _command("moto_server"), "-H", "127.0.0.1", "-p", str(port)]
    started_at = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=_ENVIRONMENT)
    try:
        deadline = time.monotonic() + _SECONDS
        while not _answers(port):
            if time.monotonic() > deadline or process.poll() is not None:
                raise RuntimeError("moto_server did not start.")
            time.sleep(0.05)
        yield Service(process.pid, port, time.perf_counter() - started_at)
    finally:
        process.terminate()
        process.wait(_SECONDS)


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def cpu_seconds(process_id: int) -> float:
    """What the process and all below it have used of processors so far."""
    ticks = 0
    for process in processes_of(process_id).values():
        after_name = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        ticks += int(after_name[11]) + int(after_name[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def processes_of(process_id: int) -> dict[str, int]:
    """The process and all below it, by what each is."""
    found = {"supervisor": process_id}
    waiting = [process_id]
    while waiting:
        parent = waiting.pop()
        for tasks in Path(f"/proc/{parent}/task").glob("*/children"):
            for child in map(int, tasks.read_text().split()):
                words = Path(f"/proc/{child}/cmdline").read_bytes().decode().split("\0")
                found[next((word.rpartition(".")[2] for word in words if "modeldyno." in word), str(child))] = child
                waiting.append(child)
    return found
