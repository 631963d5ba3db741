"""The log that a model server writes, which may be without end."""

from __future__ import annotations

import contextlib
from pathlib import Path

from modeldyno.instances.contract import mebibytes

_TAIL_BYTES = 64 * 1024
# Chosen: an hour of a talkative server; one that prints in a loop writes gigabytes a second.
_LONGEST_BYTES = 64 * 1024**2


def cut_log(path: Path, start: int) -> None:
    """Drop all but the end of what was written from `start` on, when that is too long; a server goes on behind it. One
    that has been pruned, or is on a disk that is full, stays as it is."""
    with contextlib.suppress(OSError):
        if path.stat().st_size - start < _LONGEST_BYTES:
            return
        told = f"[Dyno: the log was over {mebibytes(_LONGEST_BYTES)} MiB, only its end is kept]\n".encode()
        with path.open("r+b") as log:
            log.seek(-_TAIL_BYTES, 2)
            kept = told + log.read(_TAIL_BYTES)
            log.seek(start)  # in place: whatever the server appends meanwhile comes after it
            log.write(kept)
            log.truncate()


def log_tail(path: Path, start: int, lines: int) -> str:
    """The last lines of what was written from `start` on."""
    with contextlib.suppress(OSError), path.open("rb") as log:
        size = log.seek(0, 2)
        log.seek(max(start, size - _TAIL_BYTES))
        return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])
    return ""
