"""A server on loopback whose connections all end with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
_TURNS = 10  # of the loop: from an accepted connection to its handler it takes four


@asynccontextmanager
async def serving(handle: Handle) -> AsyncIterator[int]:
    """A server; `handle` is called for each connection, which is closed when it returns. Gives the port.

    At the end the connections are closed, and seen to be: one that were left open would be found by the garbage
    collector, in some other test.
    """
    connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections[task] = writer
        try:
            await handle(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        # Python 3.11 loses, open, what is accepted but has no handler yet when a server is closed (Server._attach).
        asyncio.get_running_loop().remove_reader(server.sockets[0].fileno())
        await _turns()
        server.close()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        for writer in connections.values():
            writer.transport.abort()
        await _turns()


async def _turns() -> None:
    for _ in range(_TURNS):
        await asyncio.sleep(0)
