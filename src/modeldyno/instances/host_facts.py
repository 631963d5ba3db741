"""Facts of this host, looked at one by one: cores, memory, quota, GPUs, processor, container."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil

from modeldyno.instances.cgroup_tree import home_v2, homes_v1
from modeldyno.instances.kernel_files import read_number, read_text

_MIB = 1024**2
# Kept for the system, Dyno's worker (about 150 MiB) and the load generator: half a GiB, or an eighth of a small host.
_RESERVE_MIB = 512
_RESERVE_SHARE = 8


def is_root() -> bool:
    """Whether this is root (there is no such user on some systems)."""
    return hasattr(os, "geteuid") and os.geteuid() == 0


def usable_cores() -> tuple[int, ...]:
    """Cores that this process may use: its affinity, and no more than a processor quota above it gives."""
    if hasattr(os, "sched_getaffinity"):
        cores = tuple(sorted(os.sched_getaffinity(0)))
    else:
        cores = tuple(range(psutil.cpu_count() or 1))
    quota = processor_quota()
    return cores if quota is None else cores[: max(1, int(quota))]


def usable_memory_mib() -> int:
    """Memory for instances, in MiB: what the host (or the cgroup Dyno is in) has, less a reserve."""
    total = min([psutil.virtual_memory().total, *_memory_limits()]) // _MIB
    return int(total - min(_RESERVE_MIB, total // _RESERVE_SHARE))


def processor_quota() -> float | None:
    """Cores' worth of time that the cgroups around Dyno give it; None = no quota."""
    quotas = []
    for group in _groups_around("cpu"):
        words = (read_text(group / "cpu.max") or "").split()
        words = words or [(read_text(group / f"cpu.cfs_{word}_us") or "").strip() for word in ("quota", "period")]
        if all(word.isdigit() for word in words):  # "max" and -1 are no quota
            quotas.append(int(words[0]) / int(words[1]))
    return min(quotas, default=None)


def read_gpus() -> tuple[str, ...]:
    """Names of the NVIDIA GPUs, as ``nvidia-smi -L`` lists them; none where the program or the driver is missing."""
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ()
    lines = (line.partition(": ")[2].partition(" (UUID")[0] for line in listed.stdout.splitlines())
    return tuple(name for name in lines if name)


def processor() -> str:
    """The processor's name, for people."""
    for line in (read_text(Path("/proc/cpuinfo")) or "").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def in_container() -> bool:
    """Whether this looks like the inside of a container: its marks, or a first process that is not the system's."""
    marks = (Path("/.dockerenv"), Path("/run/.containerenv"))
    environment = read_text(Path("/proc/1/environ")) or ""
    return any(mark.exists() for mark in marks) or any(
        word.startswith("container=") for word in environment.split("\0")
    )


def _memory_limits() -> Iterator[int]:
    for group in _groups_around("memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            limit = read_number(group / name)
            if limit is not None:
                yield limit


def _groups_around(controller: str) -> Iterator[Path]:
    """Our own group of that controller and those above it, in whichever version it is."""
    mountinfo, cgroup = (read_text(Path(f"/proc/self/{name}")) or "" for name in ("mountinfo", "cgroup"))
    unified = home_v2(mountinfo, cgroup)
    for own in (homes_v1(mountinfo, cgroup).get(controller), unified[1] if unified else None):
        if own is not None:
            yield from (group for group in (own, *own.parents) if (group / "cgroup.procs").exists())
