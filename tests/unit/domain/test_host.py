"""What a host can be, and where on it an instance fits."""

import pytest

from modeldyno.domain.catalog import Accelerator, InstanceType
from modeldyno.domain.errors import HostCannot
from modeldyno.domain.host import Cgroup, Host, cannot_be, place, place_at
from modeldyno.domain.trial import Placement


def host(cores: int, memory_mib: int = 16_000) -> Host:
    return Host("h", tuple(range(cores)), memory_mib, "x86_64", Cgroup.V1, root=True)


def kind(vcpus: float | None, memory_mib: int | None = 1024, **more: object) -> InstanceType:
    return InstanceType("t", vcpus, memory_mib, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (kind(4), "it has 4 vCPUs, the host has 2 cores"),
        (kind(1, 99_000), "it has 99000 MiB of memory"),
        (kind(1, architectures=("arm64",)), "its architecture is arm64"),
        (kind(1, accelerators=(Accelerator("gpu", "A10G", 1),)), "it needs 1 x A10G"),
        (kind(1, burstable=True), "Burstable instance type t is not allowed"),
        (kind(None), "its number of vCPUs is not known"),
    ],
)
def test_a_type_that_the_host_cannot_be_is_refused_with_the_reason(wanted: InstanceType, words: str) -> None:
    assert words in (cannot_be(wanted, host(2)) or "")
    with pytest.raises(HostCannot, match="cannot be t"):
        place(wanted, host(2), [])


def test_a_fraction_of_a_core_needs_cgroups() -> None:
    bare = Host("h", (0, 1), 16_000, "x86_64", Cgroup.NONE, root=False)
    assert "a fraction of a core needs cgroups" in (cannot_be(kind(0.5), bare) or "")
    assert cannot_be(kind(1), bare) is None


def test_the_generator_has_a_core_that_the_model_does_not_use() -> None:
    placed = place(kind(1), host(2), [])
    assert placed is not None
    assert (placed.cores, placed.generator_cores, placed.cpu_quota, placed.fills_host) == ((1,), (0,), None, False)


def test_a_fraction_of_a_vcpu_is_a_quota_on_whole_cores() -> None:
    half, one_and_half = place(kind(0.5), host(4), []), place(kind(1.5), host(4), [])
    assert half is not None
    assert (half.cores, half.cpu_quota) == ((1,), 0.5)
    assert one_and_half is not None
    assert (one_and_half.cores, one_and_half.cpu_quota) == ((1, 2), 1.5)


def test_a_type_that_fills_the_host_runs_alone_and_shares_with_the_generator() -> None:
    full = place(kind(2), host(2), [])
    assert full is not None
    assert full.fills_host
    assert full.generator_cores == (0,)
    assert place(kind(1), host(2), [full]) is None


def test_trials_side_by_side_never_share_a_core() -> None:
    first = place(kind(1), host(4), [])
    assert first is not None
    second = place(kind(2), host(4), [first])
    assert second is not None
    assert set(first.cores).isdisjoint(second.cores)
    assert place(kind(1), host(4), [first, second]) is None


def test_trials_side_by_side_do_not_take_more_memory_than_there_is() -> None:
    first = place(kind(1, 10_000), host(4), [])
    assert first is not None
    assert place(kind(1, 10_000), host(4), [first]) is None
    assert place(kind(1, 6_000), host(4), [first]) is not None


def test_servers_that_run_already_are_measured_where_they_are_and_no_trial_shares_their_cores() -> None:
    first = Placement((1,), 1024)
    both = place_at([first, Placement((1, 3), 2048)], host(4), [])
    assert both == Placement((1, 3), 3072, None, (0,))
    assert place_at([first], host(4), [both]) is None
    assert place_at([first], host(4), [Placement((2,), None)]) == Placement((1,), 1024, None, (0,))
    beside = place(kind(1), host(4), [both])
    assert beside is not None
    assert beside.cores == (2,)


def test_servers_on_the_generators_core_are_measured_alone_and_flagged() -> None:
    everywhere = [Placement((0, 1), None)]
    placed = place_at(everywhere, host(4), [])
    assert placed is not None
    assert placed.fills_host
    assert place_at(everywhere, host(4), [Placement((3,), None)]) is None
    assert place(kind(1), host(4), [placed]) is None
