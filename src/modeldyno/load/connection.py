"""A keep-alive connection: one request at a time, each answer timed and counted as what it is."""

from __future__ import annotations

import asyncio
import os
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter_ns
from typing import cast

import httptools

from modeldyno.domain.latency import bucket_of
from modeldyno.load.raw import FAILURES
from modeldyno.load.recorder import Recorder

# Chosen: a dead server costs a user 20 attempts a second, which is neither a burnt core nor a long blindness.
_PAUSE_SECONDS = 0.05
# Chosen: the head of an answer is remembered up to this; llhttp's users commonly allow 8 to 64 KiB of headers.
_LONGEST_HEAD_BYTES = 65_536


@dataclass(slots=True)
class Seen:
    """The last answer that was one whole packet and kept its connection: the same bytes again need no parser."""

    data: bytes = b""
    status: int = 0


@dataclass(frozen=True, slots=True)
class Scene:
    """What all connections share. `draw` gives the next request as the bytes to write, `place` the address and port of
    the next connection."""

    loop: asyncio.AbstractEventLoop
    place: Callable[[], tuple[str, int]]
    draw: Callable[[], bytes]
    timeout_seconds: float
    recorder: Recorder
    seen: Seen = field(default_factory=Seen)


class Connection(asyncio.Protocol):
    """One connection at a time: the next is opened when the last is known to be lost.

    Latency runs from the request's intended time to the arrival of the answer's last byte; an answer that took longer
    than the timeout has failed, whenever it is looked at. The request is written at once, past the loop's own queue, so
    that the loop's other work is not counted as the server's.

    Failures, by kind: ``http_<status>`` an answer that is not 2xx; ``timeout`` none in time; ``connection_refused``;
    ``connection_failed`` no connection for another reason; ``connection_reset`` it ended before the whole answer;
    ``bad_answer`` bytes that are not one HTTP answer.
    """

    __slots__ = (
        "_answers",
        "_begun_ns",
        "_feed",
        "_file",
        "_first_ns",
        "_head",
        "_keeps",
        "_last",
        "_limit_ns",
        "_opening",
        "_parser",
        "_partly",
        "_patience",
        "_pause",
        "_place",
        "_recorder",
        "_scene",
        "_seen",
        "_sent_ns",
        "_status",
        "_taken_bytes",
        "_transport",
        "intended_ns",
    )

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._place = scene.place()  # for good: who opens anew asks the same server
        self._recorder = scene.recorder
        self._seen = scene.seen
        self._limit_ns = round(scene.timeout_seconds * 1e9)
        self._begun_ns = 0  # when the connection was asked for
        self.intended_ns = 0  # when the request in flight should have been written; 0: none is
        self._sent_ns = 0
        self._last = False  # the connection is closed after the answer in flight
        self._pause = False
        self._opening: asyncio.Task[None] | None = None
        self._patience: asyncio.Timeout | None = None
        self._transport: asyncio.Transport | None = None
        self._file = -1
        self._answers = 0
        self._partly = False  # not all of the request could be written at once
        self._status = 0
        self._keeps = False  # the server keeps the connection after this answer
        self._head = bytearray()  # of an answer that comes in pieces
        self._first_ns = 0  # when its first piece came
        self._taken_bytes = 0

    # --- what a user or a carrier does with it ---

    @abstractmethod
    def _go_on(self) -> None:
        """The connection is free: it is new, or the answer is whole."""

    def _connected(self) -> None:
        """It is there."""

    @abstractmethod
    def _unconnected(self, kind: str) -> None:
        """No connection was to be had."""

    @abstractmethod
    def _lost(self) -> None:
        """The connection is gone."""

    def redraw(self) -> None:
        """Finish the request in flight, then go on with a new connection."""
        self._last = True

    def expire(self) -> None:
        """Give the request in flight up: it took too long."""
        self._fail("timeout")

    # --- connections ---

    def _open(self) -> None:
        self._opening = self._scene.loop.create_task(self._connect())

    async def _connect(self) -> None:
        scene = self._scene
        if self._pause:
            self._pause = False
            await asyncio.sleep(_PAUSE_SECONDS)
        self._begun_ns = perf_counter_ns()
        try:
            async with asyncio.timeout(scene.timeout_seconds) as self._patience:
                await scene.loop.create_connection(lambda: self, *self._place)
        except TimeoutError:
            self._lost_before_it_began("timeout")
        except ConnectionRefusedError:
            self._lost_before_it_began("connection_refused")
        except OSError:
            self._lost_before_it_began("connection_failed")

    def _lost_before_it_began(self, kind: str) -> None:
        if self._transport is None:
            self._unconnected(kind)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with this connection, unless it comes in the very moment in which it is given up: then it never was."""
        assert self._patience is not None  # it is being opened
        try:
            self._patience.reschedule(None)
        except RuntimeError:
            cast(asyncio.Transport, transport).abort()
            return
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own class
        self._last = False
        self._file = transport.get_extra_info("socket").fileno()
        self._answers = 0
        self._partly = False
        self._parser = httptools.HttpResponseParser(self)
        self._feed = self._parser.feed_data
        self._connected()
        self._go_on()

    def connection_lost(self, error: Exception | None) -> None:
        """Account for a request that was in flight, and tell that the connection is gone."""
        if self._transport is None:
            return
        self._transport = None
        self._file = -1
        if self.intended_ns:
            if error is None and self._ends_with_connection():
                self._count(perf_counter_ns(), 0)
            else:
                self._fail("connection_reset")
        self._lost()

    # --- requests and answers ---

    def _send(self, intended_ns: int, now_ns: int) -> None:
        request = self._scene.draw()
        self.intended_ns = intended_ns
        self._sent_ns = now_ns
        try:
            written = os.write(self._file, request)
        except BlockingIOError:
            written = 0
        except OSError:
            self._fail("connection_reset")
            return
        if written != len(request):
            assert self._transport is not None
            self._partly = True
            self._transport.write(memoryview(request)[written:])

    def data_received(self, data: bytes) -> None:
        """Take in a piece of the answer; when it is whole, count it and go on."""
        now_ns = perf_counter_ns()
        if not self.intended_ns:  # nobody asked: a server that says why it is about to close
            self._drop()
            return
        self._recorder.bytes_received += len(data)
        if data == self._seen.data and not self._first_ns:
            self._status, self._keeps = self._seen.status, True
        elif not self._parsed(data, now_ns):
            return
        self._count(now_ns, len(data))
        if self._last or not self._keeps or (self._partly and self._writing()):
            self._drop()
        else:
            self._go_on()

    def _parsed(self, data: bytes, now_ns: int) -> bool:
        """Whether an answer is whole with this piece."""
        try:
            self._feed(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail("bad_answer")
            return False
        if self._answers != 1:
            if self._answers:
                self._fail("bad_answer")
            else:
                self._remember(data, now_ns)
            return False
        self._answers = 0
        if self._keeps and not self._first_ns:
            self._seen.data, self._seen.status = data, self._status
        return True

    def _remember(self, data: bytes, now_ns: int) -> None:
        self._first_ns = self._first_ns or now_ns
        self._taken_bytes += len(data)
        if len(self._head) < _LONGEST_HEAD_BYTES:
            self._head += data

    def on_message_complete(self) -> None:
        """An answer is whole (called by the parser). Interim ones (1xx) do not count."""
        status = self._parser.get_status_code()
        if status >= 200:
            self._status = status
            self._keeps = self._parser.should_keep_alive()
            self._answers += 1

    def _count(self, now_ns: int, size: int) -> None:
        recorder, status = self._recorder, self._status
        latency_ns = now_ns - self.intended_ns
        if latency_ns > self._limit_ns:
            recorder.failed["timeout"] += 1
            status = FAILURES["timeout"]
        elif 200 <= status < 300:
            recorder.latency_counts[bucket_of(latency_ns)] += 1
        else:
            recorder.failed[f"http_{status}"] += 1
        if recorder.raw is not None:
            first_ns = self._first_ns or now_ns
            recorder.raw.add(self.intended_ns, self._sent_ns, first_ns, now_ns, status, self._taken_bytes + size)
        self.intended_ns = 0
        if self._first_ns:
            self._forget()

    def _fail(self, kind: str) -> None:
        """Count the request in flight as failed, and give its connection up."""
        if self.intended_ns:
            self._recorder.lose(kind, self.intended_ns, self._sent_ns, self._first_ns, self._taken_bytes)
        self.intended_ns = 0
        self._forget()
        self._pause = True
        self._drop()

    def _forget(self) -> None:
        self._first_ns = 0
        self._taken_bytes = 0
        self._head.clear()

    def _drop(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _writing(self) -> bool:
        """Whether the answer came before the whole request was written."""
        assert self._transport is not None
        self._partly = False
        return self._transport.get_write_buffer_size() > 0

    def _ends_with_connection(self) -> bool:
        """Whether the answer in flight is one that ends where its connection does.

        **Source:** RFC 9112 section 6.3: neither Transfer-Encoding nor Content-Length.
        """
        head, end, _ = bytes(self._head).partition(b"\r\n\r\n")
        if not end:
            return False
        self._status = self._parser.get_status_code()
        names = {line.partition(b":")[0].strip().lower() for line in head.split(b"\r\n")[1:]}
        return not names & {b"content-length", b"transfer-encoding"}
