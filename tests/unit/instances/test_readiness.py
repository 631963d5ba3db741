"""What /ping may answer, and what is said of it."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest

from modeldyno.domain.errors import ModelFault
from modeldyno.instances.readiness import is_listening, wait_until_ready
from tests.servers import serving


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", "status 503"),
        (b"hello there\r\n", "an answer that is not HTTP"),
        (b"x" * 100_000, "ValueError|not HTTP"),
        (b"", "closed without an answer"),
    ],
)
async def test_a_wrong_answer_is_told(answer: bytes, words: str) -> None:
    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)

    async with serving(reply) as port:
        with pytest.raises(ModelFault, match=words):
            await wait_until_ready(port, 0.3, lambda: None)


async def test_nobody_on_the_port_is_told() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        with pytest.raises(ModelFault, match=r"within 0\.2 s; the last try: nothing listened on the port"):
            await wait_until_ready(held.getsockname()[1], 0.2, lambda: None)


async def test_a_server_that_is_ready_later_is_waited_for() -> None:
    answers = iter([b"HTTP/1.1 500 Oh\r\n\r\n", b"HTTP/1.1 500 Oh\r\n\r\n", b"HTTP/1.0 200\r\n\r\n"])

    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(next(answers))

    async with serving(reply) as port:
        await wait_until_ready(port, 60.0, lambda: None)
    assert next(answers, None) is None


async def test_a_death_ends_the_waiting_at_once() -> None:
    with pytest.raises(ModelFault, match="The model server was killed by SIGSEGV before /ping answered"):
        await wait_until_ready(1, 3600.0, lambda: "killed by SIGSEGV")


def test_whose_the_port_is_can_be_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert is_listening(port, [os.getpid()]) is True
        assert is_listening(port, []) is False
    assert is_listening(port, [os.getpid()]) is None
