"""HTTP/1.1 as uvicorn speaks it, with fewer turns: answers in one write, large bodies read far ahead, or taken over."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping
from typing import Any

import httptools
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


class Protocol(HttpToolsProtocol):
    """uvicorn's own, on such a transport; a body is read so far ahead that large ones need few turns, and an
    application may read the rest of one itself: ``scope["extensions"]["modeldyno.take_body"](scope)``. Headers without
    end are not taken in."""

    advanced = False
    """Whether the bytes that came last ended a head or brought some of a body."""
    _unfinished_bytes = 0

    def data_received(self, data: bytes) -> None:
        """Take more in. What ends no head and brings no body is a head, which the parser holds whole."""
        self.advanced = False
        super().data_received(data)
        self._unfinished_bytes = 0 if self.advanced else self._unfinished_bytes + len(data)
        if self._unfinished_bytes > _HEAD_BYTES and not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self.transport.close()

    def on_headers_complete(self) -> None:
        """A head is there."""
        self.advanced = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """A request is whole."""
        self.advanced = True
        super().on_message_complete()

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self.scope["extensions"] = {"modeldyno.take_body": self._take_body}  # type: ignore[dict-item]

    def on_body(self, body: bytes) -> None:
        """Keep it until it is asked for."""
        self.advanced = True
        if self.cycle.response_complete:
            return
        self.cycle.body += body
        if len(self.cycle.body) > _AHEAD_BYTES:
            self.flow.pause_reading()
        self.cycle.message_event.set()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin."""
        super().connection_made(_OneWrite(transport, self.loop))  # type: ignore[arg-type]

    def read_on(self) -> None:
        """Expect the next request: the body of this one was read."""
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
        self.on_message_complete()

    def _take_body(self, scope: Mapping[str, Any]) -> _TakenBody | None:
        cycle = self.cycle
        if cycle.scope is not scope or not cycle.more_body or cycle.disconnected or self.scheme == "https":
            return None
        self.flow.pause_reading()
        data, cycle.body = bytes(cycle.body), bytearray()
        return _TakenBody(self, data)


class _TakenBody:
    """The rest of a body: what was read of it, and a socket of its own to read on from; it does not block."""

    def __init__(self, protocol: Protocol, data: bytes) -> None:
        self.data = data
        self._protocol = protocol
        self.socket = socket.socket(fileno=os.dup(protocol.transport.get_extra_info("socket").fileno()))
        self.socket.setblocking(False)

    def give_back(self, left: int) -> None:
        """Read on; `left` bytes of the body are still to come, and nobody wants them."""
        self.socket.close()
        if self._protocol.parser is None:  # the connection is lost
            return
        if left:
            self._protocol.parser = _Dropping(self._protocol, left)  # type: ignore[assignment]
        else:
            self._protocol.read_on()


class _Dropping:
    """In the place of a parser: takes in the rest of a body that nobody wants."""

    def __init__(self, protocol: Protocol, left: int) -> None:
        self._protocol = protocol
        self._left = left

    def feed_data(self, data: bytes) -> None:
        """Drop it, and read on from where the body ends."""
        self._protocol.advanced = True
        dropped = min(self._left, len(data))
        self._left -= dropped
        if not self._left:
            self._protocol.read_on()
            if rest := data[dropped:]:
                self._protocol.parser.feed_data(rest)
