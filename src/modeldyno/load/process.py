"""The generator as its owner sees it: starts, commands and surely ends a process (`ports.LoadGenerator`)."""

from __future__ import annotations

import asyncio
import math
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import IO
from urllib.parse import urlsplit

import msgspec

from modeldyno.domain.errors import InputFault, ServiceError
from modeldyno.domain.measurement import SETTLE_SECONDS, WINDOW_SECONDS, Window
from modeldyno.domain.traffic import Arrivals
from modeldyno.load.messages import Cut, Order, Ready, Refused, Report, SetRate, SetUsers, Start
from modeldyno.ports import LoadSession, LoadTarget

# Chosen: starting takes 0.2 s and reading 1 GiB of payloads from a slow disk about 10 s.
_START_SECONDS = 60.0
# Chosen: a window's line has at most 12 bytes for each of the 14,848 buckets of a histogram.
_LONGEST_LINE_BYTES = 1 << 20
_TAIL_BYTES = 2_000
_REPORTS: msgspec.json.Decoder[Report] = msgspec.json.Decoder(Report)


class ProcessGenerator:
    """Drives load from a process of its own on the target's cores, one process for each session."""

    def __init__(self, window_seconds: float = WINDOW_SECONDS, settle_seconds: float = SETTLE_SECONDS) -> None:
        self._window_seconds = window_seconds
        self._settle_seconds = min(settle_seconds, window_seconds)

    @asynccontextmanager
    async def drive(self, target: LoadTarget) -> AsyncIterator[LoadSession]:
        """Start a generator with 0 users; its process is gone when the context is left, however it is left.

        Raises:
            InputFault: the payloads cannot be used; names the file.
            ServiceError: the process cannot be started, or the target cannot be driven.
        """
        start = _start(target, self._window_seconds, self._settle_seconds)
        with tempfile.TemporaryFile() as errors:
            process, ours = _spawn(errors)
            session = None
            try:
                reader, writer = await asyncio.open_unix_connection(sock=ours, limit=_LONGEST_LINE_BYTES)
                session = ProcessSession(process, reader, writer, errors)
                await session.start(start)
                yield session
            finally:
                process.kill()
                if session is None:
                    ours.close()
                else:
                    session.close()
                await asyncio.to_thread(process.wait)


class ProcessSession:
    """A running generator process (`ports.LoadSession`)."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        errors: IO[bytes],
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self._errors = errors
        self._closed = False

    @property
    def process_id(self) -> int:
        """The generator's process id."""
        return self._process.pid

    async def start(self, start: Start) -> None:
        """Hand over what to drive, and wait until the generator is ready."""
        try:
            async with asyncio.timeout(_START_SECONDS):
                await self._say(start)
                report = await self._hear()
        except TimeoutError as error:
            raise ServiceError(f"The load generator was not ready within {_START_SECONDS:g} seconds.") from error
        match report:
            case Ready():
                return
            case Refused(reason, payloads=True):
                raise InputFault(reason)
            case Refused(reason):
                raise ServiceError(f"The load generator cannot start: {reason}.")
            case _:
                raise ServiceError("The load generator did not say that it is ready.")

    async def set_users(self, users: int, *, redraw: bool = False) -> None:
        """Have so many users at once; `redraw`: all on new connections.

        Raises:
            ServiceError: the generator has died.
        """
        if users < 0:
            raise ValueError(f"users must not be negative: {users}")
        await self._say(SetUsers(users, redraw))

    async def set_rate(self, per_second: float, arrivals: Arrivals = Arrivals.POISSON, *, redraw: bool = False) -> None:
        """Have arrivals at that rate at once; `redraw`: on new connections.

        Raises:
            ServiceError: the generator has died.
        """
        if not (math.isfinite(per_second) and per_second >= 0):
            raise ValueError(f"the rate must be 0 or above: {per_second}")
        await self._say(SetRate(per_second, arrivals, redraw))

    async def windows(self) -> AsyncIterator[Window]:
        """The windows as they end, about one a second, until the session is closed.

        Raises:
            ServiceError: the generator has died; with its last words.
        """
        while not self._closed:
            match await self._hear():
                case Cut(window):
                    yield window
                case None:
                    return

    def close(self) -> None:
        """End the conversation."""
        self._closed = True
        self._writer.transport.abort()

    async def _say(self, message: Start | Order) -> None:
        try:
            self._writer.write(msgspec.json.encode(message) + b"\n")
            await self._writer.drain()
        except ConnectionError as error:
            raise await self._death() from error

    async def _hear(self) -> Report | None:
        """The next report; None when the session was closed meanwhile."""
        try:
            line = await self._reader.readline()
        except ConnectionError:
            line = b""
        if line.endswith(b"\n"):
            return _REPORTS.decode(line)
        if self._closed:
            return None
        raise await self._death()

    async def _death(self) -> ServiceError:
        """What ended the generator, which has closed its end."""
        self._process.kill()
        status = await asyncio.to_thread(self._process.wait)
        self._errors.seek(max(self._errors.seek(0, 2) - _TAIL_BYTES, 0))
        words = self._errors.read().decode(errors="replace").strip()
        ended = f"was ended by signal {-status}" if status < 0 else f"exited with status {status}"
        return ServiceError(f"The load generator {ended}" + (f": {words}" if words else "."))


def _start(target: LoadTarget, window_seconds: float, settle_seconds: float) -> Start:
    url = urlsplit(target.url)
    return Start(
        places=tuple(_place(one) for one in (target.url, *target.also)),
        method=target.method,
        path=url.path.rstrip("/") + target.path,
        headers=_headers(target, url.netloc.rpartition("@")[2]),
        payload_dir=str(target.payload_dir) if target.payload_dir else None,
        seed=target.seed,
        timeout_seconds=target.timeout_seconds,
        window_seconds=window_seconds,
        settle_seconds=settle_seconds,
        cores=target.cores,
        max_connections=target.max_connections,
        raw_path=str(target.raw_path) if target.raw_path else None,
        raw_limit=target.raw_limit,
    )


def _place(url_text: str) -> tuple[str, int]:
    url = urlsplit(url_text)
    if url.scheme != "http" or not url.hostname:
        raise ServiceError(f"The load generator drives http:// URLs only, not '{url_text}'.")
    try:
        return url.hostname, url.port or 80
    except ValueError as error:
        raise ServiceError(f"'{url_text}' has no port that there could be.") from error


def _headers(target: LoadTarget, host: str) -> tuple[tuple[str, str], ...]:
    """The usual ones where the target does not say otherwise, then the target's."""
    said = {name.lower() for name, _ in target.headers}
    usual = {"Host": host, "Content-Type": target.content_type if target.payload_dir else None, "Accept": target.accept}
    chosen = [(name, value) for name, value in usual.items() if value is not None and name.lower() not in said]
    return (*chosen, *target.headers)


def _spawn(errors: IO[bytes]) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """A generator process, and the owner's end of the socket that is its file 0."""
    command = [sys.executable, "-P", "-m", "modeldyno.load.engine"]
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            return subprocess.Popen(command, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, stderr=errors), ours
        except OSError as error:
            ours.close()
            raise ServiceError(f"The load generator cannot be started: {error.strerror}.") from error
