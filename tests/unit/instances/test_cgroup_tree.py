"""Where Dyno's own cgroup is, on hosts and in containers."""

from __future__ import annotations

from pathlib import Path

from modeldyno.instances.cgroup_tree import home_v2, homes_v1
from modeldyno.instances.kernel_files import core_busy_seconds
from modeldyno.instances.limits import Limits

V1 = """\
33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""
V2 = "29 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"


def test_each_controller_of_version_1_has_its_own_place() -> None:
    homes = homes_v1(V1, "5:cpu,cpuacct:/\n4:memory:/jobs/one\n1:name=systemd:/\n0::/\n")
    assert homes == {
        "cpu": Path("/sys/fs/cgroup/cpu,cpuacct"),
        "cpuacct": Path("/sys/fs/cgroup/cpu,cpuacct"),
        "memory": Path("/sys/fs/cgroup/memory/jobs/one"),
    }


def test_a_container_sees_its_group_as_the_root_of_what_is_mounted() -> None:
    mounted = "35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro,relatime - cgroup cgroup rw,memory\n"
    assert homes_v1(mounted, "4:memory:/docker/abc\n") == {"memory": Path("/sys/fs/cgroup/memory")}
    assert homes_v1(mounted, "4:memory:/docker/abc/own\n") == {"memory": Path("/sys/fs/cgroup/memory/own")}
    assert homes_v1(mounted, "4:memory:/elsewhere\n") == {"memory": Path("/sys/fs/cgroup/memory")}


def test_version_2_has_one_place() -> None:
    slice_path = "/system.slice/dyno.service"
    assert home_v2(V2, f"0::{slice_path}\n") == (Path("/sys/fs/cgroup"), Path(f"/sys/fs/cgroup{slice_path}"))
    assert home_v2(V2, "4:memory:/\n") is None
    assert home_v2("", "0::/\n") is None


def test_a_mount_point_may_have_spaces() -> None:
    assert home_v2(r"29 23 0:26 / /my\040groups rw - cgroup2 cgroup2 rw", "0::/\n") == (Path("/my groups"),) * 2


def test_a_quota_has_a_period_of_10_ms_unless_it_would_be_under_1_ms() -> None:
    assert Limits((0,), 0.5).quota_and_period_us == (5_000, 10_000)
    assert Limits((0, 1), 1.5).quota_and_period_us == (15_000, 10_000)
    assert Limits((0,), 0.05).quota_and_period_us == (1_000, 20_000)
    assert Limits((0,), None).quota_and_period_us is None


def test_a_core_is_busy_for_everything_but_idle_waiting_and_steal() -> None:
    stat = "cpu  9 9 9 9 9 9 9 9 9 9\ncpu0 100 10 50 9000 800 7 3 999 40 0\ncpu1 1 0 0 9 0 0 0 0 0 0\nintr 1 2\n"
    assert core_busy_seconds(stat) == {0: 1.7, 1: 0.01}
