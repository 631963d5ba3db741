"""Arrivals keep to their intended times, and a latency counts from there."""

import asyncio
import random
import socket
from collections import Counter
from types import SimpleNamespace

import numpy as np
import psutil
import pytest

from modeldyno.domain.traffic import Arrivals
from modeldyno.load.process import ProcessGenerator
from modeldyno.load.raw import FAILURES
from modeldyno.load.raw_archive import write_archive
from modeldyno.load.stream import Stream

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


def answering(connections=None, requests_seen=None, close=False):
    async def handle(requests, writer):
        if connections is not None:
            connections.append(writer)
        while request := await requests.next():
            if requests_seen is not None:
                requests_seen.append(request)
            writer.write(OK)
            if close:
                return

    return handle


async def until_drained(session, windows):
    """End the load, and take windows until nothing is in flight."""
    await session.set_rate(0)
    async for window in session.windows():
        windows.append(window)
        if window.offered is None and window.in_flight == 0:
            return


async def load(target, rate, enough, arrivals=Arrivals.POISSON):
    """The windows of a rate until `enough(windows)`, and those until nothing is in flight."""
    windows = []
    async with ProcessGenerator(window_seconds=0.1).drive(target) as session:
        await session.set_rate(rate, arrivals)
        async for window in session.windows():
            windows.append(window)
            if enough(windows):
                break
        await until_drained(session, windows)
    return windows


def offered(windows):
    return sum(window.offered or 0 for window in windows)


def failures(windows):
    return sum((Counter(window.failed) for window in windows), Counter())


@pytest.fixture
def raw(tmp_path):
    """`raw(path of the records)` as arrays."""

    def read(part):
        write_archive([part], tmp_path / "records.npz")
        with np.load(tmp_path / "records.npz") as archive:
            return dict(archive)

    return read


async def test_every_arrival_is_answered_and_counted_once(serve, target):
    seen = []
    async with serve(answering(requests_seen=seen)) as url:
        windows = await load(target(url), 500, lambda windows: offered(windows) >= 100)
    assert sum(window.succeeded for window in windows) == offered(windows) == len(seen)
    assert not failures(windows)


async def test_poisson_arrivals_are_those_of_the_seed(serve, target, raw, tmp_path):
    async with serve(answering()) as url:
        await load(target(url, seed=5, raw_path=tmp_path / "raw"), 400, lambda windows: offered(windows) >= 60)
    intended = np.sort(raw(tmp_path / "raw")["intended_ns"])
    drawn = random.Random(5)
    drawn.expovariate(1.0)  # until the first
    for gap in np.diff(intended):
        assert gap == pytest.approx(drawn.expovariate(1.0) * 1e9 / 400, abs=3)


async def test_constant_arrivals_are_even(serve, target, raw, tmp_path):
    async with serve(answering()) as url:
        enough = lambda windows: offered(windows) >= 40  # noqa: E731
        await load(target(url, raw_path=tmp_path / "raw"), 250, enough, Arrivals.CONSTANT)
    gaps = np.diff(np.sort(raw(tmp_path / "raw")["intended_ns"]))
    assert set(gaps) <= {3_999_999, 4_000_000, 4_000_001}


async def test_a_stall_is_not_hidden(serve, target):
    """Arrivals during a stall of 0.5 s waited for its end, and no closed loop would have sent them."""
    stalled = asyncio.Event()

    async def handle(requests, writer):
        while await requests.next():
            if not stalled.is_set():
                stalled.set()
                resume_at[0] = asyncio.get_running_loop().time() + 0.5
            if (rest := resume_at[0] - asyncio.get_running_loop().time()) > 0:
                await asyncio.sleep(rest)
            writer.write(OK)

    resume_at = [0.0]
    async with serve(handle) as url:
        windows = await load(
            target(url, max_connections=2), 200, lambda windows: sum(w.succeeded for w in windows) > 120
        )
    late = sum(
        count for window in windows for bucket, count in window.latency_counts.items() if bucket >= _bucket(250_000_000)
    )
    assert late > 25  # half of the hundred that were due in the half second
    assert sum(window.backlog for window in windows) > 25


def _bucket(latency_ns):
    from modeldyno.domain.latency import bucket_of

    return bucket_of(latency_ns)


async def test_connections_are_opened_as_needed_up_to_the_bound_and_used_again(serve, target):
    connections, release = [], asyncio.Event()

    async def handle(requests, writer):
        connections.append(writer)
        while await requests.next():
            await release.wait()
            writer.write(OK)

    async with (
        serve(handle) as url,
        ProcessGenerator(window_seconds=0.1).drive(target(url, max_connections=3)) as session,
    ):
        windows = []
        await session.set_rate(200)
        async for window in session.windows():
            windows.append(window)
            if offered(windows) >= 30:
                release.set()
                break
        assert windows[-1].in_flight > 3
        await until_drained_without_stop(session, windows)
    assert len(connections) == 3
    assert not failures(windows)
    assert sum(window.backlog for window in windows) >= 20


async def until_drained_without_stop(session, windows):
    """Take windows until the arrivals that waited have been answered."""
    async for window in session.windows():
        windows.append(window)
        if window.in_flight <= 1:
            return


async def test_connections_of_a_quiet_stream_are_used_again(serve, target):
    connections = []
    async with serve(answering(connections)) as url:
        windows = await load(target(url), 50, lambda windows: offered(windows) >= 20, Arrivals.CONSTANT)
    assert len(connections) < offered(windows) / 2


async def test_redrawing_opens_every_connection_anew(serve, target):
    opened, closed = [], []

    async def handle(requests, writer):
        opened.append(writer)
        await answering()(requests, writer)
        closed.append(writer)

    async with serve(handle) as url, ProcessGenerator(window_seconds=0.1).drive(target(url)) as session:
        await session.set_rate(50, Arrivals.CONSTANT)
        before = []
        async for window in session.windows():
            assert not window.failed
            if not before and window.succeeded:
                before = list(opened)
                await session.set_rate(50, Arrivals.CONSTANT, redraw=True)
            elif before and len(opened) > len(before) and set(before) <= set(closed):
                break


async def test_a_server_that_closes_after_each_answer_serves_all(serve, target):
    async with serve(answering(close=True)) as url:
        windows = await load(target(url), 200, lambda windows: offered(windows) >= 30)
    assert sum(window.succeeded for window in windows) + failures(windows)["connection_reset"] == offered(windows)
    assert set(failures(windows)) <= {"connection_reset"}


async def test_what_is_not_answered_in_time_fails_waiting_or_sent(serve, target):
    async def never(requests, writer):
        while await requests.next():
            pass

    async with serve(never) as url:
        windows = await load(
            target(url, timeout_seconds=0.3, max_connections=2), 100, lambda w: failures(w)["timeout"] >= 10
        )
    assert set(failures(windows)) == {"timeout"}


async def test_no_answer_that_came_too_late_is_a_success(serve, target, raw, tmp_path):
    async def slow(requests, writer):
        while await requests.next():
            await asyncio.sleep(0.03)
            writer.write(OK)

    async with serve(slow) as url:
        given = target(url, timeout_seconds=0.25, max_connections=1, raw_path=tmp_path / "raw")
        windows = await load(given, 100, lambda windows: failures(windows)["timeout"] >= 60)
    records = raw(tmp_path / "raw")
    waited = records["end_ns"] - records["intended_ns"]
    good = records["status"] == 200
    assert good.sum() == sum(window.succeeded for window in windows) > 0
    assert (waited[good] <= 250_000_000).all()
    assert (waited[~good] > 240_000_000).all()
    assert len(good) == offered(windows)


async def test_arrivals_end_when_they_are_ended_also_while_the_sender_is_late():
    lost = []
    recorder = SimpleNamespace(offered=0, send_lag_ns=0, backlog=0, lose=lambda kind, at: lost.append(kind))
    stream = Stream(SimpleNamespace(loop=asyncio.get_running_loop(), recorder=recorder), 1, 0)
    stream.want(1e8, Arrivals.POISSON, redraw=False)  # far more than can be sent: it is late all the time
    while recorder.offered < 1000:
        await asyncio.sleep(0)
    stream.end(give_up=True)
    offered = recorder.offered
    for _ in range(20):
        await asyncio.sleep(0.001)
    assert recorder.offered == offered
    assert stream.in_flight == 0


async def test_nobody_listening_fails_each_arrival_as_refused(target):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    windows = await load(target(url), 200, lambda windows: offered(windows) >= 20)
    assert failures(windows) == {"connection_refused": offered(windows)}


@pytest.mark.parametrize("loop", ["closed", "open"])
async def test_more_connections_than_there_can_be_are_failures_of_their_kind(serve, target, loop):
    """Here the descriptors run out; that the ports do looks the same to the generator."""

    async def slow(requests, writer):
        while await requests.next():
            await asyncio.sleep(0.2)
            writer.write(OK)

    async with serve(slow) as url, ProcessGenerator(window_seconds=0.1).drive(target(url)) as session:
        psutil.Process(session.process_id).rlimit(psutil.RLIMIT_NOFILE, (24, 24))
        await (session.set_users(40) if loop == "closed" else session.set_rate(400))
        seen = Counter()
        succeeded = 0
        async for window in session.windows():
            seen.update(window.failed)
            succeeded += window.succeeded
            if succeeded >= 5 and seen["connection_failed"] >= 5:
                break
    assert set(seen) == {"connection_failed"}


async def test_records_tell_when_each_request_was_due_sent_answered_and_how(serve, target, raw, tmp_path):
    async def handle(requests, writer):
        count = 0
        while await requests.next():
            count += 1
            if count % 3 == 0:
                writer.write(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
            elif count % 3 == 1:
                writer.write(OK[:20])
                await writer.drain()
                await asyncio.sleep(0.02)
                writer.write(OK[20:])
            else:
                writer.transport.abort()

    async with serve(handle) as url:
        windows = await load(target(url, raw_path=tmp_path / "raw"), 60, lambda windows: offered(windows) >= 20)
    records = raw(tmp_path / "raw")
    assert len(records["status"]) == offered(windows)
    good = records["status"] == 200
    assert good.sum() == sum(window.succeeded for window in windows) > 0
    assert set(records["status"]) <= {200, 500, FAILURES["connection_reset"]}
    assert (records["sent_ns"] >= records["intended_ns"]).all()
    assert (records["end_ns"][good] - records["first_byte_ns"][good] >= 15_000_000).all()
    assert set(records["bytes"][good]) == {len(OK)}


async def test_records_of_requests_without_a_connection_tell_since_when_there_was_none(target, raw, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    given = target(url, raw_path=tmp_path / "raw")
    async with ProcessGenerator(window_seconds=0.1).drive(given) as session:
        await session.set_users(2)
        async for window in session.windows():
            if window.sequence >= 3:
                break
    records = raw(tmp_path / "raw")
    assert len(records["status"]) > 2
    assert (records["end_ns"] >= records["intended_ns"]).all()
    assert (records["end_ns"] - records["intended_ns"] < 60_000_000_000).all()


async def test_records_are_kept_up_to_their_limit_and_it_is_said(serve, target, tmp_path):
    async with serve(answering()) as url:
        given = target(url, raw_path=tmp_path / "raw", raw_limit=25)
        await load(given, 500, lambda windows: offered(windows) >= 60)
    total = write_archive([tmp_path / "raw"], tmp_path / "records.npz")
    assert (total.records, total.cut) == (25, True)


async def test_records_of_several_generators_are_put_together(serve, target, tmp_path):
    counts = []
    async with serve(answering()) as url:
        for number in range(2):
            given = target(url, raw_path=tmp_path / f"{number}")
            counts.append(offered(await load(given, 300, lambda windows: offered(windows) >= 20)))
    with (tmp_path / "1").open("ab") as file:
        file.write(b"\x05\0\0\0\0\0\0\0")  # killed while it wrote the next
    total = write_archive([tmp_path / "0", tmp_path / "1"], tmp_path / "records.npz")
    assert (total.records, total.cut) == (sum(counts), False)
    with np.load(tmp_path / "records.npz") as archive:
        assert {len(archive[name]) for name in archive.files} == {sum(counts)}
        assert set(archive["status"]) == {200}
