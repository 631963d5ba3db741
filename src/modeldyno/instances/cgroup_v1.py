"""Limits by cgroup version 1: one directory in each controller's tree.

**Source:** Linux ``Documentation/admin-guide/cgroup-v1`` (cpusets, cpuacct, memory, freezer-subsystem, pids) and
``Documentation/scheduler/sched-bwc.rst`` (quota and period).
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from modeldyno.domain.host import Cgroup
from modeldyno.instances.kernel_files import (
    core_busy_seconds,
    read_number,
    read_pids,
    read_table,
    read_text,
    remove_group,
    send_signal,
    wait_until,
)
from modeldyno.instances.limits import PROCESSES, Group, Limits
from modeldyno.ports import Usage

REQUIRED = ("cpu", "cpuacct", "cpuset", "memory")
_OPTIONAL = ("freezer", "pids")


@dataclass(frozen=True, slots=True)
class CgroupV1Group:
    """One instance's directories, by controller."""

    directories: dict[str, str]

    @property
    def join_paths(self) -> tuple[str, ...]:
        """See `limits.Group`."""
        return tuple(f"{path}/cgroup.procs" for path in dict.fromkeys(self.directories.values()))

    def started(self, pid: int) -> None:
        """See `limits.Group`."""

    def pids(self) -> list[int]:
        """See `limits.Group`. A process may have joined only some of the trees when it is looked at."""
        return sorted({pid for path in self.join_paths for pid in read_pids(Path(path))})

    def kill(self) -> None:
        """Freeze, kill, thaw: frozen processes cannot fork away."""
        frozen = "freezer" in self.directories and self._freeze("FROZEN")
        if frozen:
            wait_until(lambda: (read_text(self._file("freezer", "freezer.state")) or "").strip() != "FREEZING", 0.2)
        send_signal(self.pids(), signal.SIGKILL)
        if frozen:
            self._freeze("THAWED")

    def usage(self) -> Usage:
        """See `limits.Group`. The peak is the kernel's high-water mark, file cache included."""
        cpu = read_number(self._file("cpuacct", "cpuacct.usage"))
        used = read_number(self._file("memory", "memory.usage_in_bytes"))
        cold = read_table(self._file("memory", "memory.stat")).get("total_inactive_file", 0)
        return Usage(
            cpu_seconds=None if cpu is None else cpu / 1e9,
            memory_bytes=None if used is None else max(0, used - cold),
            memory_peak_bytes=read_number(self._file("memory", "memory.max_usage_in_bytes")),
            core_seconds=self._core_seconds(),
        )

    def out_of_memory(self) -> bool:
        """See `limits.Group`."""
        return read_table(self._file("memory", "memory.oom_control")).get("oom_kill", 0) > 0

    def remove(self) -> bool:
        """See `limits.Group`."""
        return all([remove_group(Path(path)) for path in self.directories.values()])

    def _core_seconds(self) -> dict[int, tuple[float, float]]:
        own = _percpu(self._file("cpuacct", "cpuacct.usage_percpu"))
        cores = _core_ids(read_text(self._file("cpuset", "cpuset.cpus")) or "")
        if not own:
            return {}
        everyone = _everyone(Path(self.directories["cpuacct"]))
        return {core: (everyone[core], own[core]) for core in cores if core in everyone and core in own}

    def _freeze(self, state: str) -> bool:
        try:
            self._file("freezer", "freezer.state").write_text(state)
        except OSError:
            return False
        return True

    def _file(self, controller: str, name: str) -> Path:
        return Path(self.directories[controller], name)


@dataclass(frozen=True, slots=True)
class CgroupV1:
    """Groups below our own group of each controller, so that a container's limits go on to hold."""

    homes: dict[str, Path]
    notes: tuple[str, ...] = ()
    version: Cgroup = Cgroup.V1

    def create(self, name: str, limits: Limits) -> Group:
        """See `limits.Cgroups`."""
        group = self.open(name, {})
        try:
            for path in dict.fromkeys(group.directories.values()):
                Path(path).mkdir()
            self._write_limits(group.directories, limits)
        except OSError:
            group.remove()
            raise
        return group

    def open(self, name: str, directories: dict[str, str], limits: Limits | None = None) -> Group:
        """See `limits.Cgroups`."""
        usable = [controller for controller in REQUIRED + _OPTIONAL if controller in self.homes]
        return CgroupV1Group(directories or {controller: str(self.homes[controller] / name) for controller in usable})

    def find(self, prefix: str) -> Collection[str]:
        """See `limits.Cgroups`."""
        return {
            entry.name
            for home in self.homes.values()
            for entry in home.iterdir()
            if entry.name.startswith(prefix) and entry.is_dir()
        }

    def _write_limits(self, directories: dict[str, str], limits: Limits) -> None:
        cpuset = Path(directories["cpuset"])
        (cpuset / "cpuset.mems").write_text((self.homes["cpuset"] / "cpuset.mems").read_text())
        (cpuset / "cpuset.cpus").write_text(limits.core_list)
        if limits.quota_and_period_us:
            quota, period = limits.quota_and_period_us
            Path(directories["cpu"], "cpu.cfs_period_us").write_text(str(period))
            Path(directories["cpu"], "cpu.cfs_quota_us").write_text(str(quota))
        if limits.memory_bytes is not None:
            memory = Path(directories["memory"])
            (memory / "memory.limit_in_bytes").write_text(str(limits.memory_bytes))
            with contextlib.suppress(OSError):  # kernels without swap accounting have no such file
                (memory / "memory.memsw.limit_in_bytes").write_text(str(limits.memory_bytes))
        if "pids" in directories:
            Path(directories["pids"], "pids.max").write_text(str(PROCESSES))


def _percpu(path: Path) -> dict[int, float]:
    return {core: int(value) / 1e9 for core, value in enumerate((read_text(path) or "").split())}


def _everyone(directory: Path) -> dict[int, float]:
    """All use of each core: the root group's where we can see it (only the true root has a ``release_agent``)."""
    for parent in directory.parents:
        if (parent / "release_agent").exists():
            return _percpu(parent / "cpuacct.usage_percpu")
        if not (parent / "cgroup.procs").exists():
            break
    return core_busy_seconds(read_text(Path("/proc/stat")) or "")


def _core_ids(text: str) -> list[int]:
    """``0-2,5`` as numbers."""
    spans = [span.partition("-") for span in text.strip().split(",") if span]
    return [core for first, _, last in spans for core in range(int(first), int(last or first) + 1)]
