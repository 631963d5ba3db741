"""The body of an upload: unwrapped from aws-chunked, held against what the request says of it, and written as it comes.

1. Bytes are gathered to buffers and handed to a thread, which hashes and writes them; one buffer is on its way there
   while the next is gathered, so memory stays at a few of them. A large body is taken from the server and read by
   threads, where that can be (`direct`).
2. Digests: the entity tag (MD5 of an object; of a part another, which costs less), what X-Amz-Content-Sha256 and
   Content-MD5 say, and the checksums that the request names in a header or, of aws-chunked, in a trailer.

**Source:** S3 API reference, *Checking object integrity*.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from modeldyno.buckets.checksums import ALGORITHMS, CHECKSUM_HEADER, Data, Hash, checksum, shown_tag, tagged
from modeldyno.buckets.chunked import unwrapped
from modeldyno.buckets.direct import LEAST_BYTES, Take, TakenBody, drain
from modeldyno.buckets.refusals import refused
from modeldyno.ports.buckets import Sink
from modeldyno.wire.signature import UNSIGNED_PAYLOAD, Identity

_BUFFER_BYTES = 256 * 1024
IDLE_SECONDS = 60.0
"""Chosen: how long a caller may send nothing."""

Receive = Callable[[], Awaitable[Mapping[str, Any]]]


class CallerGone(Exception):
    """Nobody is left to answer."""


_SHA256 = re.compile(r"[0-9a-f]{64}")
_CHUNKED = (
    "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
)


@dataclass(frozen=True, slots=True)
class Received:
    """What came: its bytes, its tag, and the checksums that were asked for or said, in base64."""

    size: int
    tag: str
    checksums: dict[str, str]


class Body:
    """One request's body. `headers` in lower case; `identity`: who signed, None where nobody needs to; `take`: how it
    is taken from the server, where that can be.

    Raises:
        Refused: X-Amz-Content-Sha256 says nothing that is known, so that nothing could be held against it.
    """

    def __init__(
        self, receive: Receive, headers: Mapping[str, str], identity: Identity | None, take: Take | None = None
    ) -> None:
        self._receive = receive
        self._take = take
        self._headers = headers
        self._payload = headers.get("x-amz-content-sha256", UNSIGNED_PAYLOAD)
        self._identity = identity
        self._trailers: dict[str, str] = {}
        if self.chunked and self._payload not in _CHUNKED:
            raise refused(501, "NotImplemented", f"A body of the kind {self._payload[:64]} is not taken.")
        if not self.chunked and self._payload != UNSIGNED_PAYLOAD and not _SHA256.fullmatch(self._payload):
            kinds = ", ".join((UNSIGNED_PAYLOAD, *_CHUNKED))
            text = f"x-amz-content-sha256 must be {kinds} or a valid sha256 value, not {self._payload[:80]!r}."
            raise refused(400, "InvalidArgument", text)

    @property
    def chunked(self) -> bool:
        """Whether the body is wrapped in aws-chunked."""
        return self._payload.startswith("STREAMING-")

    @property
    def _has_sha256(self) -> bool:
        return not self.chunked and self._payload != UNSIGNED_PAYLOAD

    @property
    def length(self) -> int | None:
        """The bytes of the content, where the request says them."""
        given = self._headers.get("x-amz-decoded-content-length" if self.chunked else "content-length", "")
        return int(given) if given.isascii() and given.isdigit() and len(given) < 20 else None

    async def whole(self, most: int) -> bytes:
        """A small body. Raises `Refused` where it is larger, or another than the request says."""
        memory = _Memory(most)
        await self.into(memory, None)
        return bytes(memory.data)

    async def into(self, sink: Sink, algorithm: str | None, *, part: bool = False) -> Received:
        """Write it as it comes. `algorithm`: a checksum to make, beside those that the request says; `part`: it is one.

        Raises:
            Refused: it is not what the request says. CallerGone. OutOfRoom.
        """
        said = {name.removeprefix(CHECKSUM_HEADER): value for name, value in self._headers.items() if _is_said(name)}
        names = {*said, *self._trailing(), *((algorithm,) if algorithm else ())}
        sums = {name: checksum(name) for name in names}
        tag, md5, sha256 = tagged(sums, part=part), hashlib.md5(usedforsecurity=False), hashlib.sha256()
        hashes: list[Hash] = list({tag, *sums.values()})
        if "content-md5" in self._headers:
            hashes.append(md5)
        if self._has_sha256:
            hashes.append(sha256)
        size = await self._pour(sink, hashes)
        self._check_length(size, whole=True)
        self._check_sha256(sha256.hexdigest())
        self._check_md5(md5.digest())
        found = {name: base64.b64encode(one.digest()).decode() for name, one in sums.items()}
        for name, value in {**said, **self._said_at_end()}.items():
            if name in found and not _same(found[name], value):
                text = f"The {name.upper()} you specified did not match the calculated checksum."
                raise refused(400, "BadDigest", text)
        return Received(size, shown_tag(tag, size, part=part), found)

    async def _pour(self, sink: Sink, hashes: list[Hash]) -> int:
        size = 0
        buffer = bytearray()
        writing: asyncio.Task[None] | None = None
        try:
            async for data in self._content():
                buffer += data
                size += len(data)
                self._check_length(size, whole=False)
                if (self.length or 0) - size >= LEAST_BYTES and (taken := self._taken()) is not None:
                    await asyncio.to_thread(_take, sink, hashes, buffer)
                    buffer = bytearray()
                    with _told_when_idle():
                        size += await drain(taken, (self.length or 0) - size, sink, hashes, IDLE_SECONDS)
                elif len(buffer) >= _BUFFER_BYTES:
                    if writing is not None:
                        await writing
                    writing = asyncio.create_task(asyncio.to_thread(_take, sink, hashes, buffer))
                    buffer = bytearray()
            if writing is not None:
                await writing
            await asyncio.to_thread(_take, sink, hashes, buffer)
            return size
        finally:
            if writing is not None and not writing.done():
                await asyncio.gather(writing, return_exceptions=True)

    def _taken(self) -> TakenBody | None:
        take, self._take = self._take, None
        return None if take is None or self.chunked else take()

    # --- what the request says ---

    def _check_length(self, size: int, *, whole: bool) -> None:
        if self.length is not None and (size > self.length or (whole and size < self.length)):
            raise refused(400, "IncompleteBody", f"The body has {size} bytes, the request says {self.length}.")

    def _check_sha256(self, found: str) -> None:
        if self._has_sha256 and not _same(found, self._payload):
            text = "The provided 'x-amz-content-sha256' header does not match what was computed."
            raise refused(400, "XAmzContentSHA256Mismatch", text)

    def _check_md5(self, found: bytes) -> None:
        said = self._headers.get("content-md5")
        if said is not None and not _same(base64.b64encode(found).decode(), said):
            raise refused(400, "BadDigest", "The Content-MD5 you specified did not match what we received.")

    def _trailing(self) -> list[str]:
        given = self._headers.get("x-amz-trailer", "").lower().split(",")
        names = [name.strip().removeprefix(CHECKSUM_HEADER) for name in given if name.strip()]
        if unknown := [name for name in names if name not in ALGORITHMS]:
            raise refused(501, "NotImplemented", f"The trailer {unknown[0]} is not looked at here.")
        return names

    def _said_at_end(self) -> dict[str, str]:
        missing = [name for name in self._trailing() if CHECKSUM_HEADER + name not in self._trailers]
        if missing:
            raise refused(400, "MalformedTrailerError", f"The trailer {CHECKSUM_HEADER}{missing[0]} is missing.")
        return {name.removeprefix(CHECKSUM_HEADER): value for name, value in self._trailers.items() if _is_said(name)}

    # --- what came ---

    async def _raw(self) -> AsyncIterator[bytes]:
        while True:
            with _told_when_idle():
                async with asyncio.timeout(IDLE_SECONDS):
                    message = await self._receive()
            if message["type"] == "http.disconnect":
                raise CallerGone
            if data := message.get("body", b""):
                yield data
            if not message.get("more_body", False):
                return

    def _content(self) -> AsyncIterator[bytes]:
        return unwrapped(self._raw(), self._payload, self._identity, self._trailers) if self.chunked else self._raw()


@contextlib.contextmanager
def _told_when_idle() -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        text = "Your socket connection to the server was not read from or written to within the timeout period."
        raise refused(400, "RequestTimeout", text) from None


def _is_said(name: str) -> bool:
    """Whether a header or trailer says a checksum's value."""
    return name.startswith(CHECKSUM_HEADER) and name.removeprefix(CHECKSUM_HEADER) in ALGORITHMS


def _same(computed: str, said: str) -> bool:
    return hmac.compare_digest(computed.encode(), said.strip().encode())


class _Memory:
    """A sink that keeps what comes, up to a limit."""

    def __init__(self, most: int) -> None:
        self.data = bytearray()
        self._most = most

    def write(self, data: Data) -> None:
        self.data += data
        if len(self.data) > self._most:
            raise refused(400, "EntityTooLarge", f"The body is over the limit of {self._most} bytes.")

    def discard(self) -> None:
        """Nothing is left anyway."""


def _take(sink: Sink, hashes: list[Hash], data: Data) -> None:
    for one in hashes:
        one.update(data)
    sink.write(data)
