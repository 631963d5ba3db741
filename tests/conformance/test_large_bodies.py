"""Large objects on raw connections: whole, wrong, slow, left alone, and what comes after them on the same one."""

from __future__ import annotations

import hashlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from modeldyno.objects.sinks import FileSink
from modeldyno.ports.buckets import OutOfRoom
from tests.conformance.conftest import Front

SIZE = 5 * 1024**2
DATA = os.urandom(SIZE)


@pytest.fixture
def s3(connect: Callable[..., Any]) -> Any:
    client = connect("us-east-1", "s3")
    client.create_bucket(Bucket="large")
    return client


@pytest.fixture
def connection(front: Front) -> Iterator[socket.socket]:
    address = urlsplit(front.url)
    with closing(socket.create_connection((address.hostname, address.port), timeout=20)) as made:
        yield made


def head(s3: Any, key: str, method: str = "put_object", size: int | None = SIZE, **more: str) -> bytes:
    """The head of a presigned request."""
    url = s3.generate_presigned_url(method, Params={"Bucket": "large", "Key": key})
    address = urlsplit(url)
    word = "PUT" if method == "put_object" else "GET"
    lines = [f"{word} {address.path}?{address.query} HTTP/1.1", f"Host: {address.netloc}"]
    lines += [f"{name}: {value}" for name, value in more.items()]
    lines += [] if size is None else [f"Content-Length: {size}"]
    return "\r\n".join([*lines, "", ""]).encode()


def answer(connection: socket.socket, method: str = "PUT") -> tuple[HTTPResponse, bytes]:
    response = HTTPResponse(connection, method=method)
    response.begin()
    return response, response.read()


def files(front: Front) -> set[str]:
    """What lies in the bucket and beside it."""
    return {str(path) for path in front.dyno.places.objects.rglob("*") if path.is_file()}


def test_a_large_body_is_stored_whole_and_the_next_request_is_answered(s3: Any, connection: socket.socket) -> None:
    connection.sendall(head(s3, "one") + DATA + head(s3, "two") + DATA[::-1])
    (first, _), (second, _) = answer(connection), answer(connection)
    assert (first.status, second.status) == (200, 200)
    assert first.headers["etag"] == f'"{hashlib.md5(DATA).hexdigest()}"'
    connection.sendall(head(s3, "one", "get_object", None))
    assert answer(connection, "GET")[1] == DATA
    assert s3.get_object(Bucket="large", Key="two")["Body"].read() == DATA[::-1]


def test_a_large_body_of_another_digest_is_refused_and_the_connection_goes_on(
    s3: Any, connection: socket.socket, front: Front
) -> None:
    before = files(front)
    connection.sendall(head(s3, "wrong", **{"x-amz-content-sha256": hashlib.sha256(b"other").hexdigest()}) + DATA)
    response, body = answer(connection)
    assert response.status == 400
    assert b"XAmzContentSHA256Mismatch" in body
    connection.sendall(head(s3, "wrong") + DATA)
    assert answer(connection)[0].status == 200
    assert {Path(name).name for name in files(front) - before if "facts" not in name} == {"wrong"}


def test_a_disk_without_room_is_told_while_the_body_still_comes(
    s3: Any, connection: socket.socket, monkeypatch: pytest.MonkeyPatch, front: Front
) -> None:
    before, written = files(front), []

    def full(sink: FileSink, data: bytes) -> None:
        written.append(len(data))
        if sum(written) > SIZE // 2:
            raise OutOfRoom("The disk has no room: No space left on device.")

    with monkeypatch.context() as patch:
        patch.setattr(FileSink, "write", full)
        connection.sendall(head(s3, "full") + DATA)
        response, body = answer(connection)
    assert response.status == 507, body
    assert b"no room" in body
    connection.sendall(head(s3, "none", "get_object", None))
    assert answer(connection, "GET")[0].status == 404
    assert files(front) == before


def test_a_caller_that_leaves_in_the_middle_leaves_nothing(s3: Any, connection: socket.socket, front: Front) -> None:
    before = files(front)
    connection.sendall(head(s3, "left") + DATA[: SIZE // 2])
    while files(front) == before:
        time.sleep(0.01)
    connection.close()
    until = time.monotonic() + 20
    while files(front) != before and time.monotonic() < until:
        time.sleep(0.01)
    assert files(front) == before


def test_many_callers_that_trickle_hold_up_nobody(s3: Any, front: Front) -> None:
    address = urlsplit(front.url)
    slow = [socket.create_connection((address.hostname, address.port), timeout=20) for _ in range(12)]
    try:
        for number, one in enumerate(slow):
            one.sendall(head(s3, f"slow-{number}") + DATA[: SIZE // 2])
        s3.put_object(Bucket="large", Key="fast", Body=DATA)  # the client gives up after a minute
        for one in slow:
            one.sendall(DATA[SIZE // 2 : -1])
        assert s3.get_object(Bucket="large", Key="fast")["Body"].read() == DATA
        for one in slow:
            one.sendall(DATA[-1:])
        assert [answer(one)[0].headers["etag"] for one in slow] == [f'"{hashlib.md5(DATA).hexdigest()}"'] * len(slow)
    finally:
        for one in slow:
            one.close()


def test_a_caller_that_waits_to_be_asked_is_asked(s3: Any, front: Front) -> None:
    address = urlsplit(front.url)
    with closing(socket.create_connection((address.hostname, address.port), timeout=20)) as connection:
        connection.sendall(head(s3, "asked", Expect="100-continue"))
        assert connection.recv(1000).startswith(b"HTTP/1.1 100")
        connection.sendall(DATA)
        assert answer(connection)[0].status == 200
