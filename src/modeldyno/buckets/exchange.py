"""One request for objects, and what is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from modeldyno.buckets.body import Body
from modeldyno.buckets.checksums import ALGORITHMS
from modeldyno.buckets.refusals import refused
from modeldyno.ports.buckets import BucketStore, ObjectFacts

_META = "x-amz-meta-"
_META_BYTES = 2048
"""**Source:** S3 user guide, *Working with object metadata*."""
_KEPT = (
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
    "x-amz-website-redirect-location",
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that was let in and read. `params` are those of the operation's input shape; `headers` in lower case;
    `region`: the caller's."""

    params: Mapping[str, Any]
    headers: Mapping[str, str]
    region: str
    body: Body
    store: BucketStore

    @property
    def bucket(self) -> str:
        """The bucket."""
        return str(self.params["Bucket"])

    @property
    def key(self) -> str:
        """The object's key."""
        return str(self.params["Key"])

    @property
    def algorithm(self) -> str | None:
        """The checksum that is asked for, in lower case."""
        given = self.params.get("ChecksumAlgorithm")
        if given is None:
            return None
        if given.lower() not in ALGORITHMS:
            raise refused(501, "NotImplemented", f"The checksum {given} is not made here.")
        return str(given).lower()


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes of an open file."""

    file: BinaryIO
    start: int
    size: int


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered. `result`: in the terms of the output shape; `headers` go beside those of the result; `status`:
    where it is not the operation's; `body`: where the model does not say it; `span`: what is sent of an object."""

    result: Mapping[str, object] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int | None = None
    body: bytes | None = None
    span: Span | None = None


_COPYING = ThreadPoolExecutor(4, thread_name_prefix="copy")


async def at_length(carry_out: Callable[[Asked], Reply], asked: Asked) -> Reply:
    """Carry out, in a thread, what may take as long as an object is large. Few at once: others' short work never waits
    behind it."""
    return await asyncio.get_running_loop().run_in_executor(_COPYING, carry_out, asked)


Handler = Callable[[Asked], Awaitable[Reply]]


def kept_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """What an object is stored with, and answered with.

    Raises:
        Refused: more metadata than S3 takes.
    """
    kept = {name: headers[name] for name in _KEPT if name in headers}
    codings = [word.strip() for word in kept.pop("content-encoding", "").split(",")]
    if left := ",".join(word for word in codings if word not in ("", "aws-chunked")):
        kept["content-encoding"] = left
    meta = {name: value for name, value in headers.items() if name.startswith(_META)}
    if sum(len(name) - len(_META) + len(value) for name, value in meta.items()) > _META_BYTES:
        raise refused(400, "MetadataTooLarge", f"Your metadata headers exceed the limit of {_META_BYTES} bytes.")
    return {"content-type": "binary/octet-stream"} | kept | meta


def quoted(etag: str) -> str:
    """An entity tag as headers have it."""
    return f'"{etag}"'


def checksum_members(checksums: Mapping[str, str]) -> dict[str, str]:
    """``{"ChecksumCRC32": ..., "ChecksumType": ...}``; a checksum of parts ends with their number."""
    if not checksums:
        return {}
    kind = "COMPOSITE" if any("-" in value for value in checksums.values()) else "FULL_OBJECT"
    return {f"Checksum{name.upper()}": value for name, value in checksums.items()} | {"ChecksumType": kind}


def said_checksums(params: Mapping[str, Any]) -> dict[str, str]:
    """The checksums that a request's parameters say, by algorithm."""
    named = {name: params.get(f"Checksum{name.upper()}") for name in ALGORITHMS}
    return {name: value for name, value in named.items() if value is not None}


def stored(facts: ObjectFacts) -> dict[str, object]:
    """What is told of an object that was just stored."""
    return {"ETag": quoted(facts.etag), **checksum_members(facts.checksums)}
