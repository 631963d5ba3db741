"""Endpoints and their mirror: speed beside nginx, and what a shadow costs production. Prints JSON.

``python -m benchmarks.hosting [--quick] [--resume FILE] [ROW ...]``. The front has one core, the model servers and the
generator share the other; nginx as a proxy stands in the front's place, in turns. Needs two cores and Debian's nginx
and wrk.
"""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.front import KEY
from benchmarks.journal import Journal, Run
from benchmarks.peers import nginx, proxy, wrk
from benchmarks.summary import medians, over, run_rows
from benchmarks.truth import payloads, truth_server
from modeldyno.domain.measurement import Window, merged_latency
from modeldyno.load.process import ProcessGenerator
from modeldyno.ports import LoadTarget

RATE = 200.0
STREAM = "invocations-response-stream"


def cores() -> tuple[int, int]:
    """The front's, and everybody else's."""
    first, second = sorted(os.sched_getaffinity(0))[:2]
    return first, second


@dataclass
class Front:
    """A front process. `url`: of its endpoint."""

    url: str
    process: subprocess.Popen[str]

    def mirror(self, percent: int) -> None:
        """Mirror so many percent from now on."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{percent}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"


@contextmanager
def front(
    production: str, shadow: str | None = None, percent: int = 0, key: tuple[str, str] | None = None
) -> Iterator[Front]:
    """A front on its core. `key`: requests must be signed with it."""
    with tempfile.TemporaryDirectory() as directory:
        command = ["taskset", "-c", str(cores()[0]), sys.executable, "-m", "benchmarks.front", directory, production]
        command += [shadow, str(percent)] if shadow else []
        env = os.environ | ({KEY: ":".join(key)} if key else {})
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
        try:
            assert process.stdout is not None
            word, url = process.stdout.readline().split()
            assert word == "ready"
            yield Front(url, process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(30)


def throughput(journal: Journal, quick: bool) -> dict[str, Any]:
    """16 users, an instant model: requests a second over nginx as a proxy, each on one core."""
    return _beside(
        journal, "throughput", 16, 3 if quick else 7, 2 if quick else 5, "at least 0.2, aim 0.3", "per_second"
    )


def added(journal: Journal, quick: bool) -> dict[str, Any]:
    """The median latency that the front adds for one user, in milliseconds."""
    rows: dict[str, list[Run]] = {"through": [], "direct": []}
    with nginx(cores()[1]) as model, front(model) as served:
        for repeat in range(3 if quick else 7):
            for name, url in (("through", served.url), ("direct", model)):
                run = journal.take(f"added {name} {repeat}", lambda url=url: wrk(url, 1, 2 if quick else 4, cores()[1]))
                rows[name].append(run)
    taken = medians(rows)
    milliseconds = (taken["through"]["p50_us"]["median"] - taken["direct"]["p50_us"]["median"]) / 1e3
    return {"must": "under 0.3 ms", "added_ms": round(milliseconds, 3), "rows": taken}


def _beside(
    journal: Journal, row: str, users: int, repeats: int, seconds: int, must: str, figure: str
) -> dict[str, Any]:
    rows: dict[str, list[Run]] = {"dyno": [], "nginx": []}
    with nginx(cores()[1]) as model, front(model) as served, proxy(cores()[0], model) as passed:
        for repeat in range(repeats):
            for name, url in (("dyno", served.url), ("nginx", passed)):
                measure: Callable[[], Run] = lambda url=url: wrk(url, users, seconds, cores()[1])  # noqa: E731
                rows[name].append(journal.take(f"{row} {seconds} s {name} {repeat}", measure))
    taken = medians(rows)
    return {"must": must, "over_nginx": over(taken["dyno"], taken["nginx"], figure), "rows": taken}


# --- what a shadow costs production ----------------------------------------------------------------------------------


def mirrored(journal: Journal, quick: bool) -> dict[str, Any]:
    """Production's p99 with everything mirrored over that with nothing: a fixed 5 ms model, a shadow that sleeps."""
    return asyncio.run(_pairs(journal, "mirrored", quick, stalled=False))


def stalled(journal: Journal, quick: bool) -> dict[str, Any]:
    """The same with a shadow that was stopped."""
    return asyncio.run(_pairs(journal, "stalled", quick, stalled=True))


async def _pairs(journal: Journal, row: str, quick: bool, *, stalled: bool) -> dict[str, Any]:
    pairs, seconds = (3, 4) if quick else (10, 10)
    runs: list[Run] = []
    for pair in range(pairs):
        name = f"{row} {seconds} s {pair}"
        run = journal.get(name)
        if run is None:
            run = await _pair(seconds, stalled=stalled, first=100 if pair % 2 else 0)
            journal.keep(name, run)
        runs.append(run)
    ratios = [run["on_p99_ms"] / run["off_p99_ms"] for run in runs]
    return {
        "must": "median at most 1.05",
        "p99_on_over_off": round(statistics.median(ratios), 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
        "runs": runs,
    }


async def _pair(seconds: int, *, stalled: bool, first: int) -> Run:
    """One pair, with and without the mirror, in one life of all processes; which goes first alternates."""
    options = ("--workers", "4", "--service-ms", "5", "--distribution", "fixed")
    run: Run = {}
    with tempfile.TemporaryDirectory() as directory:
        production, shadow = Path(directory, "production"), Path(directory, "shadow")
        async with (
            truth_server(production, cores()[1], *options) as model,
            truth_server(shadow, cores()[1], *options) as mirror,
        ):
            with front(model, mirror, first) as served, _stopped(mirror if stalled else None):
                for percent in (first, 100 - first):
                    await asyncio.to_thread(served.mirror, percent)
                    name = "on" if percent else "off"
                    latency = merged_latency(await load(served.url, seconds))
                    run[f"{name}_p99_ms"] = (latency.quantile_ns(0.99) or 0.0) / 1e6
                    run[f"{name}_p50_ms"] = (latency.quantile_ns(0.50) or 0.0) / 1e6
                run["front_mb"] = psutil.Process(served.process.pid).memory_info().rss / 1e6
    return run


@contextmanager
def _stopped(url: str | None) -> Iterator[None]:
    """The server at that address is stopped meanwhile."""
    if url is None:
        yield
        return
    port = int(url.rpartition(":")[2])
    process = next(
        one
        for one in psutil.process_iter()
        if any(socket.laddr.port == port and socket.status == psutil.CONN_LISTEN for socket in _sockets(one))
    )
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def _sockets(process: psutil.Process) -> Sequence[Any]:
    try:
        return process.net_connections("tcp")
    except psutil.Error:
        return ()


async def load(url: str, seconds: int, rate: float = RATE) -> list[Window]:
    """Arrivals at a constant rate, in whole seconds, the first one left out."""
    windows: list[Window] = []
    with payloads(b'{"instances": [[5.1, 3.5, 1.4, 0.2]]}') as directory:
        path = "/" + url.split("/", 3)[3] + "/invocations"
        target = LoadTarget(
            url.rsplit("/endpoints", 1)[0], directory, "application/json", None, seed=1, cores=(cores()[1],), path=path
        )
        async with ProcessGenerator().drive(target) as session:
            await session.set_rate(rate)
            async for window in session.windows():
                if not window.settling and window.offered:
                    windows.append(window)
                if len(windows) == seconds + 1:
                    break
    assert not any(window.failed for window in windows)
    return windows[1:]


# --- streams ---------------------------------------------------------------------------------------------------------


def stream(journal: Journal, quick: bool) -> dict[str, Any]:
    """The time to the first byte that the front adds to a stream, in milliseconds."""
    repeats = 50 if quick else 300
    run = journal.take(f"stream {repeats}", lambda: asyncio.run(_stream(repeats)))
    return {"must": "under 1 ms", **run}


async def _stream(repeats: int) -> Run:
    options = ("--way", "streams", "--answer", "0123456789" * 20)
    async with answering_server(cores()[1], *options) as model:
        with front(model) as served:
            seconds: dict[str, list[float]] = {"direct": [], "through": []}
            for _ in range(repeats):
                for name, url in (("direct", f"{model}/invocations"), ("through", f"{served.url}/{STREAM}")):
                    seconds[name].append(await _first_byte(url))
    milliseconds = {name: 1e3 * statistics.median(values) for name, values in seconds.items()}
    return {
        "added_ms": round(milliseconds["through"] - milliseconds["direct"], 3),
        "direct_ms": round(milliseconds["direct"], 3),
        "through_ms": round(milliseconds["through"], 3),
    }


async def _first_byte(url: str) -> float:
    """Seconds from sending a request to the first byte of the answer's body, on a connection of its own."""
    host, _, path = url.removeprefix("http://").partition("/")
    name, _, port = host.partition(":")
    reader, writer = await asyncio.open_connection(name, int(port))
    try:
        head = f"POST /{path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1\r\n\r\n1"
        began = time.perf_counter()
        writer.write(head.encode())
        await reader.readuntil(b"\r\n\r\n")
        await reader.readline()  # the length of the first chunk
        await reader.readexactly(1)
        return time.perf_counter() - began
    finally:
        writer.close()


@asynccontextmanager
async def answering_server(core: int, *options: str) -> AsyncIterator[str]:
    """A model server that answers as it is told, on that core; its URL."""
    command = ("-m", "modeldyno.testing.answering_server", *options)
    process = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=asyncio.subprocess.PIPE)
    try:
        os.sched_setaffinity(process.pid, {core})
        assert process.stdout is not None
        yield (await process.stdout.readline()).split()[1].decode()
    finally:
        process.terminate()
        await process.wait()


def memory(journal: Journal, quick: bool) -> dict[str, Any]:
    """The front under full load with a stalled shadow: at most the configured queue and 50 MB more than without."""
    seconds = 15 if quick else 300
    run = journal.take(f"memory {seconds} s", lambda: asyncio.run(_memory(seconds)))
    return {"must": "growth at most the queue (64 MiB) and 50 MB", **run}


async def _memory(seconds: int) -> Run:
    seen: list[int] = []
    with tempfile.TemporaryDirectory() as directory, nginx(cores()[1]) as model:
        async with truth_server(Path(directory, "shadow"), cores()[1], "--service-ms", "5") as mirror:
            with front(model, mirror, 100) as served, _stopped(mirror):
                process = psutil.Process(served.process.pid)
                before = process.memory_info().rss
                busy = asyncio.create_task(asyncio.to_thread(wrk, served.url, 16, seconds, cores()[1]))
                while not busy.done():
                    seen.append(process.memory_info().rss)
                    await asyncio.sleep(0.5)
                run = await busy
    return {
        "seconds": seconds,
        "per_second": run["per_second"],
        "before_mb": before / 1e6,
        "most_mb": max(seen) / 1e6,
        "growth_mb": (max(seen) - before) / 1e6,
        "last_half_growth_mb": (seen[-1] - seen[len(seen) // 2]) / 1e6,
    }


ROWS: dict[str, Callable[[Journal, bool], dict[str, Any]]] = {
    "throughput": throughput,
    "added": added,
    "mirrored": mirrored,
    "stalled": stalled,
    "stream": stream,
    "memory": memory,
}


if __name__ == "__main__":
    words = (__doc__ or "").splitlines()[0]
    run_rows("benchmarks.hosting", words, ROWS, resumable=True, needs=("nginx", "wrk", "taskset"))
