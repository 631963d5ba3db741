"""What a connection may bring: upgrades, heads without end, bodies that nobody wants."""

from __future__ import annotations

import json
import re
import socket
import time

import pytest

from tests.unit.server.front import front

HEALTH = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
LAST = HEALTH.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
UPGRADE = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"
CALL = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Amz-Target: SageMaker.DescribeModel\r\n"


def answers(door, *pieces):
    """The statuses of what comes back, and all of it; the last request asks for the end of the connection."""
    with socket.create_connection(("127.0.0.1", door.port), timeout=20) as connection:
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(0.05)
        whole = b"".join(iter(lambda: connection.recv(65536), b""))
    return re.findall(rb"HTTP/1\.1 (\d{3})", whole), whole


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("chunked", [False, True])
def test_an_upgrade_is_declined_and_the_body_is_the_requests_own(door, chunked, apart):
    body = json.dumps({"ModelName": "m"}).encode()
    framing = b"Transfer-Encoding: chunked\r\n\r\n" if chunked else b"Content-Length: %d\r\n\r\n" % len(body)
    sent = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if chunked else body
    pieces = (CALL + UPGRADE + framing, sent, LAST)
    statuses, whole = answers(door, *(pieces if apart else (b"".join(pieces),)))
    assert statuses == [b"200", b"200"]
    assert b'"ModelName":"m"' in whole.replace(b" ", b"")


def test_the_body_of_an_upgrade_is_no_request(door):
    statuses, _ = answers(door, CALL + UPGRADE + b"Content-Length: %d\r\n\r\n" % len(HEALTH), HEALTH, LAST)
    assert statuses == [b"400", b"200"]


def test_many_upgrades_in_one_piece_are_answered_one_by_one(door):
    one = HEALTH.replace(b"\r\n\r\n", b"\r\n" + UPGRADE + b"\r\n")
    statuses, _ = answers(door, one * 300 + LAST)
    assert statuses == [b"200"] * 301


def test_a_connection_that_brings_no_whole_head_is_closed(monkeypatch):
    monkeypatch.setattr("modeldyno.server.protocol._LOOK_SECONDS", 0.3)
    with front() as door:
        for sent in (b"", b"GET /health HTTP/1.1\r\nHost:"):
            assert door.raw(sent) == b""  # until it is closed
        with socket.create_connection(("127.0.0.1", door.port), timeout=20) as connection:
            for _ in range(3):  # idle between requests is another matter
                connection.sendall(HEALTH)
                assert connection.recv(65536).startswith(b"HTTP/1.1 200")
                time.sleep(0.7)
            connection.sendall(b"GET /health")
            assert connection.recv(65536) == b""


def test_who_still_sends_a_refused_body_can_read_the_refusal(door):
    size = 64 * 1024**2
    head = CALL + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % size
    with socket.create_connection(("127.0.0.1", door.port), timeout=20) as connection:
        connection.sendall(head + b"x" * size)
        assert b"".join(iter(lambda: connection.recv(65536), b"")).startswith(b"HTTP/1.1 413 ")
