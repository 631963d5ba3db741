"""Serving the front door on a bound socket, with uvicorn, until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_AHEAD_BYTES = 128 * 1024
_HEAD_BYTES = 128 * 1024
"""Chosen: what a request's line, headers or trailers may take beyond the piece that they begin in."""
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class _OneWrite:
    """A transport that holds what is written until more is, or until the loop goes on: the head of an answer and its
    body, which uvicorn writes one after the other, become one system call."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held = b""
        self.is_closing = transport.is_closing
        self.get_extra_info = transport.get_extra_info
        self.pause_reading = transport.pause_reading
        self.resume_reading = transport.resume_reading
        self.set_protocol = transport.set_protocol
        self.abort = transport.abort

    def write(self, data: bytes) -> None:
        """Hold it, or send it with what is held."""
        if self._held:
            data, self._held = self._held + data, b""
            self._transport.write(data)
        elif data:
            self._held = data
            self._loop.call_soon(self._flush)

    def close(self) -> None:
        """Send what is held, then close."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._held:
            data, self._held = self._held, b""
            self._transport.write(data)


class _Protocol(HttpToolsProtocol):
    """uvicorn's own, on such a transport; a body is read so far ahead that large ones need few turns, and headers
    without end are not taken in."""

    _unfinished_bytes = 0
    _advanced = False

    def data_received(self, data: bytes) -> None:
        """Take more in. What ends no head and brings no body is a head, which the parser holds whole."""
        self._advanced = False
        super().data_received(data)
        self._unfinished_bytes = 0 if self._advanced else self._unfinished_bytes + len(data)
        if self._unfinished_bytes > _HEAD_BYTES and not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self.transport.close()

    def on_headers_complete(self) -> None:
        self._advanced = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._advanced = True
        super().on_message_complete()

    def on_body(self, body: bytes) -> None:
        self._advanced = True
        if self.cycle.response_complete:
            return
        self.cycle.body += body
        if len(self.cycle.body) > _AHEAD_BYTES:
            self.flow.pause_reading()
        self.cycle.message_event.set()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(_OneWrite(transport, self.loop))  # type: ignore[arg-type]


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
        http=_Protocol,
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
