"""Whether a server is ready: ``GET /ping`` answers 200.

**Source:** SageMaker developer guide, *Use your own inference code with hosting services*: an empty 200 from ``/ping``
within 2 s, until the start-up limit.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from modeldyno.domain.errors import ModelFault
from modeldyno.instances.kernel_files import read_text

T = TypeVar("T")

PING_SECONDS = 2.0
HEALTHY = "status 200"
_FIRST_PAUSE, _LAST_PAUSE = 0.02, 0.5
_LOOK_FOR_DEATH = 0.05
_LISTEN = "0A"  # TCP_LISTEN, include/net/tcp_states.h


async def wait_until_ready(port: int, limit_seconds: float, death: Callable[[], str | None]) -> None:
    """Return when `/ping` answers 200.

    Raises:
        ModelFault: the server ended, or the limit passed; tells the last answer.
    """
    end = time.monotonic() + limit_seconds
    pause, answer = _FIRST_PAUSE, "no answer yet"
    while time.monotonic() < end:
        asked = asyncio.ensure_future(ping(port, min(PING_SECONDS, max(0.1, end - time.monotonic()))))
        try:
            answer = await _unless_dead(asked, death)
        finally:
            asked.cancel()
        if answer == HEALTHY:
            return
        await _unless_dead(asyncio.ensure_future(asyncio.sleep(min(pause, max(0.0, end - time.monotonic())))), death)
        pause = min(_LAST_PAUSE, pause * 1.5)
    raise ModelFault(
        f"The model server did not answer /ping with status 200 within {limit_seconds:g} s; the last try: {answer}."
    )


async def _unless_dead(waiting: asyncio.Future[T], death: Callable[[], str | None]) -> T:
    while True:
        done, _ = await asyncio.wait({waiting}, timeout=_LOOK_FOR_DEATH)
        reason = death()
        if reason is not None:
            waiting.cancel()
            verb = "was " if reason.startswith("killed") else ""
            raise ModelFault(f"The model server {verb}{reason} before /ping answered.")
        if done:
            return waiting.result()


async def ping(port: int, limit_seconds: float) -> str:
    """How `/ping` answered, in words; `HEALTHY` is the good one."""
    writer = None
    try:
        async with asyncio.timeout(limit_seconds):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /ping HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            words = (await reader.readline()).split()
    except TimeoutError:
        return f"no answer within {PING_SECONDS:g} s"
    except ConnectionRefusedError:
        return "nothing listened on the port"
    except (OSError, ValueError) as error:
        return f"{type(error).__name__}"
    finally:
        if writer is not None:
            writer.close()
    if len(words) >= 2 and words[0].startswith(b"HTTP/1."):
        return f"status {words[1].decode(errors='replace')}"
    return "an answer that is not HTTP" if words else "the connection was closed without an answer"


def is_listening(port: int, pids: Iterable[int]) -> bool | None:
    """Whether one of `pids` listens on the port; None where the system does not tell."""
    wanted = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    if not wanted:
        return None
    hidden = False
    for pid in pids:
        try:
            if wanted & set(_descriptors(pid)):
                return True
        except PermissionError:
            hidden = True
    return None if hidden else False


def _descriptors(pid: int) -> Iterable[str]:
    with contextlib.suppress(FileNotFoundError):
        for entry in os.scandir(f"/proc/{pid}/fd"):
            with contextlib.suppress(FileNotFoundError):
                yield os.readlink(entry.path)


def _listening_inodes(port: int) -> Iterable[str]:
    """**Source:** proc_pid_net(5), ``/proc/net/tcp``: local address, state and inode are fields 2, 4 and 10."""
    for table in ("tcp", "tcp6"):
        for line in (read_text(Path("/proc/net", table)) or "").splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]
