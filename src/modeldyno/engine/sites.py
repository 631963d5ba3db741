"""Where a trial finds what it drives: a server that is deployed for it, or the servers of an endpoint in service.

An endpoint's servers are driven directly, as a trial's own server is, so that the figures compare (docs/adr/0019). They
are neither started nor ended here. The load ends at the first sign that it harms them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from modeldyno.domain.endpoint import Endpoint, EndpointStatus
from modeldyno.domain.errors import InputFault, ResourceNotFound
from modeldyno.domain.job import ExistingEndpoint
from modeldyno.domain.trial import Flag
from modeldyno.engine.group import Group, deployed
from modeldyno.engine.hosting import Hosting
from modeldyno.engine.parts import Parts
from modeldyno.engine.server import ServerRun
from modeldyno.ports import DeployRequest, Instance, InstanceBackend, Usage

_LOOK_SECONDS = 0.2
_LIVE = (
    "measured at a live endpoint: what its own callers asked meanwhile was served too and is not in the figures, so "
    "its capacity may be higher"
)


class Site(Protocol):
    """Where one trial finds its server."""

    def open(self, request: DeployRequest) -> AbstractAsyncContextManager[Instance]:
        """The server, ready; leaving the context leaves nothing of the trial behind. Raises as
        `InstanceBackend.deploy`."""
        ...

    def urls(self, instance: Instance) -> tuple[str, ...]:
        """Where it answers: one URL an instance."""
        ...

    async def strain(self) -> str | None:
        """Why the load has to end now although it has no answer yet, in words; None: it may go on. Asked once a window.

        Raises:
            TrialFailure: what was being measured is not there any more.
        """
        ...


class OwnServer:
    """A server that is deployed for the trial and ended with it; of a serverless one, one for each user."""

    def __init__(self, backend: InstanceBackend) -> None:
        self._backend = backend

    def open(self, request: DeployRequest) -> AbstractAsyncContextManager[Instance]:
        """See `Site.open`."""
        return deployed(self._backend, request)

    def urls(self, instance: Instance) -> tuple[str, ...]:
        """See `Site.urls`."""
        return instance.urls if isinstance(instance, Group) else (instance.url,)

    async def strain(self) -> str | None:
        """It is nobody else's: never."""
        return None


class LivingEndpoint:
    """The servers of an endpoint of this host, as long as they are what they were when the job was created."""

    def __init__(self, parts: Parts, hosting: Hosting, region: str, asked: ExistingEndpoint) -> None:
        self._parts = parts
        self._hosting = hosting
        self._region = region
        self._asked = asked
        self._name = asked.name
        self._runs: Sequence[ServerRun] = ()
        self._fleet = 0

    @contextlib.asynccontextmanager
    async def open(self, request: DeployRequest) -> AsyncIterator[Instance]:
        """See `Site.open`; what the request says of a server is not used."""
        deadline = self._parts.clock.monotonic() + request.startup_seconds
        while True:
            endpoint = await self._endpoint()
            runs = self._hosting.runs(self._asked.id)
            found = [run.instance for run in runs if run.instance is not None and run.strain is None]
            if len(found) == len(runs) == self._asked.count:
                break
            if self._parts.clock.monotonic() > deadline:
                raise InputFault(
                    f"The endpoint {self._name} cannot be measured: {len(found)} of its {self._asked.count} instances "
                    f"answered on this host within {request.startup_seconds:g} s."
                )
            await self._parts.clock.sleep(_LOOK_SECONDS)
        self._runs, self._fleet = runs, endpoint.fleet.number
        yield Together(self._name, runs)

    def urls(self, instance: Instance) -> tuple[str, ...]:
        """See `Site.urls`."""
        return tuple(run.instance.url for run in self._runs if run.instance is not None)

    async def strain(self) -> str | None:
        """A server that misses a ``/ping`` would soon be taken out of the rotation: the load ends before."""
        endpoint = await self._endpoint()
        if endpoint.fleet.number != self._fleet:
            raise InputFault(f"The endpoint {self._name} was changed while it was measured.")
        for run in self._runs:
            if run.strain is not None:
                return f"an instance of the endpoint did not answer /ping in time ({run.strain})"
        return None

    async def _endpoint(self) -> Endpoint:
        """The endpoint's row, while it can be measured."""
        try:
            endpoint = await asyncio.to_thread(self._parts.store.endpoint, self._region, self._name)
        except ResourceNotFound:
            raise InputFault(f"The endpoint {self._name} was deleted.") from None
        if endpoint.id != self._asked.id:
            raise InputFault(f"The endpoint {self._name} was deleted; there is another of that name now.")
        if endpoint.status is not EndpointStatus.IN_SERVICE:
            raise InputFault(
                f"The endpoint {self._name} can be measured while it is InService; it is {endpoint.status}."
            )
        if endpoint.experiment is not None:
            raise InputFault(
                f"The endpoint {self._name} belongs to the inference experiment {endpoint.experiment}, whose verdict "
                "the load would spoil."
            )
        variants = [(one.name, one.instance_type.name, one.count) for one in endpoint.fleet.spec.every]
        if variants != [(self._asked.variant, self._asked.instance_type.name, self._asked.count)]:
            raise InputFault(f"The endpoint {self._name} was changed after the job had been created.")
        return endpoint


class Together:
    """All instances of an endpoint as one (`ports.Instance`): uses add up, and the first that ends is the end. `runs`:
    each has its instance now; another life may take it away at any time."""

    def __init__(self, name: str, runs: Sequence[ServerRun]) -> None:
        self._name = name
        self._runs = tuple(runs)
        self._instances = tuple(run.instance for run in runs if run.instance is not None)
        self._used = _sum([instance.usage() for instance in self._instances])

    @property
    def url(self) -> str:
        """Of the first."""
        return self._instances[0].url

    @property
    def flags(self) -> dict[Flag, str]:
        """Of all, and that others were served meanwhile."""
        flags = {flag: words for instance in self._instances for flag, words in instance.flags.items()}
        return {**flags, Flag.LIVE_TRAFFIC: _LIVE}

    @property
    def runtime(self) -> str:
        """Of the first, and how many there are."""
        count = len(self._instances)
        return f"the endpoint {self._name}, {count} instance{'s' if count > 1 else ''} of {self._instances[0].runtime}"

    @property
    def effective_environment(self) -> dict[str, str]:
        """Of the first: they are alike."""
        return self._instances[0].effective_environment

    @property
    def setup_seconds(self) -> float:
        """The longest."""
        return max(instance.setup_seconds for instance in self._instances)

    def usage(self) -> Usage:
        """The sum, as it was when all were there last. Of a core that several share, others' use is what none used."""
        if not self._gone:
            with contextlib.suppress(OSError):  # it ends just now
                self._used = _sum([instance.usage() for instance in self._instances])
        return self._used

    def death(self) -> str | None:
        """Of the first that has ended, or was ended with the endpoint."""
        if self._gone:
            return f"of the endpoint {self._name} was ended (with the endpoint, or to be replaced)"
        return next((death for one in self._instances if (death := one.death()) is not None), None)

    @property
    def _gone(self) -> bool:
        return any(run.instance is not one for run, one in zip(self._runs, self._instances, strict=True))

    async def ping(self) -> str | None:
        """The first answer that is not 200."""
        answers = [await instance.ping() for instance in self._instances]
        return next((answer for answer in answers if answer is not None), None)

    def log_tail(self, lines: int = 30) -> str:
        """Of the first that has ended, else of the first; nothing where they were ended with the endpoint."""
        if self._gone:
            return ""
        dead = [instance for instance in self._instances if instance.death() is not None]
        return (dead or self._instances)[0].log_tail(lines)


def _sum(usages: Sequence[Usage]) -> Usage:
    cpu = [usage.cpu_seconds for usage in usages]
    memory = [usage.memory_bytes for usage in usages]
    cores: dict[int, tuple[float, float]] = {}
    for usage in usages:
        for core, (everyone, own) in usage.core_seconds.items():
            cores[core] = (everyone, own + cores.get(core, (0.0, 0.0))[1])
    return Usage(
        cpu_seconds=sum(value for value in cpu if value is not None) if None not in cpu else None,
        memory_bytes=sum(value for value in memory if value is not None) if None not in memory else None,
        core_seconds=cores,
    )
