"""Servers whose truth is known, and the search of a Default job on them."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from modeldyno.domain.measurement import Window
from modeldyno.domain.stopping import ClosedLoopPolicy, Instruction, Measured, Policy, Rate, Stop, Users
from modeldyno.load.process import ProcessGenerator
from modeldyno.ports import LoadSession, LoadTarget


@dataclass(frozen=True)
class Searched:
    """What a search found: its answer, every window, and the seconds of load that it took; windows of what came after
    it."""

    measured: Measured
    windows: tuple[Window, ...]
    load_seconds: float
    after: tuple[Window, ...] = ()

    @property
    def constant(self) -> tuple[Window, ...]:
        """The windows of constant users."""
        return tuple(window for window in self.windows if not window.settling)


def server_core() -> int:
    """The last core; the generator has the first."""
    return max(os.sched_getaffinity(0))


@asynccontextmanager
async def truth_server(record: Path, core: int, *options: str) -> AsyncIterator[str]:
    """A known-truth server on that core; its URL. `record` is whole once it has ended."""
    command = ("-m", "modeldyno.testing.truth_server", "--port", "0", "--record", str(record), *options)
    process = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=asyncio.subprocess.PIPE)
    try:
        os.sched_setaffinity(process.pid, {core})
        assert process.stdout is not None
        yield (await process.stdout.readline()).split()[1].decode()
    finally:
        process.terminate()
        await process.wait()


@contextmanager
def payloads(body: bytes = b"1,2,3\n") -> Iterator[Path]:
    """A directory with one request body."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "body").write_bytes(body)
        yield Path(directory)


async def search(
    url: str,
    policy: ClosedLoopPolicy,
    *,
    bodies: Path,
    seed: int,
    cores: Sequence[int],
    content_type: str = "text/csv",
    then: Callable[[], Policy] | None = None,
) -> Searched:
    """One search, as a trial carries it out; `then` makes another that goes on with the same load generator."""
    target = LoadTarget(url, bodies, content_type, None, seed, cores=tuple(cores))
    async with ProcessGenerator().drive(target) as session:
        began = time.monotonic()
        windows = await _obeyed(session, policy)
        seconds = time.monotonic() - began
        after = await _obeyed(session, then()) if then is not None else ()
        return Searched(policy.measured(), windows, seconds, after)


async def _obeyed(session: LoadSession, policy: Policy) -> tuple[Window, ...]:
    """All windows of a load as the policy wants it."""
    windows: list[Window] = []
    order: Instruction = policy.beginning
    reports = session.windows()
    while not isinstance(order, Stop):
        match order:
            case Users(users, redraw):
                await session.set_users(users, redraw=redraw)
            case Rate(per_second, redraw):
                await session.set_rate(per_second, redraw=redraw)
        windows.append(await anext(reports))
        order = policy.observe(windows[-1])
    return tuple(windows)


def kept(windows: Sequence[Window]) -> list[Any]:
    """Windows as plain values, for a journal."""
    return [msgspec.to_builtins(window, str_keys=True) for window in windows]


def windows_of(rows: Sequence[Any]) -> tuple[Window, ...]:
    """The windows of plain values."""
    return tuple(msgspec.convert(row, Window, strict=False) for row in rows)
