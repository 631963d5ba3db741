"""Where things lie in a data directory, and the lock that says it is in use.

DATA_DIR/
  dyno.sqlite       records (unless --database says otherwise)      backups/  copies made before a migration
  s3/bucket/key     what s3:// points to; users may place files here
  results/REGION/JOB/result.json                                    logs/REGION/JOB/trial-N.log, logs/*.log
  work/ instances/  of running jobs; empty when nothing runs        cache/environments/  built by content
  hosted/           models of endpoints        spool/  what fronts wrote down of requests, until the worker has taken it

What is made here is its user's alone. Where model servers are another user and see the host's own directories (root
without mounts), that user may go through to its own, and list nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from modeldyno.domain.errors import ServiceError
from modeldyno.settings import Settings

_PRIVATE, _PASSED = 0o700, 0o711


def default_data_dir() -> Path:
    """DYNO_DATA_DIR, else /var/lib/dyno for root on Linux, else the user's data directory."""
    named = os.environ.get("DYNO_DATA_DIR")
    if named:
        return Path(named)
    if sys.platform.startswith("linux") and os.geteuid() == 0:
        return Path("/var/lib/dyno")
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "dyno"


@dataclass(frozen=True, slots=True)
class Places:
    """The paths under one data directory."""

    root: Path

    @property
    def database(self) -> Path:
        """The file of the embedded database."""
        return self.root / "dyno.sqlite"

    @property
    def database_url(self) -> str:
        """The embedded database."""
        return f"sqlite:///{self.database}"

    @property
    def results(self) -> Path:
        """The exact figures of ended jobs."""
        return self.root / "results"

    @property
    def backups(self) -> Path:
        """Copies of the database made before a migration."""
        return self.root / "backups"

    @property
    def objects(self) -> Path:
        """What ``s3://`` points to."""
        return self.root / "s3"

    @property
    def work(self) -> Path:
        """Unpacked models and payloads of running jobs."""
        return self.root / "work"

    @property
    def hosted(self) -> Path:
        """Unpacked models of endpoints."""
        return self.root / "hosted"

    @property
    def spool(self) -> Path:
        """What fronts wrote down of requests, until the worker has taken it."""
        return self.root / "spool"

    @property
    def instances(self) -> Path:
        """State of deployed servers."""
        return self.root / "instances"

    @property
    def environments(self) -> Path:
        """Built Python environments."""
        return self.root / "cache" / "environments"

    @property
    def logs(self) -> Path:
        """Log files."""
        return self.root / "logs"

    def trial_log(self, region: str, job: str, index: int) -> Path:
        """Where the server of a trial writes."""
        return self.logs / region / job / f"trial-{index}.log"

    def server_log(self, region: str, endpoint: str, variant: str, index: int) -> Path:
        """Where a server of an endpoint writes."""
        return self.logs / region / "_endpoints" / endpoint / f"{variant}-{index}.log"

    def result(self, region: str, job: str) -> Path:
        """The exact figures of an ended job."""
        return self.results / region / job / "result.json"

    def forget(self, region: str, job: str) -> None:
        """Remove the files of one job."""
        shutil.rmtree(self.logs / region / job, ignore_errors=True)
        shutil.rmtree(self.result(region, job).parent, ignore_errors=True)

    def prune(self, before: float) -> None:
        """Remove logs of trials and endpoints, and results, not touched since `before` (seconds since the epoch)."""
        for pattern in ("logs/*/*/", "logs/*/_endpoints/*/", "results/*/*/"):
            for entry in self.root.glob(pattern):
                if (
                    entry.is_dir()
                    and entry.name != "_endpoints"
                    and all(path.stat().st_mtime < before for path in entry.rglob("*"))
                ):
                    shutil.rmtree(entry, ignore_errors=True)

    def make(self) -> None:
        """Make the directory. One that is there keeps its rights: they are somebody's wish.

        Raises:
            ServiceError: it cannot be made or written.
        """
        try:
            if not self.root.is_dir():
                _make(self.root, _PASSED if _is_passed_by_servers() else _PRIVATE)
            for place in (self.objects, self.logs, self.results, self.backups, self.spool):
                _make(place, _PRIVATE)
            for place in (self.instances, self.work, self.hosted, self.environments.parent):
                _make(place, _PASSED)
        except OSError as error:
            raise ServiceError(f"Cannot use the data directory {self.root}: {error.strerror}.") from error

    def make_database(self) -> None:
        """See to it that the embedded database, new or old, is its user's alone. SQLite gives its other files the same
        rights.

        A file that is there is not opened: closing it would end the locks of every connection that this process has.
        Source: sqlite.org/howtocorrupt.html, 2.2.
        """
        with contextlib.suppress(OSError):  # opening it will tell
            with contextlib.suppress(FileExistsError):
                os.close(os.open(self.database, os.O_CREAT | os.O_EXCL, _PRIVATE & 0o666))
            self.database.chmod(_PRIVATE & 0o666)


def _make(place: Path, mode: int) -> None:
    if not place.is_dir():
        place.mkdir(parents=True)
        place.chmod(mode)


def _is_passed_by_servers() -> bool:
    from modeldyno.instances.launch import why_no_mounts

    return os.geteuid() == 0 and why_no_mounts() is not None


def places_of(settings: Settings) -> Places:
    """The data directory that the settings name, or the default one."""
    root = Path(settings.data_dir).expanduser() if settings.data_dir else default_data_dir()
    return Places(root.absolute())


class DirectoryLock:
    """Who serves a data directory: held by `dyno up`, or by a command that runs a job by itself.

    An advisory lock of the kernel (flock): it ends with the process that holds it, however that ends.
    """

    def __init__(self, places: Places) -> None:
        self._path = places.root / "lock"
        self._file: IO[str] | None = None

    @property
    def descriptors(self) -> tuple[int, ...]:
        """The descriptor that holds the lock, to be handed to children: it is theirs, too, until the last one ends."""
        return () if self._file is None else (self._file.fileno(),)

    def try_acquire(self, orphaned_seconds: float = 0.0) -> bool:
        """Whether the lock is ours now. When the process that took it is gone, but not yet its children, wait
        that long."""
        if self._file is not None:
            return True
        handle = self._path.open("a+")
        began = time.monotonic()
        while not _locked(handle):
            patience = orphaned_seconds / 10 if _runs(self.holder()) else orphaned_seconds
            if time.monotonic() - began >= patience:
                handle.close()
                return False
            time.sleep(0.1)
        handle.seek(0)
        handle.truncate()
        handle.write(f"{os.getpid()}\n")
        handle.flush()
        self._file = handle
        return True

    def tell(self, url: str) -> None:
        """Write down where the one who holds it serves."""
        assert self._file is not None
        self._file.write(f"{url}\n")
        self._file.flush()

    def holder(self) -> str:
        """The process id of who holds it, as it wrote it; empty when unknown."""
        return self._told(0)

    def url(self) -> str | None:
        """Where the data directory is served just now; None when nobody does."""
        if self._file is None and self.try_acquire():
            self.release()
            return None
        return self._told(1) or None

    def _told(self, line: int) -> str:
        try:
            lines = self._path.read_text().splitlines()
        except OSError:
            return ""
        return lines[line] if line < len(lines) else ""

    def release(self) -> None:
        """Let go."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _locked(handle: IO[str]) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _runs(process_id: str) -> bool:
    try:
        os.kill(int(process_id), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True
