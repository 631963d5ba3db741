"""Connections to model servers: HTTP/1.1, kept alive, one request at a time on each.

A request that found its kept-alive connection closed by the server, before a byte of an answer, is sent once more on a
new one: that server had not taken it. Nothing else is repeated.
"""

from __future__ import annotations

import asyncio
from time import perf_counter_ns
from typing import cast

import httptools

# Source: SageMaker developer guide: containers must accept a connection within 250 ms.
_CONNECT_SECONDS = 0.25
_MOST_IDLE = 256
_LARGE_BYTES = 64 * 1024
# Servers close what is idle for some seconds (gunicorn: 2). Who is asked once takes no connection that may be closing.
_SURELY_OPEN_SECONDS = 1.0
# Chosen: heads and trailers are some hundred bytes; whoever sends so many without a byte of a body never ends.
_MOST_DRY_BYTES = 64 * 1024
# A stream is read ahead of its client by no more than this.
_AHEAD_BYTES = 256 * 1024


class UpstreamError(Exception):
    """The server gave no whole answer. `sent`: whether it may have taken the request."""

    def __init__(self, reason: str, *, sent: bool, timed_out: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.sent = sent
        self.timed_out = timed_out


class Reply:
    """An answer on its way. Times are of `perf_counter_ns`; 0: not yet. `size`: bytes of its body so far, of which
    `taken` have been handed on."""

    __slots__ = (
        "body",
        "chunks",
        "done",
        "error",
        "first_ns",
        "headers",
        "last_ns",
        "size",
        "status",
        "streams",
        "taken",
        "wake",
    )

    def __init__(self, streams: bool) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.chunks: list[bytes] = []
        self.taken = 0
        self.body = b""
        self.size = 0
        self.first_ns = 0
        self.last_ns = 0
        self.done = False
        self.error: UpstreamError | None = None
        self.streams = streams
        self.wake: asyncio.Future[None] | None = None

    @property
    def flows(self) -> bool:
        """Whether it is handed on in parts; an error is taken whole."""
        return self.streams and 200 <= self.status < 300

    def next_part(self) -> bytes:
        """Take all that is there, as one part: a caller that is behind is not sent thousands of small ones, while
        everybody else waits for their turn."""
        part = self.chunks[0] if len(self.chunks) == 1 else b"".join(self.chunks)
        self.chunks.clear()
        self.taken += len(part)
        return part

    def header(self, name: bytes) -> bytes | None:
        """The value of a header; `name` in lower case."""
        return next((value for key, value in self.headers if key == name), None)


class Link(asyncio.Protocol):
    """One connection."""

    __slots__ = (
        "_dry_bytes",
        "_limit_bytes",
        "_paused",
        "_timer",
        "_transport",
        "asked_before",
        "closed",
        "idle_since",
        "loop",
        "parser",
        "reply",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, limit_bytes: int) -> None:
        self.loop = loop
        self.reply: Reply | None = None
        self.closed = False
        self.asked_before = False
        self.idle_since = 0.0
        self._limit_bytes = limit_bytes
        self._paused = False
        self._dry_bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        self._transport = cast(asyncio.Transport, transport)
        self.parser = httptools.HttpResponseParser(self)

    def ask(self, head: bytes, body: bytes, reply: Reply, seconds: float, *, alone: bool) -> None:
        """Send a request; `reply` is filled. One that is not `alone` goes out together with what others send in this
        turn of the loop: the server that the first of them wakes up is awake for the rest."""
        self.reply = reply
        self._dry_bytes = 0
        self._timer = self.loop.call_later(seconds, self._expire)
        if len(body) >= _LARGE_BYTES:
            self._transport.write(head)
            self._transport.write(body)
        elif alone:
            self._transport.write(head + body)
        else:
            self.loop.call_soon(self._send, head + body)

    def _send(self, data: bytes) -> None:
        if not self._transport.is_closing():  # else `connection_lost` tells, or has told
            self._transport.write(data)

    def close(self) -> None:
        """Drop the connection."""
        self.closed = True
        self._transport.abort()

    def break_off(self, reason: str) -> None:
        """Drop the connection in the middle of an answer."""
        self._fail(reason)

    def resume(self) -> None:
        """Read on, after a stream was paused."""
        if self._paused and not self.closed:
            self._paused = False
            self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Bytes of the answer."""
        reply = self.reply
        if reply is None:
            self.close()  # nothing was asked
            return
        before = reply.size
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(f"the answer was not HTTP ({error})")
        except httptools.HttpParserUpgrade:
            self._fail("the server switched protocols")
        self._dry_bytes = self._dry_bytes + len(data) if reply.size == before else 0
        if self.reply is not None:
            self._taken_in(self.reply)

    def _taken_in(self, reply: Reply) -> None:
        """Once for all that came at once: a server may answer in very many small parts."""
        if self._dry_bytes > _MOST_DRY_BYTES:
            self._fail(f"the server sent over {_MOST_DRY_BYTES} bytes of headers")
        elif not reply.flows:
            if reply.size > self._limit_bytes:
                self._fail(f"the answer is over {self._limit_bytes} bytes")
        else:
            if reply.size - reply.taken > _AHEAD_BYTES and not self._paused:
                self._paused = True
                self._transport.pause_reading()
            self._wake_up(reply)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self.closed = True
        reply = self.reply
        if reply is None:
            return
        if reply.status and not reply.done and self._ends_with_connection():
            self._finish()
            return
        how = "closed the connection" if exc is None else f"broke the connection ({exc})"
        self._fail(f"the server {how}")

    # --- of the parser ---

    def on_message_begin(self) -> None:
        """An answer begins; one that nobody asked for follows the answer to another request: it must not be taken for
        that to the next one."""
        if self.reply is None and not self.closed:
            self.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header."""
        if self.reply is not None:
            self.reply.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The status is known."""
        reply = self.reply
        if reply is None:
            return
        reply.status = self.parser.get_status_code()
        reply.first_ns = perf_counter_ns()

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        reply = self.reply
        if reply is None:
            return
        reply.size += len(body)
        reply.chunks.append(body)

    def on_message_complete(self) -> None:
        """The whole of it."""
        if self.reply is None or self.reply.status < 200:
            if self.reply is not None:  # 100 Continue and its like: the answer is still to come
                self.reply.status = 0
                self.reply.headers.clear()
            return
        if self.reply.size > self._limit_bytes and not self.reply.flows:
            self._fail(f"the answer is over {self._limit_bytes} bytes")
            return
        if not self.parser.should_keep_alive():
            self.closed = True
        self._finish()

    # --- within ---

    def _ends_with_connection(self) -> bool:
        reply = self.reply
        assert reply is not None
        return reply.header(b"content-length") is None and reply.header(b"transfer-encoding") is None

    def _finish(self) -> None:
        reply = self.reply
        assert reply is not None
        self.reply = None
        self._stop_timer()
        reply.last_ns = perf_counter_ns()
        reply.done = True
        if not reply.flows:
            reply.body = reply.chunks[0] if len(reply.chunks) == 1 else b"".join(reply.chunks)
        self._wake_up(reply)
        if self.closed:
            self._transport.close()

    def _fail(self, reason: str, *, timed_out: bool = False) -> None:
        reply = self.reply
        self.reply = None
        self._stop_timer()
        if not self.closed:
            self.close()
        if reply is not None and not reply.done:
            reply.error = UpstreamError(reason, sent=True, timed_out=timed_out)
            reply.done = True
            self._wake_up(reply)

    def _expire(self) -> None:
        self._fail("the answer took too long", timed_out=True)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @staticmethod
    def _wake_up(reply: Reply) -> None:
        if reply.wake is not None and not reply.wake.done():
            reply.wake.set_result(None)


class Stream:
    """An answer that comes in parts: iterate over it, and close it. `is_cut`: the rest of it was not wanted."""

    __slots__ = ("_closed", "_link", "_upstream", "is_cut", "reply")

    def __init__(self, upstream: Upstream, link: Link, reply: Reply) -> None:
        self._upstream = upstream
        self._link = link
        self._closed = False
        self.is_cut = False
        self.reply = reply

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> bytes:
        reply = self.reply
        while not reply.chunks:
            if reply.error is not None:
                raise reply.error
            if reply.done:
                raise StopAsyncIteration
            reply.wake = self._link.loop.create_future()
            await reply.wake
        part = reply.next_part()
        self._link.resume()
        return part

    def cut(self, reason: str) -> None:
        """Drop the connection; what has not come is missing."""
        if not self.reply.done:
            self.is_cut = True
            self._link.break_off(reason)

    def close(self) -> None:
        """Drop what is still to come."""
        if not self._closed:
            self._closed = True
            self._upstream.end_stream(self._link, self.reply)


class Upstream:
    """One model server and the connections to it. `in_flight`: requests without an answer."""

    def __init__(self, server_id: str, url: str, limit_bytes: int) -> None:
        self.server_id = server_id
        self.url = url
        self.in_flight = 0
        self._limit_bytes = limit_bytes
        host, _, port = url.rpartition("//")[2].partition(":")
        self._host, self._port = host, int(port)
        self._loop = asyncio.get_running_loop()
        self._idle: list[Link] = []
        self._gone = False

    async def ask(self, head: bytes, body: bytes, seconds: float, *, again: bool = True) -> Reply:
        """The whole answer. `again`: a request that met a connection which was being closed is sent once more.

        Raises:
            UpstreamError: there is none.
        """
        self.in_flight += 1
        try:
            while True:
                link, reply = await self._link(sure=not again), Reply(streams=False)
                stale = link.asked_before
                link.asked_before = True
                await self._wait(link, reply, head, body, seconds)
                error = reply.error
                if error is None:
                    self._give_back(link)
                    return reply
                if not (again and stale and reply.status == 0 and not error.timed_out):
                    raise error
        finally:
            self.in_flight -= 1

    async def _wait(self, link: Link, reply: Reply, head: bytes, body: bytes, seconds: float) -> None:
        """Until it is whole, or has begun where it flows."""
        reply.wake = self._loop.create_future()
        link.ask(head, body, reply, seconds, alone=self.in_flight == 1)
        try:
            await reply.wake
        except asyncio.CancelledError:
            link.close()
            raise

    async def stream(self, head: bytes, body: bytes, seconds: float) -> Stream:
        """An answer that comes in parts; one that is an error is there whole. Whoever asks must close it.

        Raises:
            UpstreamError: there is none.
        """
        self.in_flight += 1
        try:
            while True:
                link, reply = await self._link(), Reply(streams=True)
                stale = link.asked_before
                link.asked_before = True
                await self._wait(link, reply, head, body, seconds)
                if reply.error is None or reply.flows:
                    return Stream(self, link, reply)
                if reply.status or not stale or reply.error.timed_out:
                    raise reply.error
        except BaseException:
            self.in_flight -= 1
            raise

    def end_stream(self, link: Link, reply: Reply) -> None:
        """A stream is over: its connection is used again where all of it was read."""
        self.in_flight -= 1
        if reply.done:
            link.resume()
            self._give_back(link)
        else:
            link.close()

    def close(self) -> None:
        """Have no idle connections any more."""
        self._gone = True
        for link in self._idle:
            link.close()
        self._idle.clear()

    async def _link(self, *, sure: bool = False) -> Link:
        """One that is idle, or a new one. `sure`: none that the server may be closing."""
        while self._idle:
            link = self._idle.pop()
            if sure and self._loop.time() - link.idle_since > _SURELY_OPEN_SECONDS:
                link.close()
            if not link.closed:
                return link
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                _, made = await self._loop.create_connection(
                    lambda: Link(self._loop, self._limit_bytes), self._host, self._port
                )
        except TimeoutError:
            raise UpstreamError("the server did not accept a connection within 250 ms", sent=False) from None
        except OSError as error:
            raise UpstreamError(f"the server accepted no connection ({error.strerror})", sent=False) from error
        return made

    def _give_back(self, link: Link) -> None:
        if link.closed:
            return
        if self._gone or len(self._idle) >= _MOST_IDLE:
            link.close()
        else:
            link.idle_since = self._loop.time()
            self._idle.append(link)
