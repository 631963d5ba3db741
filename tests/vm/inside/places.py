"""Inside the virtual machine: where Dyno finds a place for its groups in the one tree of version 2.

Each test puts a new process into a cgroup of some kind and asks there for the driver, and for a group that works.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path("/sys/fs/cgroup")
ENTER = """
import os, sys
place, user, namespace = sys.argv[1:]
with open(place + "/cgroup.procs", "w") as procs:
    procs.write("0")
if namespace:
    import ctypes
    libc = ctypes.CDLL(None)
    assert libc.unshare(0x02000000 | 0x20000) == 0  # CLONE_NEWCGROUP, CLONE_NEWNS
    assert libc.mount(None, b"/", None, ctypes.c_ulong(16384 | 1 << 18), None) == 0
    assert libc.umount2(b"/sys/fs/cgroup", 2) == 0
    assert libc.mount(b"cgroup2", b"/sys/fs/cgroup", b"cgroup2", ctypes.c_ulong(0), None) == 0
if user:
    os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)
from modeldyno.instances.cgroups import find_cgroups
from modeldyno.instances.limits import Limits
found = find_cgroups((0,))
print(found.version, getattr(found, "home", ""), open("/proc/self/cgroup").read().strip(), *found.notes, sep="|")
if found.version == "v2":
    group = found.create("dyno+a+b+c+1", Limits((0,), 0.5, 64 << 20))
    again = found.open("dyno+a+b+c+1", group.directories)
    path = group.directories["unified"]
    print(open(path + "/cpu.max").read().strip(), open(path + "/memory.max").read().strip(), sep="|")
    print(*found.find("dyno+a+b+"), group.remove(), again.remove())
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A cgroup like a service's."""
    path = ROOT / "box.slice" / "dyno.service"
    path.mkdir(parents=True)
    yield path
    for child in [*path.glob("*/"), path, path.parent]:
        if child.is_dir():
            child.rmdir()


def hand_down(place: Path) -> None:
    """As systemd does for a slice: without cpuset."""
    for group in (ROOT, place.parent):
        (group / "cgroup.subtree_control").write_text("+cpu +memory +pids")


def ask(place: Path, user: str = "", namespace: str = "") -> list[list[str]]:
    done = subprocess.run([sys.executable, "-c", ENTER, place, user, namespace], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [line.split("|") for line in done.stdout.splitlines()]


def test_a_group_handed_over_by_systemd_is_emptied_into_a_leaf_and_used(place: Path) -> None:
    os.setxattr(place, "user.delegate", b"1")
    (version, home, own, *notes), limits, removed = ask(place)
    assert (version, home, own) == ("v2", str(place), "0::/box.slice/dyno.service/dyno-service")
    assert not notes
    assert limits == ["5000 10000", str(64 << 20)]
    assert removed == ["dyno+a+b+c+1 True True"]


def test_a_group_that_is_not_ours_is_left_as_it_is_and_the_nearest_above_is_used(place: Path) -> None:
    (version, home, own, *_), limits, _ = ask(place)
    assert (version, home, own) == ("v2", str(place.parent), "0::/box.slice/dyno.service")
    assert limits == ["5000 10000", str(64 << 20)]


def test_a_container_empties_what_it_sees_as_the_root(place: Path) -> None:
    hand_down(place)
    (version, home, own, *_), limits, _ = ask(place, namespace="own")
    assert (version, home) == ("v2", "/sys/fs/cgroup")
    assert own == "0::/dyno-service"
    assert limits == ["5000 10000", str(64 << 20)]


def test_a_user_to_whom_a_group_was_handed_over_can_use_it_without_root(place: Path) -> None:
    hand_down(place)
    os.setxattr(place, "user.delegate", b"1")
    for path in (place, *(place / name for name in ("cgroup.procs", "cgroup.subtree_control", "cgroup.threads"))):
        os.chown(path, 65534, 65534)
    (version, home, _, *notes), limits, _ = ask(place, user="nobody")
    assert (version, home) == ("v2", str(place))
    assert limits == ["5000 10000", str(64 << 20)]
    assert notes == [] or "held by affinity only" in notes[0]


def test_a_user_without_any_right_is_told_why_there_is_none(place: Path) -> None:
    ((version, _, _, note),) = ask(place, user="nobody")
    assert version == "none"
    assert "version 2: permission denied" in note
