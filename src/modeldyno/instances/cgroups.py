"""Which cgroups Dyno may use here, found by really making one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from modeldyno.instances import cgroup_v1
from modeldyno.instances.cgroup_tree import home_v2, homes_v1
from modeldyno.instances.cgroup_v1 import CgroupV1
from modeldyno.instances.cgroup_v2 import open_v2
from modeldyno.instances.kernel_files import read_text, wait_until
from modeldyno.instances.limits import Cgroups, Limits
from modeldyno.instances.no_cgroup import NoCgroups

Place = TypeVar("Place")


def find_cgroups(cores: tuple[int, ...]) -> Cgroups:
    """The driver that works on this host: version 2, else version 1, else none with the reasons in its notes.

    Each is tried for real: a group is made, a processor share, cores and a memory limit are set, and it is removed.
    """
    refusals = []
    for name, find in (("version 2", _version_2), ("version 1", _version_1)):
        try:
            for driver in find():
                _try(driver, cores)
                return driver
            refusals.append(f"{name} is not mounted with the controllers needed")
        except OSError as error:
            where = f" ({error.filename})" if error.filename else ""
            refusals.append(f"{name}: {(error.strerror or str(error)).lower()}{where}")
    return NoCgroups(f"No cgroup can be used ({'; '.join(refusals)}).")


def _version_2() -> Iterator[Cgroups]:
    here = _here(home_v2)
    if here is None:
        return
    mount_point, own = here
    if "memory" in (read_text(mount_point / "cgroup.controllers") or "").split():
        yield open_v2(mount_point, own)


def _version_1() -> Iterator[Cgroups]:
    homes = _here(homes_v1)
    missing = [controller for controller in ("freezer", "pids") if controller not in homes]
    if all(controller in homes for controller in cgroup_v1.REQUIRED):
        notes = (f"The controllers {', '.join(missing)} are not mounted.",) if missing else ()
        yield CgroupV1(homes, notes)


def _here(look: Callable[[str, str], Place]) -> Place:
    return look(read_text(Path("/proc/self/mountinfo")) or "", read_text(Path("/proc/self/cgroup")) or "")


def _try(driver: Cgroups, cores: tuple[int, ...]) -> None:
    limits = Limits(cores[:1], cpu_quota=0.5, memory_bytes=64 * 1024**2)
    group = driver.create(f"dyno-probe-{os.getpid()}", limits)
    if not wait_until(group.remove, 1.0):
        raise OSError("a group that was made could not be removed")
