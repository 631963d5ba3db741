"""Connections to model servers that do what no server should."""

from __future__ import annotations

import asyncio
import time

import pytest

from modeldyno.router.upstream import UpstreamError
from tests.unit.router.test_upstream import HEAD, OK, a_server, always, once, read

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


async def test_a_connection_is_given_back_once_however_soon_its_stream_is_whole() -> None:
    async with a_server(always(OK)) as (upstream, connections):
        stream = await upstream.stream(HEAD, b"1", 5)
        assert b"".join([part async for part in stream]) == b"hi"
        stream.close()
        stream.close()
        replies = await asyncio.gather(*(upstream.ask(HEAD, b"1", 1) for _ in range(2)))
        assert [reply.body for reply in replies] == [b"hi", b"hi"]
        assert len(connections) == 2
        assert upstream.in_flight == 0


async def test_an_answer_that_nobody_asked_for_is_not_taken_for_the_next_one() -> None:
    extra = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n"
    async with a_server(always(OK + extra)) as (upstream, connections):
        for _ in range(3):
            assert (await upstream.ask(HEAD, b"1", 5)).body == b"hi"
        assert len(connections) == 3


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nX: ",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" + b"X: y\r\n" * 10,
        CHUNKED + b"2\r\nhi\r\n0\r\n" + b"X: y\r\n" * 10,
    ],
)
async def test_headers_without_end_are_given_up(data: bytes) -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read(reader)
        writer.write(data)
        while not writer.is_closing():
            writer.write(b"y" * 4000 + b"\r\nX: ")
            await writer.drain()

    async with a_server(endless) as (upstream, _):
        with pytest.raises(UpstreamError, match=r"bytes of headers|not HTTP"):
            await upstream.ask(HEAD, b"1", 10)


async def test_an_error_that_answers_a_stream_has_the_same_bound_as_any_answer() -> None:
    body = b"HTTP/1.1 500 Oh\r\nContent-Length: 5000\r\n\r\n" + b"x" * 5000
    async with a_server(once(body)) as (upstream, _):
        with pytest.raises(UpstreamError, match="over 1000 bytes"):
            await upstream.stream(HEAD, b"1", 5)
        assert upstream.in_flight == 0


async def test_an_error_that_answers_a_stream_is_there_whole() -> None:
    body = b"HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nno"
    async with a_server(always(body)) as (upstream, connections):
        for _ in range(3):
            stream = await upstream.stream(HEAD, b"1", 5)
            stream.close()
            assert (stream.reply.status, stream.reply.body, stream.reply.flows) == (500, b"no", False)
        assert len(connections) == 1


async def test_a_stream_of_many_small_parts_costs_no_more_than_they_are() -> None:
    parts = 40_000

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read(reader)
        writer.write(CHUNKED + b"1\r\nx\r\n" * parts + b"0\r\n\r\n")
        await writer.drain()
        await reader.read()

    async with a_server(answer) as (upstream, _):
        stream = await upstream.stream(HEAD, b"1", 10)
        await asyncio.sleep(0.3)  # nobody reads meanwhile
        began = time.process_time()
        received = [part async for part in stream]
        stream.close()
        assert sum(map(len, received)) == parts
        assert len(received) < parts / 100  # those that wait together go together
        assert time.process_time() - began < 2.0


async def test_a_stream_that_nobody_reads_is_not_read_ahead_without_bound() -> None:
    sent = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await read(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(1000):
            writer.write(b"x" * 100_000)
            await writer.drain()
            sent += 100_000

    async with a_server(answer) as (upstream, _):
        stream = await upstream.stream(HEAD, b"1", 10)
        await asyncio.sleep(0.3)
        assert stream.reply.size < 1_000_000
        assert sent < 20_000_000  # the kernel's buffers hold some of it
        stream.close()
        await asyncio.sleep(0.05)
        assert upstream.in_flight == 0


async def test_a_stream_that_was_paused_when_its_end_came_leaves_a_connection_that_works() -> None:
    large = b"HTTP/1.1 200 OK\r\nContent-Length: 400000\r\n\r\n" + b"x" * 400_000
    async with a_server(always(large), 1_000_000) as (upstream, _):
        for _ in range(3):
            stream = await upstream.stream(HEAD, b"1", 2)
            await asyncio.sleep(0.05)
            size = 0
            async for part in stream:
                size += len(part)
            stream.close()
            assert size == 400_000
        assert len((await upstream.ask(HEAD, b"1", 2)).body) == 400_000


async def test_a_stream_that_meets_a_connection_which_was_closed_is_asked_for_again() -> None:
    async with a_server(once(OK)) as (upstream, connections):
        assert (await upstream.ask(HEAD, b"1", 5)).body == b"hi"
        link = upstream._idle[0]
        link.closed = False
        link._transport.pause_reading()  # so that the end of it is not seen before it is used
        await asyncio.sleep(0.02)
        link._transport.resume_reading()
        stream = await upstream.stream(HEAD, b"1", 5)
        assert [part async for part in stream] == [b"hi"]
        stream.close()
        assert len(connections) == 2


async def test_what_is_asked_once_takes_no_connection_that_may_be_closing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with a_server(always(OK)) as (upstream, connections):
        for _ in range(2):
            await upstream.ask(HEAD, b"1", 5, again=False)
        assert len(connections) == 1
        upstream._idle[0].idle_since -= 1.5
        await upstream.ask(HEAD, b"1", 5, again=False)
        assert len(connections) == 2


async def test_answers_before_the_answer_are_passed_over() -> None:
    early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n"
    async with a_server(always(early + OK)) as (upstream, connections):
        for _ in range(2):
            reply = await upstream.ask(HEAD, b"1", 5)
            assert (reply.status, reply.body, reply.header(b"x")) == (200, b"hi", None)
        assert len(connections) == 1


@pytest.mark.parametrize(
    ("data", "status", "body"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.0 200 OK\r\n\r\nold", 200, b"old"),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nold", 200, b"old"),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nold extra", 200, b"old"),
    ],
)
async def test_answers_of_other_kinds_are_whole(data: bytes, status: int, body: bytes) -> None:
    async with a_server(once(data)) as (upstream, _):
        for _ in range(2):
            reply = await upstream.ask(HEAD, b"1", 5)
            assert (reply.status, reply.body) == (status, body)


async def test_a_switch_of_protocols_is_no_answer() -> None:
    switch = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\nxx"
    async with a_server(once(switch)) as (upstream, _):
        with pytest.raises(UpstreamError, match="switched protocols"):
            await upstream.ask(HEAD, b"1", 5)
