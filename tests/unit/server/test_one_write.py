"""Answers of one turn of the loop go out together, each in one piece; nobody minds a caller who has gone."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop

from modeldyno.server.protocol import _OneWrite


class Sent:
    """Of a connection: a transport that holds, and what the other end reads."""

    def __init__(self, held: _OneWrite, other: socket.socket) -> None:
        self.held = held
        self.other = other

    def read(self) -> bytes:
        try:
            return self.other.recv(1 << 20)
        except BlockingIOError:
            return b""


@asynccontextmanager
async def connected(*, alone: bool) -> AsyncIterator[Sent]:
    ours, other = socket.socketpair()
    other.setblocking(False)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
    with other:
        yield Sent(_OneWrite(transport, loop, lambda: alone, lambda: False), other)
        transport.close()
        await asyncio.sleep(0.01)


@pytest.fixture
def errors() -> list[dict[str, Any]]:
    return []


def run(coroutine: Any, errors: list[dict[str, Any]]) -> None:
    async def body() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
        await coroutine

    uvloop.run(body())


def test_one_that_is_alone_is_answered_at_once(errors: list[dict[str, Any]]) -> None:
    async def body() -> None:
        async with connected(alone=True) as sent:
            sent.held.write(b"head ")
            assert sent.read() == b""
            sent.held.write(b"body")
            assert sent.read() == b"head body"

    run(body(), errors)
    assert errors == []


def test_beside_others_it_waits_for_the_loop_and_is_whole(errors: list[dict[str, Any]]) -> None:
    async def body() -> None:
        async with connected(alone=False) as one, connected(alone=False) as other:
            for sent in (one, other):
                sent.held.write(b"head ")
                sent.held.write(b"body")
            assert (one.read(), other.read()) == (b"", b"")
            await asyncio.sleep(0.01)
            assert (one.read(), other.read()) == (b"head body", b"head body")

    run(body(), errors)
    assert errors == []


def test_what_is_large_does_not_wait_and_order_is_kept(errors: list[dict[str, Any]]) -> None:
    async def body() -> None:
        async with connected(alone=False) as sent:
            parts = [b"head ", b"x" * 70_000, b"1", b"2", b"3"]
            for part in parts:
                sent.held.write(part)
            assert sent.read() == b"".join(parts[:2])
            sent.held.close()
            assert sent.read() == b"123"

    run(body(), errors)
    assert errors == []


def test_a_caller_that_goes_before_its_answer_leaves_no_trace(errors: list[dict[str, Any]]) -> None:
    async def body() -> None:
        async with connected(alone=False) as sent:
            sent.held.abort()  # which the application is told in the next turn of the loop
            sent.held.write(b"head ")
            sent.held.write(b"body")
            await asyncio.sleep(0.01)

    run(body(), errors)
    assert errors == []
