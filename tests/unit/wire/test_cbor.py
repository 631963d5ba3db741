"""What a body in CBOR may hold, and what hostile ones are answered."""

from __future__ import annotations

import datetime
from decimal import Decimal

import cbor2
import pytest

from modeldyno.domain.errors import MalformedRequest
from modeldyno.wire.cbor import read_cbor

LAUGHS = b"\x82" + b"\xd8\x1c\x81\x61a" + b"\x82\xd8\x1d\x00\xd8\x1d\x00"


@pytest.mark.parametrize(
    "body",
    [
        b"\x61\xff",
        b"\xa2\x61a",
        b"\x00\x00",
        b"\xff",
        b"\xf7",
        b"\x81" * 100_000,
        b"\xc1" + cbor2.dumps("x"),
        b"\xc1" + cbor2.dumps(1e18),
        b"\xc1\xf9\x7e\x00",
        b"\xd8\x1e\x82\x01\x00",
        b"\xd8\x23" + cbor2.dumps("(("),
        b"\xd8\x25\x01",
        b"\xc2\x59\x0f\xa0" + b"\xff" * 4000,
        b"\xd8\x1c\x81\xd8\x1d\x00",
        LAUGHS,
        cbor2.dumps({1: 2}),
        cbor2.dumps({"a": [Decimal("1.5")]}),
        b"\xa1\x81\x01\x02",
    ],
)
def test_what_no_request_holds_is_malformed(body):
    with pytest.raises(MalformedRequest):
        read_cbor(body)


def test_types_of_requests_are_read_as_they_are():
    when = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    document = {"a": [1, 2.5, True, None, b"x", {"b": "text"}], "c": 2**64 - 1, "when": when, "d": {}}
    assert read_cbor(cbor2.dumps(document)) == document
    assert read_cbor(b"") == {}
