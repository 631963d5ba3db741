"""Signed chunks, by the examples that AWS publishes."""

from __future__ import annotations

import base64
import calendar
import time
from collections.abc import Iterable
from typing import Any

import pytest
from awscrt import checksums

from modeldyno.buckets.body import Body
from modeldyno.buckets.refusals import Refused
from modeldyno.wire.signature import SignedRequest, verify

# Source: S3 API reference, "Signature calculations for the Authorization header: transferring payload in multiple
# chunks", and "... including trailing headers": key, request, and every signature.
KEY = {"AKIAIOSFODNN7EXAMPLE": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}
NOW = calendar.timegm((2013, 5, 24, 0, 0, 0))
CONTENT = b"a" * 66560
CREDENTIAL = "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request"
PLAIN = {
    "host": "s3.amazonaws.com",
    "x-amz-date": "20130524T000000Z",
    "x-amz-storage-class": "REDUCED_REDUNDANCY",
    "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
    "content-encoding": "aws-chunked",
    "x-amz-decoded-content-length": "66560",
    "content-length": "66824",
    "authorization": f"{CREDENTIAL},SignedHeaders=content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;"
    "x-amz-decoded-content-length;x-amz-storage-class,"
    "Signature=4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
}
PLAIN_CHUNKS = (
    "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
    "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
    "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
)
TRAILING = PLAIN | {
    "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
    "x-amz-trailer": "x-amz-checksum-crc32c",
    "authorization": f"{CREDENTIAL},SignedHeaders=content-encoding;host;x-amz-content-sha256;x-amz-date;"
    "x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer,"
    "Signature=106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
}
TRAILING_CHUNKS = (
    "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
    "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
    "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
)
TRAILER = (
    b"x-amz-checksum-crc32c:sOO8/Q==\r\n"
    b"x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n"
)


def wrapped(signatures: Iterable[str], end: bytes = b"\r\n", content: bytes = CONTENT) -> bytes:
    parts = [content[:65536], content[65536:], b""]
    chunks = [b"%x;chunk-signature=%s\r\n%s" % (len(p), s.encode(), p) for p, s in zip(parts, signatures, strict=True)]
    return b"\r\n".join(chunks) + end


async def read(headers: dict[str, str], body: bytes, pieces: int = 1000) -> bytes:
    request = SignedRequest("PUT", "/examplebucket/chunkObject.txt", "", list(headers.items()))
    identity = verify(request, KEY.get, NOW, lambda: "")
    messages = [body[start : start + pieces] for start in range(0, len(body), pieces)]

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": messages.pop(0), "more_body": bool(messages)}

    return await Body(receive, headers, identity).whole(10**6)


@pytest.mark.parametrize("pieces", [1, 7, 65536, 10**6])
async def test_the_example_of_signed_chunks_is_read(pieces: int) -> None:
    body = wrapped(PLAIN_CHUNKS)
    assert len(body) == int(PLAIN["content-length"])
    assert await read(PLAIN, body, pieces) == CONTENT


@pytest.mark.parametrize("wrong", [0, 1, 2])
async def test_a_chunk_with_another_signature_is_refused(wrong: int) -> None:
    signatures = [*PLAIN_CHUNKS]
    signatures[wrong] = "0" * 64
    with pytest.raises(Refused) as refused:
        await read(PLAIN, wrapped(signatures))
    assert (refused.value.status, refused.value.code) == (403, "SignatureDoesNotMatch")


async def test_content_that_was_changed_on_its_way_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        await read(PLAIN, wrapped(PLAIN_CHUNKS, content=b"b" + CONTENT[1:]))
    assert refused.value.code == "SignatureDoesNotMatch"


async def test_content_that_ends_early_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        await read(PLAIN, wrapped(PLAIN_CHUNKS)[:66000])
    assert refused.value.status == 400


async def test_the_example_with_a_trailer_is_read() -> None:
    assert base64.b64encode(checksums.crc32c(CONTENT).to_bytes(4, "big")) == b"sOO8/Q=="
    assert await read(TRAILING, wrapped(TRAILING_CHUNKS, TRAILER)) == CONTENT


@pytest.mark.parametrize(
    "trailer", [TRAILER.replace(b"sOO8/Q==", b"AAAAAA=="), TRAILER.replace(b"signature:d8", b"signature:00"), b"\r\n"]
)
async def test_a_trailer_that_was_changed_or_is_missing_is_refused(trailer: bytes) -> None:
    with pytest.raises(Refused):
        await read(TRAILING, wrapped(TRAILING_CHUNKS, trailer))


UNSIGNED = {"x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "x-amz-trailer": "x-amz-checksum-crc32"}


async def read_unsigned(body: Iterable[bytes], **headers: str) -> bytes:
    messages = iter(body)

    async def receive() -> dict[str, Any]:
        piece = next(messages, b"")
        return {"type": "http.request", "body": piece, "more_body": bool(piece)}

    return await Body(receive, UNSIGNED | headers, None).whole(10**6)


@pytest.mark.parametrize("size", [b"0x1", b"+1", b"-1", b"1_0", b"", b"f" * 11, b"1" * 5000, b"\xb2"])
async def test_a_size_of_a_chunk_is_hexadecimal_digits(size: bytes) -> None:
    with pytest.raises(Refused) as refused:
        await read_unsigned([size + b"\r\na\r\n0\r\n\r\n"])
    assert refused.value.status == 400


async def test_trailers_without_end_are_not_taken_in() -> None:
    def endless() -> Iterable[bytes]:
        yield b"0\r\n"
        for number in range(10_000):
            yield b"x-%d: y\r\n" % number
        raise AssertionError("10000 trailers were taken in")

    with pytest.raises(Refused):
        await read_unsigned(endless())


async def test_small_chunks_in_a_large_piece_cost_no_more_than_in_small_ones() -> None:
    body = b"1\r\na\r\n" * 100_000 + b"0\r\nx-amz-checksum-crc32:%b\r\n\r\n"
    crc = base64.b64encode(checksums.crc32(b"a" * 100_000).to_bytes(4, "big"))
    began = time.process_time()
    assert await read_unsigned([body % crc]) == b"a" * 100_000
    assert time.process_time() - began < 5  # it was half a minute


@pytest.mark.parametrize("kind", ["STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", "STREAMING-X"])
async def test_signatures_that_are_not_verified_are_not_taken(kind: str) -> None:
    with pytest.raises(Refused) as refused:
        await read_unsigned([b"0\r\n\r\n"], **{"x-amz-content-sha256": kind})
    assert refused.value.code == "NotImplemented"


def test_a_length_of_too_many_digits_is_none() -> None:
    async def receive() -> dict[str, Any]:
        raise AssertionError

    assert Body(receive, UNSIGNED | {"x-amz-decoded-content-length": "9" * 5000}, None).length is None
