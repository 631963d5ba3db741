"""A backend without processes: every instance is at a URL that is given, and behaves as its environment says."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from modeldyno.domain.errors import ModelFault
from modeldyno.domain.host import Cgroup, Host
from modeldyno.domain.trial import Flag
from modeldyno.ports import DeployRequest, Instance, Tag, Usage
from modeldyno.testing.behaving_server import Behaviour

A_HOST = Host("fake", cores=(0, 1, 2, 3), memory_mib=16384, architecture="x86_64", cgroup=Cgroup.V2, root=True)


@dataclass(slots=True)
class FakeInstance:
    """One pretended server. Change `used` and `ill`, and call `die`, as the test goes."""

    url: str
    log: str = ""
    runtime: str = "a fake"
    flags: dict[Flag, str] = field(default_factory=dict)
    effective_environment: dict[str, str] = field(default_factory=dict)
    used: Usage = field(default_factory=lambda: Usage(cpu_seconds=0.0, memory_bytes=1024**2))
    ended: str | None = None
    ill: str | None = None
    setup_seconds: float = 0.25

    async def ping(self) -> str | None:
        """`ill`."""
        return self.ill

    def usage(self) -> Usage:
        """`used`."""
        return self.used

    def death(self) -> str | None:
        """What `die` was told."""
        return self.ended

    def log_tail(self, lines: int = 30) -> str:
        """The end of `log`."""
        return "\n".join(self.log.splitlines()[-lines:])

    def die(self, how: str = "killed by SIGKILL") -> None:
        """End it, as a crash would."""
        self.ended = how


class FakeBackend:
    """Pretended servers (`ports.InstanceBackend`). BEHAVIOUR in a request's environment says how each behaves. `url`:
    where they are, or a function of the request.

    `requests` holds every deploy asked for, `live` the instances by `str(tag)`; `orphans` is what a crash left. A
    lasting server that was ready is left in `lasting` when its task is dropped by `crash`.
    """

    def __init__(
        self,
        url: str | Callable[[DeployRequest], str] = "http://127.0.0.1:9",
        host: Host = A_HOST,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._url = url
        self._host = host
        self._sleep = sleep
        self.requests: list[DeployRequest] = []
        self.live: dict[str, FakeInstance] = {}
        self.orphans: set[Tag] = set()
        self.discarded: list[Tag] = []
        self.lasting: dict[str, FakeInstance] = {}

    def crash(self) -> None:
        """Forget the living; lasting ones go on without us, and can be adopted."""
        self.lasting, self.live = dict(self.live), {}

    def adopt(self, request: DeployRequest) -> AbstractAsyncContextManager[Instance] | None:
        """See `ports.InstanceBackend`."""
        instance = self.lasting.pop(str(request.tag), None)
        return None if instance is None or instance.ended is not None else self._adopted(request, instance)

    @contextlib.asynccontextmanager
    async def _adopted(self, request: DeployRequest, instance: FakeInstance) -> AsyncIterator[Instance]:
        self.live[str(request.tag)] = instance
        try:
            yield instance
        finally:
            self.live.pop(str(request.tag), None)

    def host(self) -> Host:
        """The host it was given."""
        return self._host

    def deploy(self, request: DeployRequest) -> AbstractAsyncContextManager[Instance]:
        """See `ports.InstanceBackend`."""
        return self._deployed(request)

    def discard(self, tag: Tag) -> None:
        """See `ports.InstanceBackend`."""
        self.orphans.discard(tag)
        self.discarded.append(tag)

    def remove_orphans(self, installation: str, worker: str, keep: Collection[str] = ()) -> int:
        """See `ports.InstanceBackend`."""
        mine = {tag for tag in self.orphans if (tag.installation, tag.worker) == (installation, worker)}
        gone = {tag for tag in mine if str(tag) not in keep}
        self.orphans -= gone
        return len(gone)

    @contextlib.asynccontextmanager
    async def _deployed(self, request: DeployRequest) -> AsyncIterator[Instance]:
        self.requests.append(request)
        url = self._url if isinstance(self._url, str) else self._url(request)
        instance = FakeInstance(url, effective_environment=dict(request.environment))
        self.live[str(request.tag)] = instance
        try:
            await self._begin(Behaviour(request.environment.get("BEHAVIOUR", "healthy")), request)
            yield instance
        finally:
            self.live.pop(str(request.tag), None)

    async def _begin(self, behaviour: Behaviour, request: DeployRequest) -> None:
        limit = f"within {request.startup_seconds:g} s; the last try"
        late = f"The model server did not answer /ping with status 200 {limit}"
        if behaviour in (Behaviour.SILENT, Behaviour.DEAF):
            await self._sleep(request.startup_seconds)
            raise ModelFault(f"{late}: no answer within 2 s.")
        if behaviour is Behaviour.PING_500:
            await self._sleep(request.startup_seconds)
            raise ModelFault(f"{late}: status 500.")
        if behaviour is Behaviour.EXITS:
            words = "these are its last words"
            raise ModelFault("The model server exited with status 3 before /ping answered.", words)
        if behaviour is Behaviour.EATS_MEMORY:
            mebibytes = (request.placement.memory_bytes or 0) // 1024**2
            raise ModelFault(f"The model server was killed: out of memory ({mebibytes} MiB) before /ping answered.")
