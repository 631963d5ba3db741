"""A generator without a process: its windows are those of a queue with k servers, on whatever clock it is given."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from modeldyno.domain.errors import ServiceError
from modeldyno.domain.latency import bucket_of
from modeldyno.domain.measurement import Window
from modeldyno.ports import Clock, LoadTarget

WINDOW_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class FakeServer:
    """What a `FakeGenerator` pretends to drive: `workers` servers, each fixed at `service_seconds` an invocation.

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
        self._wanted = 0
        self._answered = 0.0
        self._failed = 0.0
        self._closed = False
        self._dead = False

    async def set_users(self, users: int, *, redraw: bool = False) -> None:
        """Have so many users from the next window on."""
        if users < 0:
            raise ValueError(f"users must not be negative: {users}")
        self._refuse_when_dead()
        self._wanted = users
        if self._users == 0:
            self._users = users

    async def windows(self) -> AsyncIterator[Window]:
        """One window for each second of the clock."""
        sequence = 0
        while not self._closed:
            if sequence == self._server.windows_alive:
                self._dead = True
            self._refuse_when_dead()
            started_at = self._clock.now()
            await self._clock.sleep(WINDOW_SECONDS)
            if not self._closed:
                window = self._window(sequence, started_at)
                self._users = self._wanted
                sequence += 1
                yield window

    def die(self) -> None:
        """End as a killed generator does."""
        self._dead = True

    def close(self) -> None:
        """End as a session that was left."""
        self._closed = True

    def _window(self, sequence: int, started_at: float) -> Window:
        ended = self._server.per_second(self._users) * WINDOW_SECONDS
        failed_before, answered_before = int(self._failed), int(self._answered)
        self._failed += ended * self._server.fail_share
        self._answered += ended * (1 - self._server.fail_share)
        failed, answered = int(self._failed) - failed_before, int(self._answered) - answered_before
        bucket = bucket_of(round(self._server.response_seconds(self._users) * 1e9))
        return Window(
            sequence=sequence,
            started_at=started_at,
            duration_seconds=WINDOW_SECONDS,
            users=self._users,
            latency_counts={bucket: answered} if answered else {},
            failed={"http_500": failed} if failed else {},
        )

    def _refuse_when_dead(self) -> None:
        if self._dead:
            raise ServiceError("The load generator was ended by signal 9.")
