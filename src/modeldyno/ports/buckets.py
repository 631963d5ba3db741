"""What S3 does beyond `ObjectStore`: buckets, listings, facts about objects, and uploads in parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

from modeldyno.domain.errors import ObjectError


class NoSuchBucket(ObjectError):
    """There is no bucket of that name."""


class NoSuchObject(ObjectError):
    """There is no object under that key."""


class NoSuchUpload(ObjectError):
    """There is no upload with that id; it may have been completed or aborted."""


class BucketNotEmpty(ObjectError):
    """A bucket that holds objects is not removed."""


class UnusableName(ObjectError):
    """A bucket or a key that cannot be kept under that name; the message says why."""


class UnusablePart(ObjectError):
    """A part that an upload does not have, or has with another tag, or in another order."""


class OutOfRoom(ObjectError):
    """The disk is full."""


class Changed(ObjectError):
    """The object is not what a condition says any more."""


@dataclass(frozen=True, slots=True)
class ObjectFacts:
    """What is known of an object beside its bytes. modified_at: seconds since the Unix epoch. etag: without quotes.

    headers: what it was stored with and is answered with (``content-type``, ``x-amz-meta-...``), in lower case.
    checksums: base64, by algorithm (``crc32``). parts: of how many parts it was made, None: of none.
    """

    key: str
    size: int
    modified_at: float
    etag: str
    headers: Mapping[str, str] = field(default_factory=dict)
    checksums: Mapping[str, str] = field(default_factory=dict)
    parts: int | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """One page: objects and common prefixes, each in order; `next` is the last of either where there is more."""

    objects: Sequence[ObjectFacts]
    prefixes: Sequence[str]
    next: str | None


@dataclass(frozen=True, slots=True)
class Part:
    """One part of an upload."""

    number: int
    size: int
    etag: str
    modified_at: float
    checksums: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload in parts that has begun. `algorithm`: of its checksums; `of_whole`: whether the object's will be that
    of all its bytes, not of its parts' checksums."""

    id: str
    key: str
    begun_at: float
    headers: Mapping[str, str] = field(default_factory=dict)
    algorithm: str | None = None
    of_whole: bool = False


class Sink(Protocol):
    """Where the bytes of one object or part go before it is there."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append. Raises `OutOfRoom`."""
        ...

    def discard(self) -> None:
        """Leave nothing behind. Does nothing once it was stored."""
        ...


class BucketStore(Protocol):
    """Objects in buckets. Whatever was answered is on the disk; a reader sees the old object or the new one, whole.

    Methods may block, and raise the errors above and `ObjectError`.
    """

    def buckets(self) -> Sequence[tuple[str, float]]:
        """Names and times of creation, by name."""
        ...

    def make_bucket(self, bucket: str) -> bool:
        """Make it; whether it was not there."""
        ...

    def has_bucket(self, bucket: str) -> bool:
        """Whether it is there."""
        ...

    def remove_bucket(self, bucket: str) -> None:
        """Remove an empty bucket."""
        ...

    def facts(self, bucket: str, key: str) -> ObjectFacts:
        """What is known of an object."""
        ...

    def open(self, bucket: str, key: str) -> tuple[ObjectFacts, BinaryIO]:
        """An object's facts and bytes, which stay what they are while they are read."""
        ...

    def list(self, bucket: str, prefix: str, delimiter: str, after: str, limit: int) -> Listing:
        """Objects in byte order of their keys, after `after`; what `delimiter` cuts off is told once."""
        ...

    def remove(self, bucket: str, key: str) -> None:
        """Remove an object; one that is not there is no error."""
        ...

    def sink(self, bucket: str, size: int) -> Sink:
        """Where the bytes of an object of that bucket go first. `size`: how many they are said to be; `OutOfRoom` where
        the disk has not so many to give."""
        ...

    def store(
        self, bucket: str, facts: ObjectFacts, sink: Sink, unless: str | None = None, only: str | None = None
    ) -> ObjectFacts:
        """Put the object in its place; its facts with the time. `unless` ``*``: `Changed` where there is one; `only`:
        `Changed` where the one that is there has another tag, or there is none."""
        ...

    def begin_upload(
        self, bucket: str, key: str, headers: Mapping[str, str], algorithm: str | None, of_whole: bool
    ) -> Upload:
        """Begin an upload in parts."""
        ...

    def uploads(self, bucket: str) -> Sequence[Upload]:
        """Uploads of a bucket that have not ended, by key and time."""
        ...

    def upload(self, bucket: str, key: str, upload_id: str) -> Upload:
        """The one."""
        ...

    def part_sink(self, bucket: str, upload: Upload, number: int, size: int) -> Sink:
        """Where the bytes of a part go first. `number` and `size`: what the part is said to have."""
        ...

    def store_part(self, bucket: str, upload: Upload, part: Part, sink: Sink) -> Part:
        """Keep a part, instead of one with that number."""
        ...

    def parts(self, bucket: str, upload: Upload) -> Sequence[Part]:
        """The parts so far, by number."""
        ...

    def complete(
        self,
        bucket: str,
        upload: Upload,
        chosen: Sequence[tuple[int, str]],
        facts: ObjectFacts,
        unless: str | None = None,
        only: str | None = None,
    ) -> ObjectFacts:
        """Make the object of the chosen parts (number and tag), in order, and end the upload; conditions as `store`."""
        ...

    def abort(self, bucket: str, upload: Upload) -> None:
        """End the upload and remove its parts."""
        ...
