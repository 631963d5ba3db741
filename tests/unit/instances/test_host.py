"""What is told of this host, to Dyno and to a person."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import psutil
import pytest

from modeldyno.domain.host import Cgroup
from modeldyno.instances.host import doctor, read_host
from modeldyno.instances.launch import why_no_mounts
from modeldyno.instances.no_cgroup import NoCgroups


def test_the_host_has_the_cores_this_process_may_use_and_less_memory_than_the_machine() -> None:
    host = read_host()
    assert set(host.cores) <= os.sched_getaffinity(0)
    assert 0 < host.memory_mib < psutil.virtual_memory().total / 1024**2
    assert host.architecture in ("x86_64", "arm64")
    assert host.root == (os.geteuid() == 0)


def test_a_narrower_affinity_makes_a_smaller_host() -> None:
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert read_host(NoCgroups()).cores == (min(before),)
    finally:
        os.sched_setaffinity(0, before)


def test_why_there_is_no_cgroup_is_in_the_notes() -> None:
    host = read_host(NoCgroups("No cgroup can be used (for a reason)."))
    assert host.cgroup is Cgroup.NONE
    assert host.notes == ("No cgroup can be used (for a reason).",)


def test_the_doctor_tells_every_topic_and_a_consequence_wherever_something_is_limited() -> None:
    findings = doctor()
    assert {"system", "python", "user", "cgroups", "cores", "memory", "model servers run as", "mount namespaces"} <= {
        finding.topic for finding in findings
    }
    for finding in findings:
        assert finding.verdict in ("ok", "limited", "missing")
        assert finding.value
        assert finding.consequence or finding.verdict == "ok", finding


@pytest.mark.skipif(os.geteuid() != 0, reason="only root probes")
def test_what_a_killed_probe_left_is_removed_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    old, fresh, other = (tmp_path / name for name in ("dyno-probe-old", "dyno-probe-fresh", "mine"))
    for folder in (old, fresh, other):
        (folder / "ml").mkdir(parents=True)
    for folder in (old, other):
        os.utime(folder, (1e9, 1e9))
    why_no_mounts()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["dyno-probe-fresh", "mine"]
