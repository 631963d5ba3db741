"""Where this process stands in the kernel's cgroup trees, read from /proc."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Mount:
    """One mounted hierarchy. `root`: which of its groups the mount point shows (not ``/`` in some containers)."""

    point: str
    root: str
    filesystem: str
    options: frozenset[str]


def mounts(mountinfo: str) -> Iterator[Mount]:
    """The cgroup mounts of a ``/proc/PID/mountinfo``.

    **Source:** proc_pid_mountinfo(5): fields 4 (root) and 5 (mount point), then after ``-`` type, source, options.
    """
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        fields, tail = left.split(), right.split()
        if len(fields) >= 5 and len(tail) >= 3 and tail[0] in ("cgroup", "cgroup2"):
            yield Mount(_unescape(fields[4]), _unescape(fields[3]), tail[0], frozenset(tail[2].split(",")))


def own_paths(cgroup: str) -> dict[str, str]:
    """Our path in each hierarchy, by controller, from ``/proc/self/cgroup``; version 2's under the empty name."""
    found: dict[str, str] = {}
    for line in cgroup.splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            found[controller] = path
    return found


def homes_v1(mountinfo: str, cgroup: str) -> dict[str, Path]:
    """Our own directory in each version 1 hierarchy, by controller."""
    paths = own_paths(cgroup)
    found: dict[str, Path] = {}
    for mount in mounts(mountinfo):
        if mount.filesystem == "cgroup":
            for controller in mount.options & paths.keys():
                found.setdefault(controller, _seen_from(mount, paths[controller]))
    return found


def home_v2(mountinfo: str, cgroup: str) -> tuple[Path, Path] | None:
    """The mount point of version 2 and our own directory in it; None where it is not mounted."""
    path = own_paths(cgroup).get("")
    for mount in mounts(mountinfo):
        if mount.filesystem == "cgroup2" and path is not None:
            return Path(mount.point), _seen_from(mount, path)
    return None


def _seen_from(mount: Mount, path: str) -> Path:
    """A container's mount may show only a part of the tree: `path` is then below `mount.root`, or not visible."""
    relative = os.path.relpath(path, mount.root)
    return Path(mount.point) if relative.startswith("..") else Path(mount.point, relative)


def _unescape(text: str) -> str:
    return text.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
