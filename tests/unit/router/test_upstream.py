"""Connections to model servers, against servers that behave badly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from modeldyno.router.upstream import Upstream, UpstreamError
from tests.servers import serving

HEAD = b"POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\nhi"
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def a_server(answer: Answer, limit: int = 1000) -> AsyncIterator[tuple[Upstream, list[int]]]:
    """An upstream to a server; how many connections it had."""
    connections: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(1)
        await answer(reader, writer)

    async with serving(serve) as port:
        upstream = Upstream("s1", f"http://127.0.0.1:{port}", limit)
        try:
            yield upstream, connections
        finally:
            upstream.close()


async def read(reader: asyncio.StreamReader) -> None:
    await reader.readexactly(len(HEAD) + 1)


def always(data: bytes) -> Answer:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read(reader)
            writer.write(data)
            await writer.drain()

    return answer


def once(data: bytes) -> Answer:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read(reader)
        writer.write(data)
        await writer.drain()

    return answer


async def test_a_connection_is_used_again() -> None:
    async with a_server(always(OK)) as (upstream, connections):
        for _ in range(5):
            reply = await upstream.ask(HEAD, b"1", 5)
            assert (reply.status, reply.body, reply.header(b"content-type")) == (200, b"hi", b"text/plain")
        assert len(connections) == 1
        assert upstream.in_flight == 0


async def test_requests_at_once_have_connections_of_their_own() -> None:
    async with a_server(always(OK)) as (upstream, connections):
        replies = await asyncio.gather(*(upstream.ask(HEAD, b"1", 5) for _ in range(10)))
        assert {reply.body for reply in replies} == {b"hi"}
        assert len(connections) == 10


async def test_a_kept_connection_that_the_server_closed_is_replaced_without_an_error() -> None:
    async with a_server(once(OK)) as (upstream, connections):
        for _ in range(3):
            assert (await upstream.ask(HEAD, b"1", 5)).body == b"hi"
            await asyncio.sleep(0.02)
        assert len(connections) == 3


async def test_an_answer_that_ends_with_its_connection_is_whole() -> None:
    async with a_server(once(b"HTTP/1.1 200 OK\r\n\r\nall of it")) as (upstream, _):
        assert (await upstream.ask(HEAD, b"1", 5)).body == b"all of it"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi", "closed the connection"),
        (b"nonsense\r\n\r\n", "not HTTP"),
        (b"", "closed the connection"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + b"x" * 2000, "over 1000 bytes"),
    ],
)
async def test_a_broken_answer_is_an_error_in_words(data: bytes, words: str) -> None:
    async with a_server(once(data)) as (upstream, _):
        with pytest.raises(UpstreamError, match=words) as broken:
            await upstream.ask(HEAD, b"1", 5)
        assert broken.value.sent
        assert upstream.in_flight == 0


async def test_a_server_that_does_not_answer_is_given_up() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with a_server(silent) as (upstream, _):
        with pytest.raises(UpstreamError) as broken:
            await upstream.ask(HEAD, b"1", 0.1)
        assert broken.value.timed_out


async def test_a_port_without_a_server_has_not_seen_the_request() -> None:
    upstream = Upstream("s1", "http://127.0.0.1:1", 1000)
    with pytest.raises(UpstreamError, match="accepted no connection") as broken:
        await upstream.ask(HEAD, b"1", 1)
    assert not broken.value.sent


async def test_a_stream_comes_in_parts_and_its_end_is_seen() -> None:
    parts = [b"one", b"two", b"three"]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for part in parts:
            writer.write(b"%x\r\n%b\r\n" % (len(part), part))
            await writer.drain()
            await asyncio.sleep(0.02)
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        await reader.read()

    async with a_server(answer) as (upstream, _):
        stream = await upstream.stream(HEAD, b"1", 5)
        assert stream.reply.status == 200
        assert [chunk async for chunk in stream] == parts
        stream.close()
        assert upstream.in_flight == 0


async def test_a_stream_that_breaks_says_so() -> None:
    async with a_server(once(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")) as (upstream, _):
        stream = await upstream.stream(HEAD, b"1", 5)
        assert await anext(stream) == b"one"
        with pytest.raises(UpstreamError, match="closed the connection"):
            await anext(stream)
        stream.close()
