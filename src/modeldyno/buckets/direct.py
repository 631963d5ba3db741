"""The rest of a large body, read from its socket by threads: no turn of the event loop for each piece of it.

1. A thread reads what is there, to one of its two buffers, and writes it, while another thread hashes it and the next
   is read. Both leave Python's lock for nearly all of it.
2. No thread waits for a caller: where nothing comes for a moment, the event loop waits for more.
3. A thread reads one body for a moment only, so that many bodies take turns.
"""

from __future__ import annotations

import asyncio
import select
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

from modeldyno.buckets.checksums import Hash
from modeldyno.ports.buckets import Sink

EXTENSION = "modeldyno.take_body"
"""Of the ASGI scope: ``(scope) -> TakenBody | None``; None where it cannot be taken (TLS, or it is all there)."""
LEAST_BYTES = 1024**2
"""Chosen: below, the event loop is as fast."""
_BUFFER_BYTES = 256 * 1024
_TURN_SECONDS = 0.05
_PATIENCE_MS = 2
_readers = ThreadPoolExecutor(4, thread_name_prefix="upload")
_hashers = ThreadPoolExecutor(4, thread_name_prefix="hash")


class TakenBody(Protocol):
    """A body that the server reads no more."""

    @property
    def data(self) -> bytes:
        """What the server had read, and not given on."""
        ...

    @property
    def socket(self) -> socket.socket:
        """Where the rest comes from; it does not block."""
        ...

    def give_back(self, left: int) -> None:
        """The server reads on; `left` bytes of the body are still to come, and nobody wants them."""
        ...


Take = Callable[[], TakenBody | None]


def taker(scope: Mapping[str, Any]) -> Take | None:
    """How the body of this request is taken, where the server lets that be done."""
    take = scope.get("extensions", {}).get(EXTENSION)
    return None if take is None else lambda: take(scope)


async def drain(taken: TakenBody, size: int, sink: Sink, hashes: Sequence[Hash], idle_seconds: float) -> int:
    """Hash and write the rest of a body, `size` bytes; how many came before the caller was gone.

    Raises:
        TimeoutError: nothing came for so long. OutOfRoom.
    """
    loop = asyncio.get_running_loop()
    reading = _Reading(taken, size, sink, hashes)
    try:
        while reading.left and not reading.ended:
            turn = loop.run_in_executor(_readers, reading.turn)
            try:
                await asyncio.shield(turn)
            except asyncio.CancelledError:
                await asyncio.wait({turn})  # it is over at once, and uses what the caller is about to close
                raise
            if reading.left and not reading.ended:
                await _readable(taken.socket, idle_seconds)
    finally:
        taken.give_back(reading.left)
    return size - reading.left


async def _readable(source: socket.socket, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    came = asyncio.Event()
    loop.add_reader(source, came.set)
    try:
        async with asyncio.timeout(seconds):
            await came.wait()
    finally:
        loop.remove_reader(source)


class _Buffers(threading.local):
    """Two of each reading thread: one is filled while the other is hashed."""

    def __init__(self) -> None:
        self.pair = (memoryview(bytearray(_BUFFER_BYTES)), memoryview(bytearray(_BUFFER_BYTES)))


_buffers = _Buffers()


class _Reading:
    """One body on its way. `left`: bytes still to come; `ended`: none will."""

    def __init__(self, taken: TakenBody, size: int, sink: Sink, hashes: Sequence[Hash]) -> None:
        self.left = size
        self.ended = False
        self._early = taken.data
        self._socket = taken.socket
        self._sink = sink
        self._hashes = hashes
        self._poll = select.poll()
        self._poll.register(taken.socket, select.POLLIN)

    def turn(self) -> None:
        """Take in what is there, for a moment."""
        until = time.monotonic() + _TURN_SECONDS
        hashing: Future[None] | None = None
        try:
            if self._early:
                self._take_early()
            filling, other = _buffers.pair
            while (full := self._filled(filling, until)) is not None:
                if hashing is not None:
                    hashing.result()
                hashing = _hashers.submit(_update, self._hashes, full)
                self._sink.write(full)
                filling, other = other, filling
        finally:
            if hashing is not None:
                hashing.result()

    def _take_early(self) -> None:
        data, self._early = self._early, b""
        self.left -= len(data)
        _update(self._hashes, memoryview(data))
        self._sink.write(data)

    def _filled(self, buffer: memoryview, until: float) -> memoryview | None:
        """What comes now, at most a buffer full; None: nothing, or it is another's turn."""
        filled = 0
        while filled < len(buffer) and self.left and time.monotonic() < until:
            came = self._read(buffer[filled : filled + self.left])
            if not came:
                break
            filled += came
            self.left -= came
        return buffer[:filled] if filled else None

    def _read(self, room: memoryview) -> int:
        """Bytes read; 0: none are there for a moment, or the caller is gone."""
        while True:
            try:
                came = self._socket.recv_into(room)
            except BlockingIOError:
                if not self._poll.poll(_PATIENCE_MS):
                    return 0
                continue
            except OSError:
                came = 0
            self.ended = not came
            return came


def _update(hashes: Sequence[Hash], data: memoryview) -> None:
    for one in hashes:
        one.update(data)
