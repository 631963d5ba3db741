"""Workers and the one queue before them: first come, first served, one request at a time in each.

So k workers are a k-server queue, whatever connections the requests came by.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Deque, Dict, List, Tuple, cast  # noqa: UP035 - the runtime reads on Python 3.8

from . import frames
from .configuration import Configuration

DEATHS_IN_A_ROW = 5  # of one worker, with no request answered between: then the server gives up
HERE = Path(__file__).resolve().parent

Head = Dict[str, str]  # noqa: UP006 - evaluated on Python 3.8


@dataclass(frozen=True)
class Reply:
    """What a worker, or the pool in its place, answers."""

    status: int
    content_type: str
    headers: dict[str, str]
    body: bytes


class PoolError(Exception):
    """The pool has given up; the text says why."""


class Worker(asyncio.Protocol):
    """One worker process, seen from the front. `job` is the answer that it owes."""

    def __init__(self, pool: Pool, slot: int) -> None:
        self._pool = pool
        self._frames = frames.Assembler()
        self.slot = slot
        self.ready = False
        self.load_failure: str | None = None
        self.timed_out = False
        self.job: asyncio.Future[Reply] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.closed = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport | None = None
        self.process: asyncio.subprocess.Process | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Part of asyncio.Protocol."""
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Part of asyncio.Protocol."""
        for head, body in self._frames.feed(data):
            if isinstance(head, list):
                self._pool.answered(self, Reply(head[0], head[1], head[2], body))
            elif head.get("ready"):
                self._pool.came_up(self)
            else:
                self.load_failure = head["failed"]

    def connection_lost(self, error: Exception | None) -> None:
        """Part of asyncio.Protocol."""
        if not self.closed.done():
            self.closed.set_result(None)

    def settle(self, reply: Reply) -> None:
        """Answer the request at hand, if any."""
        job, self.job = self.job, None
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        if job is not None and not job.done():
            job.set_result(reply)

    def kill(self) -> None:
        """End its process now."""
        if self.process is not None and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()


class Pool:
    """All workers. `failed` gets the reason when the pool gives up."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._idle: Deque[Worker] = deque()  # noqa: UP006
        self._queue: Deque[Tuple[asyncio.Future[Reply], bytes]] = deque()  # noqa: UP006
        self._workers: Dict[int, Worker] = {}  # noqa: UP006
        self._deaths = [0] * configuration.workers
        self._keepers: List[asyncio.Task[None]] = []  # noqa: UP006
        self._loaded = False
        self._stopping = False
        self.failed: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    @property
    def healthy(self) -> bool:
        """Whether every worker has loaded the model once, and at least one is up now."""
        up = sum(worker.ready for worker in self._workers.values())
        self._loaded = self._loaded or up == self._configuration.workers
        return self._loaded and up > 0

    def start(self) -> None:
        """Start every worker, and keep each of them up."""
        self._keepers = [asyncio.ensure_future(self._keep(slot)) for slot in range(self._configuration.workers)]

    async def stop(self) -> None:
        """End every worker now."""
        self._stopping = True
        for keeper in self._keepers:
            keeper.cancel()
        for job, _ in self._queue:
            if not job.done():
                job.set_result(_ENDING)
        for worker in self._workers.values():
            worker.settle(_ENDING)
            worker.kill()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        for worker in self._workers.values():
            if worker.process is not None:
                await worker.process.wait()

    def submit(self, headers: Head, body: bytes) -> asyncio.Future[Reply]:
        """Queue a request; the future gets its answer."""
        job: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        frame = frames.pack(headers, body)
        if self._stopping:
            job.set_result(_ENDING)
        elif self._idle:
            self._dispatch(self._idle.popleft(), job, frame)
        else:
            self._queue.append((job, frame))
        return job

    def came_up(self, worker: Worker) -> None:
        """A worker has loaded the model."""
        worker.ready = True
        self._next(worker)

    def answered(self, worker: Worker, reply: Reply) -> None:
        """A worker has answered."""
        if worker.timed_out:
            return
        self._deaths[worker.slot] = 0
        worker.settle(reply)
        self._next(worker)

    def _next(self, worker: Worker) -> None:
        while self._queue:
            job, frame = self._queue.popleft()
            if not job.done():
                self._dispatch(worker, job, frame)
                return
        self._idle.append(worker)

    def _dispatch(self, worker: Worker, job: asyncio.Future[Reply], frame: bytes) -> None:
        assert worker.transport is not None
        worker.job = job
        loop = asyncio.get_running_loop()
        worker.timer = loop.call_later(self._configuration.timeout_seconds, self._expire, worker)
        worker.transport.write(frame)

    def _expire(self, worker: Worker) -> None:
        seconds = self._configuration.timeout_seconds
        reason = f"The model did not answer within {seconds:g} s (SAGEMAKER_MODEL_SERVER_TIMEOUT)."
        sys.stderr.write(f"{reason} Its worker is replaced.\n")
        worker.timed_out = True
        worker.settle(_failure(504, reason))
        worker.kill()

    async def _keep(self, slot: int) -> None:
        try:
            while not self._stopping:
                worker = await self._spawn(slot)
                await worker.closed
                worker.kill()
                assert worker.process is not None
                self._lost(worker, await worker.process.wait())
        except (PoolError, OSError) as error:
            if not self.failed.done():
                self.failed.set_result(str(error))

    async def _spawn(self, slot: int) -> Worker:
        front, back = socket.socketpair()
        with back:
            worker = self._workers[slot] = Worker(self, slot)
            front.setblocking(False)
            await asyncio.get_running_loop().create_connection(lambda: worker, sock=front)
            worker.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-u",
                str(HERE),
                "--framework",
                self._configuration.framework,
                *(["--compiled"] if self._configuration.compiled else []),
                "--worker",
                str(back.fileno()),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=[back.fileno()],
            )
        return worker

    def _lost(self, worker: Worker, status: int) -> None:
        """A worker's process has ended: answer for it, and see whether another one is worth starting."""
        was_ready, worker.ready = worker.ready, False
        if worker in self._idle:
            self._idle.remove(worker)
        if self._stopping:
            return
        reason = _ending(status)
        if not worker.timed_out:
            sys.stderr.write(f"Worker {worker.slot} {reason}.\n")
        worker.settle(_failure(500, f"The worker {reason} while it had the request."))
        if not was_ready:
            raise PoolError(f"The model could not be loaded: {worker.load_failure or 'its worker ' + reason}")
        self._deaths[worker.slot] += 1
        if self._deaths[worker.slot] >= DEATHS_IN_A_ROW:
            raise PoolError(f"A worker ended {DEATHS_IN_A_ROW} times in a row without an answer; the last {reason}.")


def _ending(status: int) -> str:
    if status >= 0:
        return f"exited with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"


def _failure(status: int, text: str) -> Reply:
    return Reply(status, "text/plain; charset=utf-8", {}, text.encode())


_ENDING = _failure(503, "The server is ending.")
