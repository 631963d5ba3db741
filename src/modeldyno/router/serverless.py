"""The requests at a serverless variant: each has a server to itself, which is started where none is free.

1. A request beyond MaxConcurrency is refused at once; the limit is kept by each front.
2. A request takes the free server with the lowest number, so that those with high numbers fall idle and are ended.
3. Where none is free, the front tells the store at once how many it needs (`Demand`), and the request waits.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Iterator

from modeldyno.domain.serverless import Demand
from modeldyno.router.refusals import refused
from modeldyno.router.upstream import Upstream


class Pool:
    """What a front has in process at one variant."""

    def __init__(self, idle_seconds: float) -> None:
        self._demand = Demand(idle_seconds)
        self._taken: set[Upstream] = set()
        self._changed = asyncio.Event()
        self.busy = 0

    def servers(self, now: float) -> int:
        """How many servers are needed."""
        self._demand.see(self.busy, now)
        return self._demand.servers(now)

    @contextlib.contextmanager
    def admitted(self, variant: str, most: int, now: float) -> Iterator[None]:
        """One request, in process while the block runs. Assumption A-0123: how it is refused.

        Raises:
            Refused: as many as may be are in process.
        """
        if self.busy >= most:
            text = f"Rate exceeded: {self.busy} invocations of variant {variant} are in process, its MaxConcurrency."
            raise refused(429, "ThrottlingException", text)
        self.busy += 1
        self._demand.see(self.busy, now)
        try:
            yield
        finally:
            self.busy -= 1

    def take(self, upstreams: Iterable[Upstream]) -> Upstream | None:
        """The first that is free, which is not free from now on."""
        free = next((one for one in upstreams if one not in self._taken), None)
        if free is not None:
            self._taken.add(free)
        return free

    def give_back(self, upstream: Upstream) -> None:
        """It is free again."""
        self._taken.discard(upstream)
        self.wake()

    def wake(self) -> None:
        """Something has changed: those who wait look again."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def changed(self, seconds: float) -> bool:
        """Wait for a change; False: there was none for so long."""
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True
