"""A light client: sends given bytes over keep-alive connections and notes when each answer was whole.

Run as a process of its own (``python -m benchmarks.client``): a `Drive` as msgpack on standard input, `Driven` as JSON
on standard output. It reads of an answer no more than its status, its length and whether the connection goes on.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import cast

import msgspec
import uvloop

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)


class Drive(msgspec.Struct):
    """What to send: `requests` in turn, over so many connections, each with one request on its way at a time."""

    port: int
    requests: list[bytes]
    connections: int
    seconds: float
    core: int | None = None


class Driven(msgspec.Struct):
    """What came of it. Latencies in milliseconds; `client_cpu_share` near 1 would mean that the client was too slow."""

    per_second: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    requests: int
    failed: int
    client_cpu_share: float


class _Connection(asyncio.Protocol):
    def __init__(self, run: _Run) -> None:
        self._run = run
        self._buffer = b""
        self._whole = 0
        self._waits = False
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._next()

    def _next(self) -> None:
        self._buffer, self._whole, self._waits = b"", 0, True
        self._sent_at = time.perf_counter()
        self._transport.write(next(self._run.requests))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._whole:
            head = self._buffer.find(b"\r\n\r\n")
            length = _LENGTH.search(self._buffer)
            if head < 0 or length is None:
                return
            self._whole = head + 4 + int(length[1])
        if len(self._buffer) < self._whole:
            return
        self._waits = False
        run = self._run
        now = time.perf_counter()
        run.latencies.append(now - self._sent_at)
        run.failed += not self._buffer.startswith((b"HTTP/1.1 200", b"HTTP/1.0 200"))
        if now >= run.ends_at:
            self._transport.close()
        elif self._buffer.startswith(b"HTTP/1.0") or _CLOSE.search(self._buffer, 0, self._whole):
            self._transport.close()
            run.connect()
        else:
            self._next()

    def connection_lost(self, error: Exception | None) -> None:
        self._run.failed += self._waits
        self._run.lost()


class _Run:
    def __init__(self, drive: Drive) -> None:
        self._loop = asyncio.get_running_loop()
        self._port = drive.port
        self._open = 0
        self.requests: Iterator[bytes] = itertools.cycle(drive.requests)
        self.latencies: list[float] = []
        self.failed = 0
        self.ended = asyncio.Event()
        self.ends_at = time.perf_counter() + drive.seconds
        self._connecting: set[asyncio.Task[object]] = set()
        for _ in range(drive.connections):
            self.connect()

    def connect(self) -> None:
        self._open += 1
        task: asyncio.Task[object] = self._loop.create_task(
            self._loop.create_connection(lambda: _Connection(self), "127.0.0.1", self._port)
        )
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    def lost(self) -> None:
        self._open -= 1
        if not self._open:
            self.ended.set()


async def _drive(drive: Drive) -> Driven:
    started_at, cpu_before = time.perf_counter(), time.process_time()
    run = _Run(drive)
    await asyncio.wait_for(run.ended.wait(), drive.seconds + 30)
    elapsed = time.perf_counter() - started_at
    cpu_share = (time.process_time() - cpu_before) / elapsed
    ordered = sorted(run.latencies)

    def quantile_ms(share: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1e3, 3)

    return Driven(
        per_second=round(len(ordered) / elapsed, 1),
        p50_ms=quantile_ms(0.5),
        p95_ms=quantile_ms(0.95),
        p99_ms=quantile_ms(0.99),
        requests=len(ordered),
        failed=run.failed,
        client_cpu_share=round(cpu_share, 3),
    )


def drive(port: int, requests: Sequence[bytes], *, connections: int, seconds: float, core: int | None) -> Driven:
    """Send the requests from a process of its own.

    Raises:
        RuntimeError: an answer was not 200: such a figure would mean nothing.
    """
    order = msgspec.msgpack.encode(Drive(port, list(requests), connections, seconds, core))
    process = subprocess.run([sys.executable, "-m", __name__], input=order, stdout=subprocess.PIPE, check=True)
    driven = msgspec.json.decode(process.stdout, type=Driven)
    if driven.failed:
        raise RuntimeError(f"{driven.failed} of {driven.requests} answers were not 200.")
    return driven


def main() -> None:
    order = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Drive)
    if order.core is not None:
        os.sched_setaffinity(0, {order.core})
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(_drive(order))))


if __name__ == "__main__":
    main()
