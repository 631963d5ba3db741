"""The generator's process: ``python -m modeldyno.load.engine``, with its owner at the other end of file 0."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import itertools
import os
import random
import re
import resource
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from modeldyno.domain.errors import InputFault
from modeldyno.domain.measurement import Window
from modeldyno.load.conductor import Conductor
from modeldyno.load.connection import Scene
from modeldyno.load.messages import Cut, Order, Ready, Refused, Report, Start
from modeldyno.load.payloads import read_payloads
from modeldyno.load.raw import RawFile
from modeldyno.load.recorder import Recorder

# Chosen: drawing anew for each request would cost more than sending it; the order repeats after so many.
_DRAWN_AHEAD = 65_536
_OURS = {"content-length", "transfer-encoding"}  # what frames a message is not the caller's to say
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # Source: RFC 9110 section 5.6.2, token
_PATH = re.compile(r"/[!-~]*")
_PR_SET_PDEATHSIG = 1  # Source: prctl(2), linux/prctl.h


def main() -> None:
    """Serve the owner until it closes its end."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the owner's to handle
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    uvloop.run(_serve(socket.socket(fileno=0)))


async def _serve(owner: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_die)
    reader, writer = await asyncio.open_unix_connection(sock=owner)

    def tell(report: Report) -> None:
        writer.write(msgspec.json.encode(report) + b"\n")

    start = msgspec.json.decode(await reader.readline(), type=Start)
    try:
        scene = _prepare(start, loop)
    except (InputFault, OSError) as error:
        tell(Refused(str(error), payloads=isinstance(error, InputFault)))
        await writer.drain()
        return
    tell(Ready())

    def emit(window: Window) -> None:
        tell(Cut(window))

    gc.collect()
    gc.freeze()
    conductor = Conductor(scene, start, emit)
    orders: msgspec.json.Decoder[Order] = msgspec.json.Decoder(Order)
    while line := await reader.readline():
        conductor.obey(orders.decode(line))
    os._exit(0)  # requests in flight are of no interest any more


def _prepare(start: Start, loop: asyncio.AbstractEventLoop) -> Scene:
    if start.cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, start.cores)
    requests = _requests(start)
    places = [_resolved(address, port) for address, port in start.places]
    raw = RawFile(Path(start.raw_path), start.raw_limit) if start.raw_path else None
    draw = _draw(requests, start.seed)
    return Scene(loop, itertools.cycle(places).__next__, draw, start.timeout_seconds, Recorder(raw))


def _resolved(address: str, port: int) -> tuple[str, int]:
    return str(socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0][4][0]), port


def _requests(start: Start) -> list[bytes]:
    head = _head(start)
    if start.payload_dir is None:
        return [head + b"\r\n"]
    bodies = read_payloads(Path(start.payload_dir))
    return [head + f"Content-Length: {len(body)}\r\n\r\n".encode() + body for body in bodies]


def _head(start: Start) -> bytes:
    if not _PATH.fullmatch(start.path):
        raise InputFault(f"{start.path!r} cannot be asked for: it has to begin with / and be percent-encoded.")
    lines = [f"{start.method} {start.path} HTTP/1.1"]
    for name, value in start.headers:
        if not (_NAME.fullmatch(name) and value.isascii() and value.isprintable()):
            raise InputFault(f"{value!r} cannot be sent as the header {name}.")
        if name.lower() in _OURS:
            raise InputFault(f"The header {name} is the generator's own.")
        lines.append(f"{name}: {value}")
    return "\r\n".join([*lines, ""]).encode()


def _draw(requests: list[bytes], seed: int) -> Callable[[], bytes]:
    if len(requests) == 1:
        return itertools.repeat(requests[0]).__next__
    drawn = random.Random(seed).choices(requests, k=max(_DRAWN_AHEAD, 8 * len(requests)))
    return itertools.cycle(drawn).__next__


def _die(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Wrong counts are worse than none: an error that nobody expected ends the process."""
    error = context.get("exception")
    if error is not None:
        traceback.print_exception(error)
    print(context.get("message"), file=sys.stderr, flush=True)  # noqa: T201
    os._exit(1)


if __name__ == "__main__":
    main()
