"""A generator without a process: its windows are those of a queue with k servers, on whatever clock it is given."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from modeldyno.domain.errors import ServiceError
from modeldyno.domain.latency import bucket_of
from modeldyno.domain.measurement import SETTLE_SECONDS, WINDOW_SECONDS, Window
from modeldyno.domain.traffic import Arrivals
from modeldyno.ports import Clock, LoadTarget


@dataclass(frozen=True, slots=True)
class FakeServer:
    """What a `FakeGenerator` pretends to drive: `workers` servers, each fixed at `service_seconds` an invocation.

    Arrivals of whatever kind are a fluid to it: up to what the servers can do they are answered at once, beyond it the
    rest waits.

    `fail_share` (0..1) of the invocations fail as http_500. After `windows_alive` windows the generator dies.
    """

    workers: int = 2
    service_seconds: float = 0.02
    fail_share: float = 0.0
    windows_alive: int | None = None

    def per_second(self, users: int) -> float:
        """Invocations a second of so many closed-loop users."""
        return min(users, self.workers) / self.service_seconds

    def response_seconds(self, users: int) -> float:
        """Response time; with `per_second`, Little's law holds."""
        return max(users, self.workers) / self.workers * self.service_seconds


class FakeGenerator:
    """Scripted windows (`ports.LoadGenerator`). `server` says what stands behind a target."""

    def __init__(self, clock: Clock, server: Callable[[LoadTarget], FakeServer] = lambda _: FakeServer()) -> None:
        self._clock = clock
        self._server = server

    @asynccontextmanager
    async def drive(self, target: LoadTarget) -> AsyncIterator[FakeSession]:
        """A session with 0 users."""
        session = FakeSession(self._clock, self._server(target))
        try:
            yield session
        finally:
            session.close()


class FakeSession:
    """A running fake generator (`ports.LoadSession`)."""

    def __init__(self, clock: Clock, server: FakeServer) -> None:
        self._clock = clock
        self._server = server
        self._users = 0
        self._rate: float | None = None
        self._waiting = 0.0
        self._offered = 0.0
        self._sequence = 0
        self._settling = False
        self._started_at = clock.now()
        self._cut = asyncio.Event()
        self._ended: deque[Window] = deque()
        self._answered = 0.0
        self._failed = 0.0
        self._closed = False
        self._dead = False

    async def set_users(self, users: int, *, redraw: bool = False) -> None:
        """Have so many users at once."""
        if users < 0:
            raise ValueError(f"users must not be negative: {users}")
        self._change(users, None, redraw=redraw and users > 0)

    async def set_rate(self, per_second: float, arrivals: Arrivals = Arrivals.POISSON, *, redraw: bool = False) -> None:
        """Have arrivals at that rate at once."""
        if not (math.isfinite(per_second) and per_second >= 0):
            raise ValueError(f"the rate must be 0 or above: {per_second}")
        self._change(0, per_second or None, redraw=redraw and per_second > 0)

    def _change(self, users: int, rate: float | None, *, redraw: bool) -> None:
        self._refuse_when_dead()
        if (users, rate) == (self._users, self._rate) and not redraw:
            return
        if (self._users or self._rate) and self._clock.now() > self._started_at:
            self._end_window(self._clock.now(), settling=True)
        self._users, self._rate = users, rate
        if users:
            self._waiting = 0.0
        self._settling = True
        self._started_at = self._clock.now()
        self._cut.set()

    async def windows(self) -> AsyncIterator[Window]:
        """One window for each second of the clock, and one for each change of the users."""
        while not self._closed:
            while self._ended:
                yield self._ended.popleft()
            alive = self._server.windows_alive
            if alive is not None and self._sequence >= alive:
                self._dead = True
            self._refuse_when_dead()
            due_at = self._started_at + (SETTLE_SECONDS if self._settling else WINDOW_SECONDS)
            if await self._reached(due_at):
                self._end_window(due_at, settling=self._settling)
                self._settling = False

    async def _reached(self, due_at: float) -> bool:
        """Wait until then; whether it came: the users did not change and nobody left before."""
        self._cut.clear()
        rest = max(due_at - self._clock.now(), 0.0)
        waits = [asyncio.ensure_future(self._clock.sleep(rest)), asyncio.ensure_future(self._cut.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return not self._cut.is_set() and not self._closed

    def _end_window(self, ended_at: float, *, settling: bool) -> None:
        self._ended.append(self._window(self._started_at, ended_at - self._started_at, settling))
        self._started_at = ended_at
        self._sequence += 1

    def die(self) -> None:
        """End as a killed generator does."""
        self._dead = True

    def close(self) -> None:
        """End as a session that was left."""
        self._closed = True
        self._cut.set()

    def _window(self, started_at: float, seconds: float, settling: bool) -> Window:
        ended, response_seconds = self._served(seconds)
        offered_before, self._offered = int(self._offered), self._offered + (self._rate or 0.0) * seconds
        failed_before, answered_before = int(self._failed), int(self._answered)
        self._failed += ended * self._server.fail_share
        self._answered += ended * (1 - self._server.fail_share)
        failed, answered = int(self._failed) - failed_before, int(self._answered) - answered_before
        bucket = bucket_of(round(response_seconds * 1e9))
        return Window(
            sequence=self._sequence,
            started_at=started_at,
            duration_seconds=seconds,
            users=self._users,
            latency_counts={bucket: answered} if answered else {},
            failed={"http_500": failed} if failed else {},
            settling=settling,
            rate_per_second=self._rate,
            offered=None if self._rate is None else int(self._offered) - offered_before,
            in_flight=self._users + int(self._waiting),
        )

    def _served(self, seconds: float) -> tuple[float, float]:
        """Invocations that end in so many seconds, and their response time at the end."""
        if self._users:
            return self._server.per_second(self._users) * seconds, self._server.response_seconds(self._users)
        most = self._server.per_second(self._server.workers)
        came = self._waiting + (self._rate or 0.0) * seconds
        ended = min(came, most * seconds)
        self._waiting = came - ended
        return ended, self._server.service_seconds + self._waiting / most

    def _refuse_when_dead(self) -> None:
        if self._dead:
            raise ServiceError("The load generator was ended by signal 9.")
