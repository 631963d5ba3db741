"""A model server whose truth is known: k workers, one queue, and a record of every service time.

``python -m modeldyno.testing.truth_server --workers 2 --service-ms 20 --record FILE``. It keeps the container contract
(``/ping``, ``POST /invocations``, SAGEMAKER_BIND_TO_PORT), so it can be measured like any model; what it could do at
most is then `workers / mean(recorded service seconds)`. Nominal times mislead: a "20 ms" sleep takes longer.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import socket
import struct
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import httptools
import uvloop

from modeldyno.testing.truth_behaviour import Behaviour, ServiceTimes, add_options, with_pauses

_RECORD = struct.Struct("<qqqqiq")
_BURN = struct.Struct("<q")
_BURNT = struct.Struct("<qqq")
_OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
_FAILED = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 12\r\n\r\nmade to fail"
_CLOSING = b"\r\nConnection: close"
_MISSING = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
_NOT_READY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Service:
    """One invocation as the server saw it; times of the machine's monotonic clock. arrived_ns: its bytes were read;
    started_ns to ended_ns: it had a slot; answered_ns: its answer was written. cpu_ns: 0 where it only slept."""

    arrived_ns: int
    started_ns: int
    ended_ns: int
    cpu_ns: int
    status: int
    answered_ns: int


def read_record(path: Path) -> tuple[Service, ...]:
    """All invocations that a server has recorded, in the order of their ends."""
    data = path.read_bytes()
    whole = len(data) - len(data) % _RECORD.size
    return tuple(Service(*fields) for fields in _RECORD.iter_unpack(data[:whole]))


def within(services: Iterable[Service], started_at: float, ended_at: float) -> tuple[Service, ...]:
    """Those that ended between two times in seconds since the epoch (of this boot of this machine): the same
    invocations as in the windows of that time. A truth from other ones compares a busy machine with a quiet one."""
    offset = time.time() - time.monotonic()
    return tuple(service for service in services if started_at <= service.ended_ns / 1e9 + offset < ended_at)


def true_per_second(services: Iterable[Service], workers: int) -> float:
    """What the server can do at most: `workers` over the mean service time."""
    seconds = [(service.ended_ns - service.started_ns) / 1e9 for service in services]
    return workers * len(seconds) / sum(seconds)


@dataclass(slots=True)
class _Invocation:
    connection: _Connection
    body: bytes
    arrived_ns: int
    started_ns: int = 0


class TruthServer:
    """k slots and one first-come-first-served queue in front of them."""

    def __init__(self, behaviour: Behaviour, record: Path | None, burners: list[socket.socket]) -> None:
        self._behaviour = behaviour
        if record and record.is_dir():
            record = record / f"{os.getpid()}.record"
        self._record = record.open("ab") if record else None
        self._times = ServiceTimes(behaviour)
        self._kept: list[bytes] = []
        self._answers = 0
        self._failures = random.Random(behaviour.seed)
        self._loop = asyncio.get_running_loop()
        self._queue: deque[_Invocation] = deque()
        self._free = behaviour.workers
        self._burners = burners
        self._began = time.monotonic()

    @property
    def ready(self) -> bool:
        """Whether the start-up time is over."""
        return time.monotonic() - self._began >= self._behaviour.startup_seconds

    def invoke(self, connection: _Connection, body: bytes, arrived_ns: int) -> None:
        """Queue an invocation; its connection gets the answer."""
        self._queue.append(_Invocation(connection, body, arrived_ns))
        self._serve_next()

    def _serve_next(self) -> None:
        while self._free and self._queue:
            self._free -= 1
            invocation = self._queue.popleft()
            inside = len(self._queue) + self._behaviour.workers - self._free
            seconds = self._times.next_seconds(self._age(), inside, invocation.body)
            invocation.started_ns = time.monotonic_ns()
            if self._burners:
                self._loop.create_task(self._burn(invocation, seconds))
            elif (takes := with_pauses(self._behaviour, self._age(), seconds)) > 0:
                self._loop.call_later(takes, self._slept, invocation)
            else:
                self._slept(invocation)

    def _age(self) -> float:
        return time.monotonic() - self._began

    async def _burn(self, invocation: _Invocation, seconds: float) -> None:
        burner = self._burners.pop()
        await self._loop.sock_sendall(burner, _BURN.pack(round(seconds * 1e9)))
        invocation.started_ns, ended_ns, cpu_ns = _BURNT.unpack(await self._loop.sock_recv(burner, _BURNT.size))
        if pause := with_pauses(self._behaviour, self._age(), 0.0):
            await asyncio.sleep(pause)
            ended_ns = time.monotonic_ns()
        self._burners.append(burner)
        self._finish(invocation, ended_ns, cpu_ns)

    def _slept(self, invocation: _Invocation) -> None:
        self._finish(invocation, time.monotonic_ns(), 0)

    def _finish(self, invocation: _Invocation, ended_ns: int, cpu_ns: int) -> None:
        self._free += 1
        self._serve_next()
        failed = self._failures.random() < self._behaviour.fail_share
        self._answers += 1
        ends = self._behaviour.close_every and self._answers % self._behaviour.close_every == 0
        invocation.connection.answer(self._answer(_FAILED if failed else _OK, bool(ends)), last=bool(ends))
        answered_ns = time.monotonic_ns()
        if self._behaviour.leak_bytes:
            self._kept.append(os.urandom(self._behaviour.leak_bytes))
        if self._record:
            status = 500 if failed else 200
            times = (invocation.arrived_ns, invocation.started_ns, ended_ns, cpu_ns)
            self._record.write(_RECORD.pack(*times, status, answered_ns))

    def _answer(self, answer: bytes, ends: bool) -> bytes:
        if not ends or self._behaviour.close_silently:
            return answer
        status, line, rest = answer.partition(b"\r\n")
        return status + _CLOSING + line + rest

    def flush(self) -> None:
        """Write what is recorded to the file."""
        if self._record:
            self._record.flush()


class _Connection(asyncio.Protocol):
    """HTTP/1.1 with keep-alive, one request at a time."""

    def __init__(self, server: TruthServer) -> None:
        self._server = server
        self._url = b""
        self._body = b""
        self._read_ns = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own class
        self._parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        self._read_ns = time.monotonic_ns()
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._transport.close()

    def on_url(self, url: bytes) -> None:
        self._url = url

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        match self._parser.get_method(), self._url:
            case b"POST", b"/invocations":
                self._server.invoke(self, self._body, self._read_ns)
            case b"GET", b"/ping":
                self.answer(_OK if self._server.ready else _NOT_READY)
            case _:
                self.answer(_MISSING)
        self._body = b""

    def answer(self, answer: bytes, *, last: bool = False) -> None:
        if not self._transport.is_closing():
            self._transport.write(answer)
            if last:
                self._transport.close()


def _burn_for_ever(orders: socket.socket) -> None:
    """A CPU-bound worker: burns as much of its own CPU time as it is told, tells when, until the other end is gone."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    while order := orders.recv(_BURN.size):
        (cpu_ns,) = _BURN.unpack(order)
        started_ns, cpu_started_ns = time.monotonic_ns(), time.thread_time_ns()
        while time.thread_time_ns() - cpu_started_ns < cpu_ns:
            pass
        burnt_ns = time.thread_time_ns() - cpu_started_ns
        orders.send(_BURNT.pack(started_ns, time.monotonic_ns(), burnt_ns))


@contextmanager
def _burning(count: int) -> Iterator[list[socket.socket]]:
    """So many CPU-bound worker processes, each at the other end of a socket."""
    ours: list[socket.socket] = []
    processes: list[int] = []
    for _ in range(count):
        here, there = socket.socketpair()
        process = os.fork()
        if process == 0:
            for other in (*ours, here):
                other.close()
            with suppress(ConnectionError):
                _burn_for_ever(there)
            os._exit(0)
        there.close()
        here.setblocking(False)
        ours.append(here)
        processes.append(process)
    try:
        yield list(ours)
    finally:
        for here in ours:
            here.close()
        for process in processes:
            os.waitpid(process, 0)


async def _serve(arguments: argparse.Namespace, behaviour: Behaviour, burners: list[socket.socket]) -> None:
    loop = asyncio.get_running_loop()
    server = TruthServer(behaviour, arguments.record, burners)
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    listener = await loop.create_server(lambda: _Connection(server), arguments.host, arguments.port, backlog=1024)
    print(f"ready http://{arguments.host}:{listener.sockets[0].getsockname()[1]}", flush=True)  # noqa: T201
    while not ended.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), 1.0)
        server.flush()
    listener.close()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="truth_server", description=__doc__.splitlines()[0] if __doc__ else None)
    environment = os.environ
    add = parser.add_argument
    add("--host", default="127.0.0.1")
    add("--port", type=int, default=int(environment.get("SAGEMAKER_BIND_TO_PORT", "0")), help="0: the system chooses")
    add("--workers", type=int, default=int(environment.get("SAGEMAKER_MODEL_SERVER_WORKERS", "1")))
    add(
        "--record",
        type=Path,
        default=environment.get("DYNO_TRUTH_RECORD"),
        help="file for the service times; a directory: one in it",
    )
    add_options(parser)
    return parser.parse_args()


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    arguments = _arguments()
    behaviour = Behaviour.of(arguments)
    with _burning(arguments.workers if arguments.distribution == "cpu" else 0) as burners:
        uvloop.run(_serve(arguments, behaviour, burners))


if __name__ == "__main__":
    main()
