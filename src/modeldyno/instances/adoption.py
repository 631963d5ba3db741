"""What is known of an instance beside its processes: the ledger in its directory, enough to end it or to adopt it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

import psutil

_FILE = "instance.json"
# No process ends with it: nobody of ours was there to be told the real one.
_UNKNOWN_STATUS = 1 << 16
# Both are of the kernel's clock ticks, and were read by two processes.
_SAME_START_SECONDS = 1.0


class Process(Protocol):
    """The first process of an instance: a child of ours, or one that outlived its parent."""

    @property
    def pid(self) -> int:
        """Its id."""
        ...

    def poll(self) -> int | None:
        """Its exit status once it has ended."""
        ...

    def terminate(self) -> None:
        """SIGTERM."""
        ...

    def kill(self) -> None:
        """SIGKILL."""
        ...


@dataclass(frozen=True, slots=True)
class Ledger:
    """What is written of an instance: where its groups are, by controller, from the beginning; the rest when a lasting
    one is ready. `url` empty: it is not, or not lasting. `started`: by the system's clock, with the id it names a
    process for ever."""

    tag: str = ""
    directories: dict[str, str] = field(default_factory=dict)
    pid: int = 0
    started: float = 0.0
    url: str = ""
    flags: dict[str, str] = field(default_factory=dict)
    runtime: str = ""
    effective_environment: dict[str, str] = field(default_factory=dict)
    log_start: int = 0
    spare_bytes: int = 0


def write_ledger(directory: Path, ledger: Ledger) -> None:
    """Write it, whole or not at all."""
    document = asdict(ledger)
    if ledger.pid:
        document["started"] = psutil.Process(ledger.pid).create_time()
    part = directory / f"{_FILE}.part"
    part.write_text(json.dumps(document))
    part.replace(directory / _FILE)


def read_ledger(directory: Path) -> Ledger:
    """The ledger; an empty one where it is not written (yet)."""
    try:
        return Ledger(**json.loads((directory / _FILE).read_text()))
    except (OSError, ValueError, TypeError):
        return Ledger()


def adopted(ledger: Ledger) -> Process | None:
    """The living process of a ledger; None when it has ended, or another has its id."""
    if not ledger.url:
        return None
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(ledger.pid)
        same = abs(process.create_time() - ledger.started) < _SAME_START_SECONDS
        if same and process.status() != psutil.STATUS_ZOMBIE:
            return _Stranger(process)
    return None


class _Stranger:
    """A process that is not our child."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        return int(self._process.pid)

    def poll(self) -> int | None:
        with contextlib.suppress(psutil.Error):
            if self._process.is_running() and self._process.status() != psutil.STATUS_ZOMBIE:
                return None
        return _UNKNOWN_STATUS

    def terminate(self) -> None:
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def how_it_ended(status: int | None) -> str | None:
    """An exit status in words; None while there is none."""
    if status is None:
        return None
    if status == _UNKNOWN_STATUS:
        return "ended (how is not known: it outlived the worker that started it)"
    if status >= 0:
        return f"exited with status {status}"
    with contextlib.suppress(ValueError):
        return f"killed by {signal.Signals(-status).name}"
    return f"killed by signal {-status}"
