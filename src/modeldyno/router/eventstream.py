"""Frames of ``application/vnd.amazon.eventstream``, as InvokeEndpointWithResponseStream answers.

**Source:** Smithy specification, *Amazon Event Stream*: total length, header length, CRC of these two; headers;
payload; CRC of all before it. All numbers are big-endian.
"""

from __future__ import annotations

import struct
from binascii import crc32
from functools import lru_cache

import msgspec

CONTENT_TYPE = b"application/vnd.amazon.eventstream"
_STRING = 7
_PRELUDE = struct.Struct(">II")
_NUMBER = struct.Struct(">I")


def payload_part(payload: bytes) -> bytes:
    """A part of the answer."""
    return _frame(_PART_HEADERS, payload)


def exception(kind: str, message: str, code: str) -> bytes:
    """What ends a stream that broke: `kind` ModelStreamError or InternalStreamFailure."""
    names = ((":exception-type", kind), (":content-type", "application/json"), (":message-type", "exception"))
    body = {"Message": message, "ErrorCode": code} if kind == "ModelStreamError" else {"Message": message}
    return _frame(_headers(names), msgspec.json.encode(body))


def _frame(headers: bytes, payload: bytes) -> bytes:
    prelude = _PRELUDE.pack(_PRELUDE.size + 8 + len(headers) + len(payload), len(headers))
    prelude += _NUMBER.pack(crc32(prelude))
    message = prelude + headers + payload
    return message + _NUMBER.pack(crc32(message))


@lru_cache(maxsize=16)
def _headers(pairs: tuple[tuple[str, str], ...]) -> bytes:
    return b"".join(
        bytes([len(name)]) + name.encode() + struct.pack(">BH", _STRING, len(value)) + value.encode()
        for name, value in pairs
    )


_PART_HEADERS = _headers(
    (
        (":event-type", "PayloadPart"),
        (":content-type", "application/octet-stream"),
        (":message-type", "event"),
    )
)
