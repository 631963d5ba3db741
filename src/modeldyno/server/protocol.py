"""HTTP/1.1 as uvicorn speaks it, with fewer turns: answers in one write, large bodies read far ahead, or taken over.

1. A connection that brings no whole head within a minute is closed, and so is one whose head has no end.
2. An Upgrade is declined by going on in HTTP/1.1, as RFC 9110 (7.8) has it: the body is read, and what follows it.
3. A connection that ends with an answer to an unread body is closed once the caller had time to read that answer
   (RFC 9112, 9.6).
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable, Mapping
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_AHEAD_BYTES = 128 * 1024
_HEAD_BYTES = 128 * 1024
"""Chosen: what a request's line, headers or trailers may take beyond the piece that they begin in."""
_LOOK_SECONDS = 30.0
"""Chosen: a head that was not whole at one look and is not at the next takes too long."""
_LINGER_SECONDS = 5.0
"""Chosen: what a caller that still sends has to read the answer."""
_HELD_BYTES = 64 * 1024
_FRAMING = (b"content-length", b"transfer-encoding")
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class _OneWrite:
    """A transport that holds what is written until more is, or until the loop goes on: the head of an answer and its
    body, which uvicorn writes one after the other, become one system call. Where other requests are in work
    (`is_alone` says no), it waits for the loop: then the answers of a turn go out together, and whoever the first one
    wakes up is awake for the rest. `lingers`: asked at its close whether somebody else closes `inner`."""

    def __init__(
        self,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        is_alone: Callable[[], bool],
        lingers: Callable[[], bool],
    ) -> None:
        self.inner = transport
        self._loop = loop
        self._is_alone = is_alone
        self._lingers = lingers
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
            self._held += data
            if len(self._held) > _HELD_BYTES or self._is_alone():
                self._flush()
        elif data:
            self._held = data
            self._loop.call_soon(self._flush)

    def close(self) -> None:
        """Send what is held, then close."""
        self._flush()
        if not self._lingers():
            self.inner.close()

    def _flush(self) -> None:
        if self._held:
            data, self._held = self._held, b""
            if not self.is_closing():  # the caller may have gone meanwhile
                self.inner.write(data)


class Protocol(HttpToolsProtocol):
    """uvicorn's own, on such a transport; a body is read so far ahead that large ones need few turns, and an
    application may read the rest of one itself: ``scope["extensions"]["modeldyno.take_body"](scope)``."""

    advanced = False
    """Whether the bytes that came last ended a head or brought some of a body."""
    _unfinished_bytes = 0
    _heads = 0
    _late: int | None = None  # the heads there were when the next one was not whole
    _timer: asyncio.TimerHandle | None = None
    _lingering = False  # or it has, or may not

    def data_received(self, data: bytes) -> None:
        """Take more in. What ends no head and brings no body is a head, which the parser holds whole."""
        self.advanced = False
        self._unset_keepalive_if_required()
        try:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                self._feed_past(memoryview(data)[upgrade.args[0] :])
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")
            return
        self._unfinished_bytes = 0 if self.advanced else self._unfinished_bytes + len(data)
        if self._unfinished_bytes > _HEAD_BYTES and not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self.transport.close()

    def on_headers_complete(self) -> None:
        """A head is there."""
        self.advanced = True
        self._heads += 1
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """A request is whole; one with an Upgrade has, to the parser, no body."""
        self.advanced = True
        if self.parser.should_upgrade() and self._framing():
            return
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
        super().connection_made(_OneWrite(transport, self.loop, self._is_alone, self._lingers))  # type: ignore[arg-type]
        self._timer = self.loop.call_later(_LOOK_SECONDS, self._look)

    def shutdown(self) -> None:
        """Serve nothing more, and wait for nobody."""
        self._lingering = True
        super().shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def read_on(self) -> None:
        """Expect the next request: the body of this one was read."""
        self.parser = _parser(self)
        self.on_message_complete()

    def _feed_past(self, rest: memoryview) -> None:
        """Go on behind the head of a request with an Upgrade."""
        while True:
            framing = self._framing()
            self.parser = _parser(_PastHead(self) if framing else self)
            if framing:
                self.parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n" % framing)
            try:
                self.parser.feed_data(rest)
                return
            except httptools.HttpParserUpgrade as upgrade:
                rest = rest[upgrade.args[0] :]

    def _framing(self) -> bytes:
        """The headers of this request that tell where its body ends; empty where it has none."""
        told = [(name, value) for name, value in self.headers if name in _FRAMING]
        return b"".join(b"%b: %b\r\n" % pair for pair in told if pair != (b"content-length", b"0"))

    def _look(self) -> None:
        waits = self.cycle is None or (self.cycle.response_complete and self._unfinished_bytes > 0)
        if waits and self._late == self._heads:
            self.transport.close()
            return
        self._late = self._heads if waits else None
        self._timer = self.loop.call_later(_LOOK_SECONDS, self._look)

    def _is_alone(self) -> bool:
        return len(self.tasks) <= 1

    def _lingers(self) -> bool:
        cycle = self.cycle
        if self._lingering or cycle is None or not (cycle.response_complete and cycle.more_body):
            return False
        self._lingering = True
        self.parser = _Dropping(self, sys.maxsize)  # type: ignore[assignment]
        inner = self.transport.inner  # type: ignore[attr-defined]
        if inner.can_write_eof():
            inner.write_eof()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(_LINGER_SECONDS, inner.close)
        return True

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


class _PastHead:
    """What a parser tells of a request whose head it was shown once more: all but that head."""

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol
        self._known = True
        self.on_body = protocol.on_body
        self.on_message_complete = protocol.on_message_complete

    def on_message_begin(self) -> None:
        """A request begins."""
        if not self._known:
            self._protocol.on_message_begin()

    def on_url(self, url: bytes) -> None:
        """A piece of its URL."""
        if not self._known:
            self._protocol.on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        if not self._known:
            self._protocol.on_header(name, value)

    def on_headers_complete(self) -> None:
        """A head is there."""
        if not self._known:
            self._protocol.on_headers_complete()
        self._known = False


def _parser(listener: Any) -> httptools.HttpRequestParser:
    parser = httptools.HttpRequestParser(listener)
    parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
    return parser


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
