"""One host-wide lock: only one Dyno measures at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

import psutil

_PLACES = (Path("/var/lock"), Path("/tmp"))  # the same for every user, whatever their TMPDIR
_NAME = "modeldyno-measuring.lock"


class MeasuringLock:
    """Held while something is measured; the kernel gives it back when its holder dies.

    Another holder in the same process counts as another: one lock a worker.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or next((place for place in _PLACES if os.access(place, os.W_OK)), _PLACES[-1]) / _NAME
        self._descriptor: int | None = None

    def try_acquire(self) -> bool:
        """Take it if it is free; True also when it is held by this object already.

        Raises:
            OSError: the file can neither be opened nor made.
        """
        if self._descriptor is not None:
            return True
        descriptor = self._open()
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Give it back; nothing where it is not held."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None

    def holder(self) -> int | None:
        """The process id of who holds it; None when nobody does."""
        with contextlib.suppress(OSError, ValueError):
            pid = int(self.path.read_text())
            return pid if psutil.pid_exists(pid) else None
        return None

    def _open(self) -> int:
        """Open or make it, writable for all. O_CREAT on another user's file in a sticky directory is refused by
        ``fs.protected_regular``, so it comes second."""
        with contextlib.suppress(FileNotFoundError):
            return os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        with contextlib.suppress(PermissionError):
            os.fchmod(descriptor, 0o666)  # against the umask
        return descriptor
