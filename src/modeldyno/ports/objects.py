"""Where bytes are kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """What an archive may hold at most, unpacked."""

    total_bytes: int = 20 * 1024**3
    members: int = 100_000


@dataclass(frozen=True, slots=True)
class ArchiveFacts:
    """What was unpacked: regular files and their bytes, and the sha256 of the archive as it was fetched."""

    files: int
    total_bytes: int
    sha256: str


class ObjectStore(Protocol):
    """Bytes at ``s3://bucket/key``.

    `put` is atomic (a reader sees the old object or the new one, whole) and idempotent. Unknown objects, bad URLs and
    unreachable stores raise `ObjectError` with the URL and the reason.
    """

    def put(self, url: str, source: Path | bytes) -> None:
        """Store a file or bytes under the URL."""
        ...

    def fetch(self, url: str, target: Path) -> int:
        """Copy the object to a local file (streamed); returns its size in bytes."""
        ...

    def read(self, url: str, limit_bytes: int) -> bytes:
        """The whole object; refuses one over `limit_bytes`."""
        ...

    def exists(self, url: str) -> bool:
        """Whether the object is there."""
        ...

    def unpack(self, url: str, target: Path, limits: ArchiveLimits) -> ArchiveFacts:
        """Fetch a tar.gz and unpack it into `target` (made, must be empty), as plain files and directories only.

        `target` is complete or not there at all afterwards. Links are kept when they stay inside. Traversal,
        links out, device files and sizes over the limits are refused.

        Raises:
            InputFault: not gzip, not a tar, refused content; names the member and the rule.
            ObjectError: the object is missing or cannot be read.
        """
        ...
