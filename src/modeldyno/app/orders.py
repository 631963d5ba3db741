"""How the supervisor speaks with its children: orders on their standard input, news on their standard output.

The child reads one JSON line (its orders) and then ``go`` before it touches the store. It answers lines:
``opened`` (the
store is migrated and open), ``ready``, or ``error TEXT`` before it exits. The end of its input means that the
supervisor
is gone: the child stops, cleanly, however the supervisor ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import msgspec

from modeldyno.domain.errors import DynoError
from modeldyno.settings import Settings

OPENED = "opened"
READY = "ready"
ERROR = "error "
GO = b"go\n"


class Orders(msgspec.Struct, frozen=True):
    """What a child is told. They hold credentials, so they never travel as arguments or in the environment.

    serves: whether endpoints are served: by `dyno up`, not by a command that only runs a job. exposed: whether other
    machines can reach it, so that every request must be signed.
    """

    settings: Settings
    listener_fd: int | None = None
    serves: bool = False
    exposed: bool = False


def read_line() -> bytes:
    """One line of standard input, unbuffered: what follows stays in the pipe. Empty at its end."""
    line = bytearray()
    while byte := os.read(0, 1):
        if byte == b"\n":
            return bytes(line)
        line += byte
    return b""


def read_orders() -> Orders:
    """The orders of this process."""
    return msgspec.json.decode(read_line(), type=Orders)


def wait_for_go() -> None:
    """Block until the supervisor allows the store to be opened; exit when it is gone."""
    if read_line() != GO.strip():
        raise SystemExit(0)


def tell(word: str) -> None:
    """Send a line of news to the supervisor; nobody may be listening any more."""
    try:
        os.write(1, f"{word}\n".encode())
    except BrokenPipeError:
        return


def note(text: str) -> None:
    """One line in this process's log. A full disk takes the line, not the process."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)  # noqa: T201 - standard error is the log file of a child


def keep_to_first_core() -> None:
    """Run on the host's first core only, where the load generator is: the others are for the models under test."""
    if hasattr(os, "sched_setaffinity") and len(cores := os.sched_getaffinity(0)) > 1:
        os.sched_setaffinity(0, {min(cores)})


def allow_many_connections() -> None:
    """Have as many files open as this process may; the usual 1024 are few for a service."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def run_child(
    body: Callable[[asyncio.Event], Awaitable[None]], run: Callable[[Coroutine[Any, Any, None]], None]
) -> None:
    """Run a child's body until SIGTERM or the end of standard input; a `DynoError` is told to the supervisor."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        loop.add_signal_handler(signal.SIGTERM, stop.set)
        loop.add_reader(0, lambda: _at_input(loop, stop))
        await body(stop)

    try:
        run(main())
    except DynoError as error:
        tell(f"{ERROR}{error}")
        raise SystemExit(3) from None


def _at_input(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    if not os.read(0, 4096):
        loop.remove_reader(0)
        stop.set()
