"""What is left without rights to cgroups: affinity, set in the child, and a watch over the memory.

A fraction of a core cannot be held this way; the backend refuses it. Processes are found by their tag, so one that
clears its environment *and* leaves its parent is not seen.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Collection, Iterator
from pathlib import Path

import psutil

from modeldyno.domain.host import Cgroup
from modeldyno.instances.kernel_files import core_busy_seconds, read_text, wait_until
from modeldyno.instances.limits import Group, Limits
from modeldyno.instances.naming import TAG_VARIABLE, tag_text
from modeldyno.ports import Usage

# A server that eats 1 GiB/s oversteps by a quarter GiB before it is seen; asking is about 1 ms a process.
_WATCH_SECONDS = 0.25
_GONE_SECONDS = 10.0
_GONE = (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess)


def tagged(prefix: str) -> Iterator[tuple[str, psutil.Process]]:
    """Living processes whose tag begins with `prefix` (or is it), found in their environment; tag and process."""
    for process in psutil.process_iter():
        with contextlib.suppress(*_GONE, OSError):
            tag = process.environ().get(TAG_VARIABLE, "")
            if tag.startswith(prefix) and is_alive(process):
                yield tag, process


def kill_tagged(prefix: str, keep: Collection[str]) -> int:
    """Kill those whose tag begins with `prefix` and is not in `keep`, and see them gone; how many tags."""
    found = [(tag, process) for tag, process in tagged(prefix) if tag not in keep]
    for _, process in found:
        with contextlib.suppress(*_GONE):
            process.kill()
    wait_until(lambda: not any(is_alive(process) for _, process in found), _GONE_SECONDS)
    return len({tag for tag, _ in found})


def is_alive(process: psutil.Process) -> bool:
    """Whether it still does something: a zombie waits only for its parent."""
    with contextlib.suppress(*_GONE):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


class TaggedGroup:
    """One instance's processes: those with its tag, and the descendants of those."""

    def __init__(self, tag: str, limits: Limits) -> None:
        self._tag = tag
        self._limits = limits
        self._first: psutil.Process | None = None
        self._peak_bytes = 0
        self._over = False
        self._ended = threading.Event()

    @property
    def directories(self) -> dict[str, str]:
        """See `limits.Group`: nothing in the kernel."""
        return {}

    @property
    def join_paths(self) -> tuple[str, ...]:
        """See `limits.Group`: nothing to join."""
        return ()

    def started(self, pid: int) -> None:
        """See `limits.Group`: begins the watch over the memory."""
        with contextlib.suppress(*_GONE):
            self._first = psutil.Process(pid)
        threading.Thread(target=self._watch, name=f"memory of {self._tag}", daemon=True).start()

    def pids(self) -> list[int]:
        """See `limits.Group`."""
        return [process.pid for process in self._members()]

    def kill(self) -> None:
        """See `limits.Group`."""
        for process in self._members():
            with contextlib.suppress(*_GONE):
                process.kill()

    def usage(self) -> Usage:
        """See `limits.Group`: sums over the living processes and the children that they have waited for."""
        members = self._members()
        cpu = sum(_cpu_seconds(process) for process in members)
        memory = sum(_memory_bytes(process) for process in members)
        self._peak_bytes = max(self._peak_bytes, memory)
        everyone = core_busy_seconds(read_text(Path("/proc/stat")) or "")
        shares = {
            core: (everyone[core], cpu / len(self._limits.cores)) for core in self._limits.cores if core in everyone
        }
        return Usage(cpu, memory, self._peak_bytes, shares)

    def out_of_memory(self) -> bool:
        """See `limits.Group`."""
        return self._over

    def remove(self) -> bool:
        """See `limits.Group`: ends the watch."""
        self._ended.set()
        return True

    def _members(self) -> list[psutil.Process]:
        found = {process.pid: process for tag, process in tagged(self._tag) if tag == self._tag}
        if self._first is not None and is_alive(self._first):
            found[self._first.pid] = self._first
        for process in list(found.values()):
            with contextlib.suppress(*_GONE):
                found.update({child.pid: child for child in process.children(recursive=True) if is_alive(child)})
        return list(found.values())

    def _watch(self) -> None:
        limit = self._limits.memory_bytes
        while not self._ended.wait(_WATCH_SECONDS):
            used = sum(_memory_bytes(process) for process in self._members())
            self._peak_bytes = max(self._peak_bytes, used)
            if limit is not None and used > limit:
                self._over = True
                self.kill()


class NoCgroups:
    """Groups held by affinity and the memory watch; `why` it came to that."""

    version: Cgroup = Cgroup.NONE

    def __init__(self, why: str = "") -> None:
        self.notes: tuple[str, ...] = (why,) if why else ()

    def create(self, name: str, limits: Limits) -> Group:
        """See `limits.Cgroups`."""
        return TaggedGroup(tag_text(name) or name, limits)

    def open(self, name: str, directories: dict[str, str], limits: Limits | None = None) -> Group:
        """See `limits.Cgroups`."""
        return TaggedGroup(tag_text(name) or name, limits or Limits(()))

    def find(self, prefix: str) -> Collection[str]:
        """See `limits.Cgroups`: nothing outlives its processes."""
        return ()


def _cpu_seconds(process: psutil.Process) -> float:
    with contextlib.suppress(*_GONE):
        times = process.cpu_times()
        return float(times.user + times.system + times.children_user + times.children_system)
    return 0.0


def _memory_bytes(process: psutil.Process) -> int:
    """Its proportional share of resident memory where the kernel tells (workers share pages), else all of it."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    with contextlib.suppress(*_GONE):
        return int(process.memory_info().rss)
    return 0
