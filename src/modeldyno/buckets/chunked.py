"""aws-chunked: a body in chunks, each with its size and, where chunks are signed, a signature that goes on from the one
before; then trailers.

**Source:** S3 API reference, *Signature calculations: transferring a payload in multiple chunks*, with and without
trailers.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import AsyncIterator

from modeldyno.buckets.refusals import Refused, refused
from modeldyno.wire.signature import EMPTY_SHA256, Identity, sign

_LINE_BYTES = 4096
_SIZE = re.compile(rb"[0-9a-fA-F]{1,10}")


async def unwrapped(
    chunks: AsyncIterator[bytes], payload: str, identity: Identity | None, trailers: dict[str, str]
) -> AsyncIterator[bytes]:
    """The content of what comes. `payload`: what X-Amz-Content-Sha256 says; `identity`: who signed, None where nobody
    needs to; `trailers`: filled with those at the end, by lower-case name.

    Raises:
        Refused: it is not what it should be, or a signature is not.
    """
    source = _Source(chunks)
    signatures = _Signatures(identity) if "-AWS4-HMAC-SHA256-" in payload else None
    while True:
        size, signature = _chunk_head(await source.line())
        digest = hashlib.sha256() if signatures is not None else None
        left = size
        while left:
            data = await source.some(left)
            left -= len(data)
            if digest is not None:
                digest.update(data)
            yield data
        if signatures is not None and digest is not None:
            signatures.check(digest.hexdigest(), signature)
        if size == 0:
            break
        if await source.line():
            raise _malformed()
    signed, signature = await _read_trailers(source, trailers)
    if signatures is not None and payload.endswith("-TRAILER"):
        signatures.check_trailer(hashlib.sha256(signed).hexdigest(), signature)


async def _read_trailers(source: _Source, trailers: dict[str, str]) -> tuple[bytes, str]:
    """What is signed of the trailers, and their signature."""
    lines = bytearray()
    signature = ""
    size = 0
    while line := await source.line(at_end=True):
        size += len(line)
        if size > _LINE_BYTES:
            raise _malformed()
        name, _, value = line.partition(b":")
        word = name.strip().lower().decode("latin-1")
        if word == "x-amz-trailer-signature":
            signature = value.strip().decode("latin-1")
        else:
            trailers[word] = value.strip().decode("latin-1")
            lines += word.encode() + b":" + value.strip() + b"\n"
    return bytes(lines), signature


class _Signatures:
    """The chain of signatures. Without an identity (nobody needs to sign) nothing is checked."""

    def __init__(self, identity: Identity | None) -> None:
        self._identity = identity
        self._last = identity.signature if identity else ""

    def check(self, sha256: str, signature: str) -> None:
        self._check("AWS4-HMAC-SHA256-PAYLOAD", f"{EMPTY_SHA256}\n{sha256}", signature)

    def check_trailer(self, sha256: str, signature: str) -> None:
        self._check("AWS4-HMAC-SHA256-TRAILER", sha256, signature)

    def _check(self, kind: str, digests: str, signature: str) -> None:
        if self._identity is None:
            return
        who = self._identity
        expected = sign(who.signing_key, f"{kind}\n{who.signed_at}\n{who.scope}\n{self._last}\n{digests}")
        if not hmac.compare_digest(expected.encode(), signature.encode()):
            text = "The signature of a chunk does not match what was computed."
            raise refused(403, "SignatureDoesNotMatch", text)
        self._last = expected


class _Source:
    """Bytes as they are asked for."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._held = bytearray()  # which gives its beginning away without moving the rest

    async def line(self, *, at_end: bool = False) -> bytes:
        """Up to the next line end. `at_end`: the end of all is one."""
        while (end := self._held.find(b"\r\n", 0, _LINE_BYTES + 2)) < 0:
            if len(self._held) > _LINE_BYTES:
                raise _malformed()
            more = await anext(self._chunks, None)
            if more is None:
                if at_end and not self._held:
                    return b""
                raise _malformed()
            self._held += more
        line = bytes(self._held[:end])
        del self._held[: end + 2]
        return line

    async def some(self, most: int) -> bytes:
        """At least one byte, at most so many."""
        if not self._held:
            more = await anext(self._chunks, None)
            if more is None:
                raise refused(400, "IncompleteBody", "The body ended within a chunk.")
            if len(more) <= most:
                return more
            self._held += more
        data = bytes(memoryview(self._held)[:most])
        del self._held[:most]
        return data


def _chunk_head(line: bytes) -> tuple[int, str]:
    size, _, rest = line.partition(b";")
    if not _SIZE.fullmatch(size.strip()):
        raise _malformed()
    return int(size, 16), rest.partition(b"chunk-signature=")[2].strip().decode("latin-1")


def _malformed() -> Refused:
    return refused(400, "InvalidRequest", "The body is not what aws-chunked says.")
