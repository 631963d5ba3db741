"""Limits by cgroup version 2: one directory in one tree.

**Source:** Linux ``Documentation/admin-guide/cgroup-v2.rst``: a group hands controllers to its children by
``cgroup.subtree_control`` only while no process is in it itself (the root is exempt).
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Collection, Iterator
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

REQUIRED = ("cpu", "memory")
_OPTIONAL = ("cpuset", "pids")
_OWN_LEAF = "dyno-service"  # where Dyno itself goes when its group must be emptied


@dataclass(frozen=True, slots=True)
class CgroupV2Group:
    """One instance's directory."""

    path: Path
    cores: tuple[int, ...] = ()

    @property
    def directories(self) -> dict[str, str]:
        """See `limits.Group`."""
        return {"unified": str(self.path)}

    @property
    def join_paths(self) -> tuple[str, ...]:
        """See `limits.Group`."""
        return (str(self.path / "cgroup.procs"),)

    def started(self, pid: int) -> None:
        """See `limits.Group`."""

    def pids(self) -> list[int]:
        """See `limits.Group`."""
        return read_pids(self.path / "cgroup.procs")

    def kill(self) -> None:
        """All at once by ``cgroup.kill`` (Linux 5.14), else frozen first so that none can fork away."""
        try:
            (self.path / "cgroup.kill").write_text("1")
        except OSError:
            self._freeze("1")
            send_signal(self.pids(), signal.SIGKILL)
            self._freeze("0")

    def usage(self) -> Usage:
        """See `limits.Group`. The peak is the kernel's high-water mark (Linux 5.19), file cache included."""
        cpu = read_table(self.path / "cpu.stat").get("usage_usec")
        used = read_number(self.path / "memory.current")
        cold = read_table(self.path / "memory.stat").get("inactive_file", 0)
        seconds = None if cpu is None else cpu / 1e6
        return Usage(
            cpu_seconds=seconds,
            memory_bytes=None if used is None else max(0, used - cold),
            memory_peak_bytes=read_number(self.path / "memory.peak"),
            core_seconds={} if seconds is None else self._core_seconds(seconds),
        )

    def out_of_memory(self) -> bool:
        """See `limits.Group`."""
        return read_table(self.path / "memory.events").get("oom_kill", 0) > 0

    def remove(self) -> bool:
        """See `limits.Group`."""
        return remove_group(self.path)

    def _core_seconds(self, own: float) -> dict[int, tuple[float, float]]:
        """Version 2 tells a group's use only in sum, so it stands, in equal parts, beside each core's whole use: the
        differences are right in sum, not core by core."""
        everyone = core_busy_seconds(read_text(Path("/proc/stat")) or "")
        return {core: (everyone[core], own / len(self.cores)) for core in self.cores if core in everyone}

    def _freeze(self, state: str) -> None:
        with contextlib.suppress(OSError):
            (self.path / "cgroup.freeze").write_text(state)
        wait_until(lambda: read_table(self.path / "cgroup.events").get("frozen", 0) == int(state), 0.2)


@dataclass(frozen=True, slots=True)
class CgroupV2:
    """Groups below `home`, whose children have the controllers named."""

    home: Path
    controllers: frozenset[str]
    version: Cgroup = Cgroup.V2

    @property
    def notes(self) -> tuple[str, ...]:
        """See `limits.Cgroups`."""
        if "cpuset" in self.controllers:
            return ()
        return ("The cpuset controller is not handed to Dyno's cgroup: cores are held by affinity only.",)

    def create(self, name: str, limits: Limits) -> Group:
        """See `limits.Cgroups`."""
        group = CgroupV2Group(self.home / name, limits.cores)
        try:
            group.path.mkdir()
            self._write_limits(group.path, limits)
        except OSError:
            group.remove()
            raise
        return group

    def open(self, name: str, directories: dict[str, str], limits: Limits | None = None) -> Group:
        """See `limits.Cgroups`."""
        return CgroupV2Group(Path(directories.get("unified") or self.home / name))

    def find(self, prefix: str) -> Collection[str]:
        """See `limits.Cgroups`."""
        return {entry.name for entry in self.home.iterdir() if entry.name.startswith(prefix) and entry.is_dir()}

    def _write_limits(self, path: Path, limits: Limits) -> None:
        if "cpuset" in self.controllers:
            (path / "cpuset.cpus").write_text(limits.core_list)
        if limits.quota_and_period_us:
            quota, period = limits.quota_and_period_us
            (path / "cpu.max").write_text(f"{quota} {period}")
        if limits.memory_bytes is not None:
            (path / "memory.max").write_text(str(limits.memory_bytes))
            with contextlib.suppress(OSError):  # kernels without swap have no such file
                (path / "memory.swap.max").write_text("0")
        if "pids" in self.controllers:
            (path / "pids.max").write_text(str(PROCESSES))


def open_v2(mount_point: Path, own: Path) -> CgroupV2:
    """Groups at the first place that can hold them.

    1. Our own group, when no process is in it or it is the root of the tree.
    2. Our own group, emptied: its processes move to a leaf beside the instances. Only where the group was handed to us
       (systemd's ``Delegate=yes`` marks it so) or is all that a container sees.
    3. The nearest group above without processes; root's right only.

    Raises:
        OSError: none can; with the kernel's last word.
    """
    error: OSError = FileNotFoundError(f"{own} is not a cgroup of version 2")
    for home, leaf in _places(mount_point, own):
        try:
            return CgroupV2(home, _hand_down(mount_point, home, leaf))
        except OSError as refused:
            error = refused
    raise error


def _places(mount_point: Path, own: Path) -> Iterator[tuple[Path, bool]]:
    if own.name == _OWN_LEAF:  # a Dyno before us, or ourselves, has moved here
        own = own.parent
    ours = own == mount_point or _delegated(own)
    yield own, ours and not _is_root(own)
    for parent in own.parents:
        if not parent.is_relative_to(mount_point):
            return
        yield parent, False


def _hand_down(mount_point: Path, home: Path, leaf: bool) -> frozenset[str]:
    """Enable the controllers for children of `home`; which ones there are in the end."""
    chain = [home, *(parent for parent in home.parents if parent.is_relative_to(mount_point))]
    for group in reversed(chain[1:]):
        for controller in REQUIRED + _OPTIONAL:  # a group further up refuses what it may not give: asked below
            with contextlib.suppress(OSError):
                _enable(group, controller)
    if leaf and read_pids(home / "cgroup.procs"):
        _empty_into(home / _OWN_LEAF, home)
    for controller in REQUIRED:
        _enable(home, controller)
    for controller in _OPTIONAL:
        with contextlib.suppress(OSError):
            _enable(home, controller)
    return frozenset((read_text(home / "cgroup.subtree_control") or "").split())


def _enable(group: Path, controller: str) -> None:
    control = group / "cgroup.subtree_control"
    if controller not in (read_text(control) or "").split():
        control.write_text(f"+{controller}")


def _empty_into(leaf: Path, home: Path) -> None:
    leaf.mkdir(exist_ok=True)
    for pid in read_pids(home / "cgroup.procs"):
        with contextlib.suppress(ProcessLookupError):
            (leaf / "cgroup.procs").write_text(str(pid))


def _is_root(group: Path) -> bool:
    """Only the true root has no ``cgroup.type``."""
    return not (group / "cgroup.type").exists()


def _delegated(group: Path) -> bool:
    """Marked by systemd as handed over. **Source:** systemd's CGROUP_DELEGATION, ``user.delegate``."""
    for name in ("user.delegate", "trusted.delegate"):
        with contextlib.suppress(OSError):
            if os.getxattr(group, name) == b"1":
                return True
    return False
