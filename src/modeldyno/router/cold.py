"""A request at a serverless variant, from its admission to its answer."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from time import perf_counter_ns
from typing import TypeVar

from modeldyno.domain.errors import DynoError
from modeldyno.domain.routing import Choice
from modeldyno.domain.serverless import LIMIT_BYTES
from modeldyno.ports import Clock
from modeldyno.router.refusals import refused
from modeldyno.router.request import Invocation
from modeldyno.router.serverless import Pool
from modeldyno.router.table import RouteTable, Target
from modeldyno.router.upstream import Upstream, UpstreamError

_T = TypeVar("_T")
# Chosen: as long as a container may take to answer. A cold start that takes longer serves the next request.
COLD_SECONDS = 60.0


def check_serverless(choice: Choice, invocation: Invocation, size: int) -> None:
    """Refuse what a serverless endpoint does not take. Assumption A-0125: it does not stream."""
    if not choice.concurrency:
        return
    if invocation.streams:
        text = "InvokeEndpointWithResponseStream is not supported: a serverless endpoint answers whole."
        raise refused(400, "ValidationError", text)
    if size > LIMIT_BYTES:
        text = f"The body of {size} bytes is over the limit of a serverless endpoint, {LIMIT_BYTES} bytes."
        raise refused(400, "ValidationError", text)


async def ask_serverless(
    table: RouteTable,
    clock: Clock,
    target: Target,
    choice: Choice,
    invocation: Invocation,
    ask: Callable[[Upstream], Awaitable[_T]],
) -> _T:
    """Ask a server that nobody else asks meanwhile; another where it took no connection.

    Raises:
        Refused: too many are in process, or there was no server in time.
        UpstreamError: the server gave no whole answer.
    """
    pool = table.pool(target, choice.variant)
    with pool.admitted(choice.variant, choice.concurrency, clock.monotonic()):
        dead: set[Upstream] = set()
        while True:
            began = perf_counter_ns()
            upstream = await _free_one(table, clock, pool, target, choice, dead)
            invocation.waited_ns += perf_counter_ns() - began
            try:
                return await ask(upstream)
            except UpstreamError as error:
                if error.sent:
                    raise
                dead.add(upstream)
            finally:
                pool.give_back(upstream)


async def _free_one(
    table: RouteTable, clock: Clock, pool: Pool, target: Target, choice: Choice, dead: set[Upstream]
) -> Upstream:
    """A server that is free; one is started where there is none."""
    until = clock.monotonic() + COLD_SECONDS
    told = False
    while (here := target.of_variant(choice)) is not None:
        upstream = pool.take(one for one in here if one not in dead)
        if upstream is not None:
            return upstream
        now = clock.monotonic()
        if not told:  # the worker starts one as soon as it knows
            told = True
            with contextlib.suppress(DynoError):  # the store may be away
                await table.look(since=now)
        elif not await pool.changed(until - now):
            text = f"No server of variant {choice.variant} was ready within {COLD_SECONDS:g} seconds. Try again."
            raise refused(429, "ModelNotReadyException", text)
    raise refused(503, "ServiceUnavailable", f"Variant {choice.variant} of endpoint {target.route.name} is gone.")
