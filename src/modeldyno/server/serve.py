"""Serving the front door on a bound socket, with uvicorn, until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn

from modeldyno.server.protocol import Protocol


class _Server(uvicorn.Server):
    """uvicorn, without its signal handlers (the caller has its own), telling when it listens."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._on_ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(
    app: Any,
    listener: socket.socket,
    on_ready: Callable[[], None],
    stop: asyncio.Event,
    *,
    grace_seconds: int = 4,
    certificate: str | None = None,
    private_key: str | None = None,
) -> None:
    """Serve an ASGI application on an already bound socket; returns when `stop` is set and requests are done.

    `on_ready` is called once, when connections are accepted. After `stop` no new connection is taken, requests in
    flight get `grace_seconds` (with uvicorn's own pauses, the default makes less than five seconds), and the socket is
    closed. Best run on uvloop (``uvloop.run``). `certificate`, `private_key`: PEM files, for TLS.
    """
    config = uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        interface="asgi3",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=grace_seconds,
        ssl_certfile=certificate,
        ssl_keyfile=private_key,
    )
    server = _Server(config, on_ready)

    async def end() -> None:
        await stop.wait()
        server.should_exit = True

    async with asyncio.TaskGroup() as group:
        ending = group.create_task(end())
        await server.serve(sockets=[listener])
        ending.cancel()
