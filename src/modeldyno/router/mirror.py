"""The mirror: what production has answered is sent to the shadow, behind a bounded queue.

1. A request is offered when its caller has the whole answer, never before: production waits for nothing here.
2. The queue holds at most so many requests and so many bytes, those being asked included; what finds no room is
   dropped.
3. At most so many are asked at once. Each is asked once, with a limit of time for the whole answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter_ns

from modeldyno.domain.pair import Outcome, Side
from modeldyno.domain.routing import Choice
from modeldyno.domain.routing import Mirror as Shadow
from modeldyno.router.invoke import Exchange
from modeldyno.router.request import upstream_head
from modeldyno.router.table import Target
from modeldyno.router.upstream import UpstreamError

_log = logging.getLogger(__name__)

# A container must ignore headers that it does not know (developer guide), and may look at this one.
_MARK = b"X-Dyno-Mirrored: 1\r\n"


@dataclass(frozen=True, slots=True)
class MirrorLimits:
    """How much may wait for the shadow, and for how long."""

    requests: int = 1000
    total_bytes: int = 64 * 1024**2
    body_bytes: int = 6_291_456
    parallel: int = 64
    seconds: float = 60.0


@dataclass(slots=True)
class Copy:
    """A request on its way to the shadow. `done(copy, side, outcome)` is called once. `twice`: production is asked a
    second time, too; `again` is what it answered then."""

    target: Target
    shadow: Shadow
    exchange: Exchange
    done: Callable[[Copy, Side | None, Outcome], None]
    twice: bool = False
    again: Side | None = None
    queued_ns: int = 0
    wait_ns: int = 0
    experiment_id: str | None = field(init=False)

    def __post_init__(self) -> None:
        self.experiment_id = self.target.route.experiment_id

    @property
    def size(self) -> int:
        """Bytes that it keeps in memory."""
        return len(self.exchange.body) + len(self.exchange.answer)


class Mirror:
    """One queue for all shadows of this front."""

    def __init__(self, limits: MirrorLimits) -> None:
        self._limits = limits
        self._queue: deque[Copy] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._held = 0
        self._held_bytes = 0

    @property
    def held(self) -> tuple[int, int]:
        """Requests that wait or are being asked, and their bytes."""
        return self._held, self._held_bytes

    def offer(self, copy: Copy) -> None:
        """Take a copy, or drop it; returns at once."""
        if len(copy.exchange.body) > self._limits.body_bytes:
            copy.done(copy, None, Outcome.OVERSIZE)
            return
        full = self._held >= self._limits.requests or self._held_bytes + copy.size > self._limits.total_bytes
        if full:
            copy.done(copy, None, Outcome.DROPPED)
            return
        copy.queued_ns = perf_counter_ns()
        self._held += 1
        self._held_bytes += copy.size
        self._queue.append(copy)
        if len(self._tasks) < self._limits.parallel:
            task = asyncio.get_running_loop().create_task(self._drain())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _drain(self) -> None:
        while self._queue:
            copy = self._queue.popleft()
            side, outcome = None, Outcome.CANCELLED
            try:
                side, outcome = await self._ask(copy)
            except Exception as error:  # whatever it is, the others wait behind it
                _log.error("a request was not mirrored", exc_info=error)
            finally:
                self._let_go(copy, side, outcome)

    def _let_go(self, copy: Copy, side: Side | None, outcome: Outcome) -> None:
        self._held -= 1
        self._held_bytes -= copy.size
        copy.done(copy, side, outcome)

    async def _ask(self, copy: Copy) -> tuple[Side | None, Outcome]:
        target, shadow = copy.target, copy.shadow
        now = target.route
        if now.mirror is None or now.mirror.variant != shadow.variant or now.experiment_id != copy.experiment_id:
            return None, Outcome.CANCELLED
        copy.wait_ns = perf_counter_ns() - copy.queued_ns
        side, timed_out = await self._answer(copy, now.mirror)
        if copy.twice and side.good and (choice := target.choose(copy.exchange.variant)) is not None:
            copy.again, _ = await self._answer(copy, choice)
        if timed_out:
            return side, Outcome.TIMEOUT
        return side, Outcome.COMPARED if side.good else Outcome.SHADOW_ERROR

    async def _answer(self, copy: Copy, of: Shadow | Choice) -> tuple[Side, bool]:
        """What a variant answers, asked once; and whether it took too long."""
        exchange, began = copy.exchange, perf_counter_ns()
        upstream = copy.target.upstream(of, 0.0)
        if upstream is None:
            return Side(of.variant, 0, "", b"", 0, "no instance is in service"), False
        head = upstream_head(exchange.invocation, len(exchange.body), _MARK)
        try:
            reply = await upstream.ask(head, exchange.body, self._limits.seconds, again=False)
        except UpstreamError as error:
            return Side(of.variant, 0, "", b"", perf_counter_ns() - began, error.reason), error.timed_out
        side = Side(
            variant=of.variant,
            status=reply.status,
            content_type=(reply.header(b"content-type") or b"").decode("latin-1"),
            body=reply.body,
            latency_ns=reply.last_ns - began,
            first_ns=reply.first_ns - began,
        )
        return side, False

    async def end(self, seconds: float) -> None:
        """Finish what is being asked, for so long; give up the rest."""
        waiting, self._queue = list(self._queue), deque()
        for copy in waiting:
            self._let_go(copy, None, Outcome.CANCELLED)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
