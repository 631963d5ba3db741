"""What holds an instance to its size: limits, the group of processes under them, and the driver that makes groups."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from modeldyno.domain.host import Cgroup
from modeldyno.ports import Usage

# 10 ms: with 100 ms a half vCPU answers a 20 ms request in 73 ms instead of 43 (docs/explanation/instances.md).
QUOTA_PERIOD_US = 10_000
# The kernel refuses quotas under 1 ms a period (Documentation/scheduler/sched-bwc.rst).
_LEAST_QUOTA_US = 1_000
# Far above what a model server needs (a worker a core, some hundred threads), far below what hurts a host.
PROCESSES = 4096


@dataclass(frozen=True, slots=True)
class Limits:
    """The size of an instance. `cores`: ids it may use; `cpu_quota`: share of them in cores, None = all of them;
    `memory_bytes`: None = unlimited."""

    cores: tuple[int, ...]
    cpu_quota: float | None = None
    memory_bytes: int | None = None

    @property
    def core_list(self) -> str:
        """The cores as the kernel writes them: ``0,1``."""
        return ",".join(str(core) for core in self.cores)

    @property
    def quota_and_period_us(self) -> tuple[int, int] | None:
        """Quota and period in microseconds; None when the cores may be used whole."""
        if self.cpu_quota is None:
            return None
        period = max(QUOTA_PERIOD_US, math.ceil(_LEAST_QUOTA_US / self.cpu_quota))
        return max(_LEAST_QUOTA_US, round(self.cpu_quota * period)), period


class Group(Protocol):
    """The processes of one instance, under its limits. No method raises for a group that is gone."""

    @property
    def directories(self) -> dict[str, str]:
        """Where it is in the kernel's trees, by controller: enough to find it again after a crash."""
        ...

    @property
    def join_paths(self) -> tuple[str, ...]:
        """Files into which a process writes ``0`` to become a member (its children are members from birth)."""
        ...

    def started(self, pid: int) -> None:
        """The first process is running."""
        ...

    def pids(self) -> list[int]:
        """Every living member, also those that left the session."""
        ...

    def kill(self) -> None:
        """SIGKILL to every member, at one moment where the kernel can; may need repeating."""
        ...

    def usage(self) -> Usage:
        """What its members have used."""
        ...

    def out_of_memory(self) -> bool:
        """Whether a member was killed for memory."""
        ...

    def remove(self) -> bool:
        """Remove the empty group; False when the kernel still holds it (try again). True when it is gone already."""
        ...


class Cgroups(Protocol):
    """A way of making groups on this host."""

    @property
    def version(self) -> Cgroup:
        """Which kind."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What it cannot hold to the limit here, in words."""
        ...

    def create(self, name: str, limits: Limits) -> Group:
        """Make a group; one of that name must not be there. Raises OSError where the kernel refuses."""
        ...

    def open(self, name: str, directories: dict[str, str], limits: Limits | None = None) -> Group:
        """The group of that name made earlier, by whatever process. `limits`: that it was made with, where it is to be
        held to them on."""
        ...

    def find(self, prefix: str) -> Collection[str]:
        """Names of the groups beside our own that begin with `prefix`."""
        ...
