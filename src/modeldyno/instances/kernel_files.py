"""Small files of the kernel: read and written whole, and gone without complaint."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def read_text(path: Path) -> str | None:
    """The content; None when it cannot be read."""
    try:
        return path.read_text()
    except OSError:
        return None


def read_number(path: Path) -> int | None:
    """The one number in it; None when there is none (``max``, or no file)."""
    text = (read_text(path) or "").strip()
    return int(text) if text.isdigit() else None


def read_table(path: Path) -> dict[str, int]:
    """Lines of a word and a number."""
    rows = (line.split() for line in (read_text(path) or "").splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit()}


def read_pids(path: Path) -> list[int]:
    """The process ids in a ``cgroup.procs``."""
    return [int(line) for line in (read_text(path) or "").split()]


def remove_group(path: Path) -> bool:
    """Remove a cgroup directory with its children; False when it is still busy."""
    try:
        for child in [entry for entry in path.iterdir() if entry.is_dir()]:
            remove_group(child)
        path.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return not path.exists()
    return True


def wait_until(condition: Callable[[], bool], seconds: float, pause_seconds: float = 0.01) -> bool:
    """Whether `condition()` came true within `seconds`; asked again after each pause."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= end:
            return False
        time.sleep(pause_seconds)
    return True


def send_signal(pids: Iterable[int], number: int) -> None:
    """Signal each of them that is still there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def core_busy_seconds(proc_stat: str) -> dict[int, float]:
    """Seconds each core has worked for anyone since boot, from ``/proc/stat``, in ticks of 10 ms.

    **Source:** proc_stat(5): user, nice, system, irq and softirq; guest time is in user already; steal is not ours.
    """
    busy: dict[int, float] = {}
    for line in proc_stat.splitlines():
        fields = line.split()
        if fields and fields[0].startswith("cpu") and fields[0] != "cpu":
            user, nice, system, _, _, irq, softirq = (int(field) for field in fields[1:8])
            busy[int(fields[0][3:])] = (user + nice + system + irq + softirq) / _TICKS_PER_SECOND
    return busy
