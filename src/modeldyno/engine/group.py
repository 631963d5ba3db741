"""The servers of one serverless trial, as one instance: each user has a server of its own."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import replace
from statistics import median

from modeldyno.domain.catalog import InstanceType
from modeldyno.domain.trial import Flag, Placement, TrialSpec
from modeldyno.ports import DeployRequest, Instance, InstanceBackend, Tag, Usage


def place_type(spec: TrialSpec) -> InstanceType:
    """What a trial takes of the host: its type, or as many of it as there are servers."""
    kind, serverless = spec.instance_type, spec.serverless
    if serverless is None or serverless.concurrency == 1 or kind.vcpus is None or kind.memory_mib is None:
        return kind
    count = serverless.concurrency
    return replace(kind, name=spec.title, vcpus=math.ceil(kind.vcpus) * count, memory_mib=kind.memory_mib * count)


def tags_of(tag: Tag, spec: TrialSpec) -> list[Tag]:
    """Of each server of a trial, or of a run-off's contenders; the first has the trial's own."""
    count = spec.serverless.concurrency if spec.serverless is not None else len(spec.contenders) or 1
    return [replace(tag, unit=f"{tag.unit}-{index}") if index else tag for index in range(count)]


def deployed(backend: InstanceBackend, request: DeployRequest) -> AbstractAsyncContextManager[Instance]:
    """Start the server of a trial, or all of them as a `Group`; raises as `InstanceBackend.deploy` does."""
    return backend.deploy(request) if request.spec.serverless is None else _deployed(backend, request)


@contextlib.asynccontextmanager
async def _deployed(backend: InstanceBackend, request: DeployRequest) -> AsyncIterator[Instance]:
    async with AsyncExitStack() as stack:
        yield Group([await stack.enter_async_context(backend.deploy(one)) for one in _requests(request)])


def _requests(request: DeployRequest) -> list[DeployRequest]:
    """One for each server, each with its own part of the placement."""
    serverless = request.spec.serverless
    if serverless is None or serverless.concurrency == 1:
        return [request]
    count, log = serverless.concurrency, request.log_path
    return [
        replace(
            request,
            tag=tag,
            placement=_part(request.placement, request.spec.instance_type, index, count),
            log_path=log.with_name(f"{log.stem}-{index}{log.suffix}") if index else log,
        )
        for index, tag in enumerate(tags_of(request.tag, request.spec))
    ]


def _part(whole: Placement, kind: InstanceType, index: int, count: int) -> Placement:
    each = len(whole.cores) // count
    memory = None if whole.memory_bytes is None else whole.memory_bytes // count
    quota = kind.vcpus if kind.vcpus is not None and kind.vcpus < each else None
    return replace(whole, cores=whole.cores[index * each : (index + 1) * each], memory_bytes=memory, cpu_quota=quota)


class Group:
    """Servers of one kind (a `ports.Instance`, with all their URLs)."""

    def __init__(self, instances: Sequence[Instance]) -> None:
        self._instances = list(instances)
        self._first = self._instances[0]

    @property
    def url(self) -> str:
        """Of the first."""
        return self._first.url

    @property
    def urls(self) -> tuple[str, ...]:
        """Of each."""
        return tuple(one.url for one in self._instances)

    @property
    def flags(self) -> dict[Flag, str]:
        """What is to be known of any of them."""
        return {flag: words for one in reversed(self._instances) for flag, words in one.flags.items()}

    @property
    def runtime(self) -> str:
        """What runs in each."""
        return self._first.runtime

    @property
    def effective_environment(self) -> dict[str, str]:
        """Of each."""
        return self._first.effective_environment

    @property
    def setup_seconds(self) -> float:
        """The median of them."""
        return median(one.setup_seconds for one in self._instances)

    def usage(self) -> Usage:
        """Of all together."""
        used = [one.usage() for one in self._instances]
        cores = {core: seconds for one in used for core, seconds in one.core_seconds.items()}
        cpu = _sum([one.cpu_seconds for one in used])
        memory, peak = _sum([one.memory_bytes for one in used]), _sum([one.memory_peak_bytes for one in used])
        return Usage(cpu, None if memory is None else int(memory), None if peak is None else int(peak), cores)

    def death(self) -> str | None:
        """How the first that ended did."""
        return next((how for one in self._instances if (how := one.death()) is not None), None)

    async def ping(self) -> str | None:
        """How the first that is not well answers."""
        answers = await asyncio.gather(*(one.ping() for one in self._instances))
        return next((answer for answer in answers if answer is not None), None)

    def log_tail(self, lines: int = 30) -> str:
        """Of the one that has ended, else of the first."""
        dead = next((one for one in self._instances if one.death() is not None), self._first)
        return dead.log_tail(lines)


def _sum(parts: Sequence[float | int | None]) -> float | int | None:
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None
