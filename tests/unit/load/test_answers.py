"""Each kind of answer, and of failure, is counted as what it is."""

import asyncio
import socket
from collections import Counter

import pytest

from modeldyno.domain.errors import InputFault
from modeldyno.load.process import ProcessGenerator

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


def answering(*pieces, close=False):
    """Answers every request with these pieces, each in a packet of its own."""

    async def handle(requests, writer):
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while await requests.next():
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
            if close:
                return

    return handle


def single_bytes(answer):
    return [answer[i : i + 1] for i in range(len(answer))]


@pytest.mark.parametrize(
    "handle",
    [
        answering(OK),
        answering(b"HTTP/1.1 204 No Content\r\n\r\n"),
        answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"2\r\n{}\r\n", b"0\r\n\r\n"),
        answering(*single_bytes(OK)),
        answering(b"HTTP/1.1 100 Continue\r\n\r\n" + OK),
        answering(b"HTTP/1.1 100 Continue\r\n\r\n", OK),
        answering(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}", close=True),
        answering(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", close=True),
        answering(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n", b"to the end", close=True),
    ],
    ids=[
        "plain",
        "empty",
        "chunked",
        "a byte at a time",
        "after 100 Continue",
        "after 100 Continue in its own packet",
        "closing after each",
        "HTTP/1.0",
        "ended by the connection's end",
    ],
)
async def test_a_whole_answer_succeeds(serve, target, load, handle):
    async with serve(handle) as url:
        succeeded, failed = await load(target(url), lambda succeeded, failed: succeeded >= 5, users=2)
    assert succeeded >= 5
    assert not failed


async def reset(requests, writer):
    while await requests.next():
        writer.transport.abort()


async def hang_up(requests, writer):
    await requests.next()


async def never(requests, writer):
    while await requests.next():
        pass


@pytest.mark.parametrize(
    ("handle", "kind"),
    [
        (answering(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"), "http_500"),
        (answering(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n"), "http_302"),
        (answering(b"HTTP/1.0 503 Service Unavailable\r\n\r\n", b"gone", close=True), "http_503"),
        (reset, "connection_reset"),
        (hang_up, "connection_reset"),
        (answering(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\ncut", close=True), "connection_reset"),
        (answering(b"HTTP/1.1 200 OK\r\nContent-Le", close=True), "connection_reset"),
        (answering(b"\x16\x03\x01 this is not HTTP \x00\xff\r\n\r\n"), "bad_answer"),
        (answering(OK + OK), "bad_answer"),
        (answering(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"), "bad_answer"),
        (never, "timeout"),
        (answering(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nand then"), "timeout"),
    ],
    ids=[
        "500",
        "a redirect",
        "503 to the connection's end",
        "reset",
        "closed without an answer",
        "cut body",
        "cut head",
        "garbage",
        "two answers to one request",
        "another protocol",
        "never",
        "half an answer",
    ],
)
async def test_a_failure_is_counted_by_its_kind_and_is_no_latency(serve, target, load, handle, kind):
    async with serve(handle) as url:
        succeeded, failed = await load(target(url, timeout_seconds=0.3), lambda _, failed: failed[kind] >= 3)
    assert succeeded == 0
    assert set(failed) == {kind}


@pytest.mark.parametrize("seconds", [0.0005, 0.003])
async def test_users_whose_time_is_too_short_stay_and_every_timeout_is_counted(serve, target, seconds):
    async def late(requests, writer):
        while await requests.next():
            await asyncio.sleep(0.05)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    failed = []
    async with (
        serve(late) as url,
        ProcessGenerator(window_seconds=0.2).drive(target(url, timeout_seconds=seconds)) as it,
    ):
        await it.set_users(40)
        async for window in it.windows():
            assert window.succeeded == 0
            failed.append(window.failed.get("timeout", 0))
            if len(failed) == 12:
                break
    assert min(failed[1:]) >= 40  # each of the users fails four times in a window where the host is idle


async def test_nobody_listening_is_refused_and_not_hammered(target):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    failed, seconds = Counter(), 0.0
    async with ProcessGenerator(window_seconds=0.1).drive(target(url)) as session:
        await session.set_users(2)
        async for window in session.windows():
            failed.update(window.failed)
            seconds += window.duration_seconds
            if failed.total() >= 6:
                break
    assert set(failed) == {"connection_refused"}
    assert failed.total() <= 2 * (1 + seconds / 0.05)


async def test_a_server_that_comes_back_is_used_again(serve, target, load):
    seen = []

    async def handle(requests, writer):
        seen.append(None)
        await (hang_up if len(seen) <= 2 else answering(OK))(requests, writer)

    async with serve(handle) as url:
        succeeded, failed = await load(target(url), lambda succeeded, _: succeeded >= 5)
    assert succeeded >= 5
    assert failed == {"connection_reset": 2}


async def test_the_request_is_a_plain_post_with_few_headers(serve, target, load):
    heads = []

    async def handle(requests, writer):
        while request := await requests.next():
            heads.append(request)
            writer.write(OK)

    async with serve(handle) as url:
        await load(target(url, accept="text/csv"), lambda succeeded, _: succeeded >= 1)
        authority = url.removeprefix("http://")
    head, body = heads[0]
    assert head.decode().split("\r\n") == [
        "POST /invocations HTTP/1.1",
        f"Host: {authority}",
        "Content-Type: application/json",
        "Accept: text/csv",
        "Content-Length: 9",
        "",
        "",
    ]
    assert body == b"[1, 2, 3]"


async def test_any_method_path_and_header_can_be_asked_for(serve, target, load):
    heads = []

    async def handle(requests, writer):
        while request := await requests.next():
            heads.append(request)
            writer.write(OK)

    asked = {
        "method": "GET",
        "path": "/a%20b?c=d",
        "payload_dir": None,
        "content_type": None,
        "headers": (("host", "model.test"), ("X-Tag", "1"), ("X-Tag", "2")),
    }
    async with serve(handle) as url:
        _, failed = await load(target(f"{url}/base/", **asked), lambda succeeded, _: succeeded >= 2)
    assert not failed
    assert heads[0][0].decode().split("\r\n") == [
        "GET /base/a%20b?c=d HTTP/1.1",
        "host: model.test",
        "X-Tag: 1",
        "X-Tag: 2",
        "",
        "",
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"path": "/a b"},
        {"path": "/\u00e9"},
        {"headers": (("X\r\nY", "1"),)},
        {"headers": (("X", "1\r\nY: 2"),)},
        {"headers": (("transfer-encoding", "chunked"),)},
    ],
)
async def test_what_would_break_the_request_is_refused(target, changes):
    with pytest.raises(InputFault):
        async with ProcessGenerator().drive(target("http://127.0.0.1:9", **changes)):
            pass


async def test_payloads_are_drawn_in_the_same_order_with_the_same_seed(serve, target, load, payloads):
    for number in range(5):
        (payloads / f"{number}.txt").write_bytes(b"x" * number)
    orders = {}
    for name, seed in (("first", 7), ("again", 7), ("other", 8)):
        lengths = orders.setdefault(name, [])

        async def handle(requests, writer, lengths=lengths):
            while request := await requests.next():
                lengths.append(len(request[1]))
                writer.write(OK)

        async with serve(handle) as url:
            await load(target(url, seed=seed), lambda succeeded, _: succeeded >= 40)
    assert orders["first"][:40] == orders["again"][:40]
    assert orders["first"][:40] != orders["other"][:40]
    assert set(orders["first"][:40]) == {0, 1, 2, 3, 4, 9}


async def test_a_body_of_six_megabytes_arrives_whole(serve, target, load, payloads):
    (payloads / "sample.json").write_bytes(bytes(range(256)) * 24_576)
    bodies = set()

    async def handle(requests, writer):
        while request := await requests.next():
            bodies.add(request[1])
            writer.write(OK)

    async with serve(handle) as url:
        _, failed = await load(target(url), lambda succeeded, _: succeeded >= 2)
    assert not failed
    assert bodies == {bytes(range(256)) * 24_576}


async def test_an_answer_before_the_whole_request_was_read_counts_as_its_status(serve, target, load, payloads):
    (payloads / "sample.json").write_bytes(b"x" * 6_000_000)

    over = asyncio.Event()

    async def refuse(requests, writer):
        await requests.reader.readuntil(b"\r\n\r\n")
        writer.transport.pause_reading()
        writer.write(b"HTTP/1.1 413 Payload Too Large\r\nContent-Length: 0\r\n\r\n")
        await over.wait()

    async with serve(refuse) as url:
        _, failed = await load(target(url), lambda _, failed: failed["http_413"] >= 3)
        over.set()
    assert set(failed) == {"http_413"}


async def test_redrawing_opens_every_connection_anew(serve, target):
    connections = []

    async def handle(requests, writer):
        connections.append(writer)
        await answering(OK)(requests, writer)

    async with serve(handle) as url, ProcessGenerator(window_seconds=0.1).drive(target(url)) as session:
        await session.set_users(3)
        wanted = 3
        async for window in session.windows():
            assert not window.failed
            if len(connections) == wanted == 3:
                wanted = 6
                await session.set_users(3, redraw=True)
            elif len(connections) >= 6:
                break
    assert len(connections) == 6
