"""What a host can be: facts about it, and where on it an instance fits."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from modeldyno.domain.catalog import InstanceType
from modeldyno.domain.errors import HostCannot
from modeldyno.domain.trial import Placement


class Cgroup(StrEnum):
    """How limits are enforced here."""

    V1 = "v1"
    V2 = "v2"
    NONE = "none"  # affinity and a memory watch only; every result says so


@dataclass(frozen=True, slots=True)
class Host:
    """One machine that runs instances. `cores` are the ids this process may use, in order."""

    name: str
    cores: tuple[int, ...]
    memory_mib: int
    architecture: str
    cgroup: Cgroup
    root: bool
    system: str = "Linux"
    gpus: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def cannot_be(kind: InstanceType, host: Host) -> str | None:
    """Why this host cannot be that type, in words; None when it can."""
    reason = next(_reasons(kind, host), None)
    return None if reason is None else f"This host cannot be {kind.name}: {reason}."


def _reasons(kind: InstanceType, host: Host) -> Iterator[str]:
    if kind.burstable:
        yield f"Burstable instance type {kind.name} is not allowed"
    yield from _about_cores(kind, host)
    if kind.memory_mib is not None and kind.memory_mib > host.memory_mib:
        yield f"it has {kind.memory_mib} MiB of memory, the host has {host.memory_mib} MiB"
    if kind.architectures and host.architecture not in kind.architectures:
        yield f"its architecture is {'/'.join(kind.architectures)}, the host's is {host.architecture}"
    for accelerator in kind.accelerators:
        if accelerator.kind != "gpu" or accelerator.count > len(host.gpus):
            yield f"it needs {accelerator.count} x {accelerator.name}, which the host does not have"


def _about_cores(kind: InstanceType, host: Host) -> Iterator[str]:
    if kind.vcpus is None:
        yield "its number of vCPUs is not known; set it under [instances] in dyno.toml"
    elif math.ceil(kind.vcpus) > len(host.cores):
        yield f"it has {kind.vcpus:g} vCPUs, the host has {len(host.cores)} cores"
    elif kind.vcpus % 1 and host.cgroup is Cgroup.NONE:
        yield f"it has {kind.vcpus:g} vCPUs, and a fraction of a core needs cgroups, which are not to be had here"


def place(kind: InstanceType, host: Host, busy: Iterable[Placement]) -> Placement | None:
    """Cores and memory for an instance of `kind` beside what is `busy`, or None when there is no room now.

    Trials never share a core with each other. The first core is the generator's as long as another is left for models;
    a type that needs every core gets them all, alone, and is flagged.

    Raises:
        HostCannot: the host can never be that type.
    """
    reason = cannot_be(kind, host)
    if reason is not None:
        raise HostCannot(reason)
    assert kind.vcpus is not None  # cannot_be has refused it
    wanted = math.ceil(kind.vcpus)
    quota = kind.vcpus if kind.vcpus < wanted else None
    taken = list(busy)
    memory = kind.memory_mib * 1024**2 if kind.memory_mib is not None else None
    if not _memory_fits(memory, host, taken):
        return None
    if wanted >= len(host.cores):
        if taken:
            return None
        return Placement(host.cores[:wanted], memory, quota, host.cores[:1], fills_host=True)
    if any(placement.fills_host for placement in taken):
        return None
    used = {core for placement in taken for core in placement.cores}
    free = [core for core in host.cores[1:] if core not in used]
    if len(free) < wanted:
        return None
    return Placement(tuple(free[:wanted]), memory, quota, host.cores[:1])


def place_in_turns(kinds: Sequence[InstanceType], host: Host, busy: Iterable[Placement]) -> Placement | None:
    """The whole host, for instances that are loaded in turns; None while anything is busy on it.

    Raises:
        HostCannot: the host can never be one of them.
    """
    for kind in kinds:
        place(kind, host, ())
    return (
        None if list(busy) else Placement(host.cores, host.memory_mib * 1024**2, None, host.cores[:1], fills_host=True)
    )


def at_once(kinds: Sequence[InstanceType], host: Host) -> int:
    """How many of them, from the first on, the host's memory holds while one is loaded and the others are idle; those
    that want an accelerator do not share it."""
    most = 0
    for count in range(1, len(kinds) + 1):
        sizes = [kind.memory_mib for kind in kinds[:count] if not kind.accelerators]
        known = [size for size in sizes if size is not None]
        if len(known) < count or sum(known) > host.memory_mib:
            break
        most = count
    return most


def place_beside(kind: InstanceType, host: Host, busy: Iterable[Placement]) -> Placement:
    """Cores and memory for a server of an endpoint: always room, on the cores that the fewest others use.

    Endpoints may share cores and promise more memory than there is; `oversubscribed` says so. The first core, where
    Dyno itself runs, counts as used once.

    Raises:
        HostCannot: the host can never be that type.
    """
    reason = cannot_be(kind, host)
    if reason is not None:
        raise HostCannot(reason)
    assert kind.vcpus is not None  # cannot_be has refused it
    wanted = math.ceil(kind.vcpus)
    uses = dict.fromkeys(host.cores, 0)
    uses[host.cores[0]] += len(host.cores) > 1
    for placement in busy:
        for core in placement.cores:
            uses[core] = uses.get(core, 0) + 1
    order = {core: -place for place, core in enumerate(host.cores)}  # on a tie, far from Dyno's own core
    cores = sorted(host.cores, key=lambda core: (uses[core], order[core]))[:wanted]
    memory = kind.memory_mib * 1024**2 if kind.memory_mib is not None else None
    return Placement(tuple(sorted(cores)), memory, kind.vcpus if kind.vcpus < wanted else None)


def place_at(servers: Sequence[Placement], host: Host, busy: Iterable[Placement]) -> Placement | None:
    """The place of servers that run already, so that no trial shares a core with them while they are measured; None
    when one does now. The generator has the first core."""
    cores = tuple(sorted({core for server in servers for core in server.cores}))
    memory = sum(server.memory_bytes or 0 for server in servers) or None
    taken = list(busy)
    if any(placement.fills_host or set(placement.cores) & set(cores) for placement in taken):
        return None
    fills = host.cores[0] in cores
    return None if fills and taken else Placement(cores, memory, None, host.cores[:1], fills_host=fills)


def oversubscribed(placement: Placement, busy: Iterable[Placement], host: Host) -> str | None:
    """What a server shares with others although it was promised it whole, in words; None: nothing."""
    others = list(busy)
    shared = sorted({core for other in others for core in other.cores} & set(placement.cores))
    promised = sum(one.memory_bytes or 0 for one in [*others, placement]) // 1024**2
    parts = []
    if shared:
        parts.append(f"core {', '.join(map(str, shared))} is shared with other servers of endpoints")
    if promised > host.memory_mib:
        parts.append(f"{promised} MiB of memory are promised to servers, the host has {host.memory_mib} MiB")
    return f"The host is oversubscribed: {'; '.join(parts)}." if parts else None


def _memory_fits(memory: int | None, host: Host, taken: list[Placement]) -> bool:
    if memory is None:
        return not taken
    used = sum(placement.memory_bytes or 0 for placement in taken)
    return not taken or used + memory <= host.memory_mib * 1024**2
