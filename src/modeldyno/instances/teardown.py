"""The end of an instance: SIGTERM, two seconds, SIGKILL, until nothing is left of it."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import secrets
import shutil
import signal
import time
from pathlib import Path

from modeldyno.instances.adoption import Process
from modeldyno.instances.kernel_files import send_signal, wait_until
from modeldyno.instances.limits import Group

GRACE_SECONDS = 2.0
# A killed process frees its memory first; a model of hundreds of GiB takes seconds.
_KILL_SECONDS = 60.0
_KILL_AGAIN_SECONDS = 0.5
_REMOVE_SECONDS = 10.0

log = logging.getLogger(__name__)


def end_instance(
    group: Group, directory: Path, process: Process | None = None, grace_seconds: float = GRACE_SECONDS
) -> None:
    """End every process of the group, then remove the group and the directory. Blocks until all is gone.

    Idempotent; may be called for what a dead Dyno left behind (no `process`).
    """
    if grace_seconds and not _is_empty(group, process):
        if process is not None:  # it may not have joined its group yet
            process.terminate()
        send_signal(group.pids(), signal.SIGTERM)
        wait_until(lambda: _is_empty(group, process), grace_seconds)
    if not _kill(group, process):
        log.error("Processes %s of %s cannot be killed.", group.pids(), directory.name)
    if not wait_until(group.remove, _REMOVE_SECONDS):
        log.error("The cgroup of %s cannot be removed.", directory.name)
    if directory.exists() and not remove_tree(directory):
        log.error("The directory %s cannot be removed.", directory)


def remove_tree(directory: Path) -> bool:
    """Remove whatever a server made there, be it deeper than Python's own removal can go; whether it is gone."""
    with contextlib.suppress(RecursionError):
        shutil.rmtree(directory, onerror=_make_writable)
    if directory.exists():
        with contextlib.suppress(OSError):
            _flatten(directory)
    return not directory.exists()


def _flatten(directory: Path) -> None:
    """Remove folders of any depth: what is in a folder is moved up to the top, until there is nothing in any."""
    names = (directory / f"{secrets.token_hex(8)}-{number}" for number in itertools.count())
    while entries := list(os.scandir(directory)):
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                os.remove(entry.path)
                continue
            os.chmod(entry.path, 0o700)
            for child in list(os.scandir(entry.path)):
                if child.is_dir(follow_symlinks=False):
                    os.chmod(child.path, 0o700)
                os.rename(child.path, next(names))
            os.rmdir(entry.path)
    os.rmdir(directory)


def _kill(group: Group, process: Process | None) -> bool:
    end = time.monotonic() + _KILL_SECONDS
    while not _is_empty(group, process):
        if time.monotonic() > end:
            return False
        group.kill()
        if process is not None:
            process.kill()
        wait_until(lambda: _is_empty(group, process), _KILL_AGAIN_SECONDS)
    return True


def _is_empty(group: Group, process: Process | None) -> bool:
    return (process is None or process.poll() is not None) and not group.pids()


def _make_writable(function: object, path: str, _: object) -> None:
    """A server may have taken the write right from its own directories; its links lead anywhere and are left alone."""
    with contextlib.suppress(OSError):
        if Path(path).is_symlink():
            return
        Path(path).parent.chmod(0o700)
        Path(path).chmod(0o700)
        shutil.rmtree(path) if Path(path).is_dir() else Path(path).unlink()
