"""What sums bytes up: entity tags, and the checksums that requests name.

**Source:** S3 API reference, *Checking object integrity*.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Protocol

Data = bytes | bytearray | memoryview


class Hash(Protocol):
    """What sums bytes up."""

    def update(self, data: Data, /) -> None:
        """Take more in."""
        ...

    def digest(self) -> bytes:
        """The sum."""
        ...


class _Crc:
    """A cyclic redundancy check as a hash."""

    def __init__(self, function: Callable[[Data, int], int], size: int) -> None:
        self._function = function
        self._size = size
        self._value = 0

    def update(self, data: Data, /) -> None:
        """Take more in."""
        self._value = self._function(data, self._value)

    def digest(self) -> bytes:
        """Most significant byte first."""
        return self._value.to_bytes(self._size, "big")


def checksum(algorithm: str) -> Hash:
    """Of ``crc32``, ``crc32c``, ``crc64nvme``, ``sha1`` or ``sha256``. Raises KeyError for others."""
    return _CHECKSUMS[algorithm]()


def _crc32() -> Hash:
    import zlib

    return _Crc(zlib.crc32, 4)


def _crc32c() -> Hash:
    from awscrt import checksums

    return _Crc(checksums.crc32c, 4)


def _crc64nvme() -> Hash:
    from awscrt import checksums

    return _Crc(checksums.crc64nvme, 8)


_CHECKSUMS: dict[str, Callable[[], Hash]] = {
    "crc32": _crc32,
    "crc32c": _crc32c,
    "crc64nvme": _crc64nvme,
    "sha1": hashlib.sha1,
    "sha256": hashlib.sha256,
}


def tagged(sums: Mapping[str, Hash], *, part: bool) -> Hash:
    """What an entity tag is made of: MD5, as clients expect of an object; of a part they expect nothing, so one of the
    checksums that are made anyway will do."""
    if not part:
        return hashlib.md5(usedforsecurity=False)
    return next(iter(sums.values()), None) or checksum("crc64nvme")


def shown_tag(tag: Hash, size: int, *, part: bool) -> str:
    """The tag; that of a part does not look like an MD5, so nobody holds it against one."""
    return f"{tag.digest().hex()}-{size:x}" if part else tag.digest().hex()


CHECKSUM_HEADER = "x-amz-checksum-"
ALGORITHMS = frozenset(_CHECKSUMS)
