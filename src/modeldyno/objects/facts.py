"""What is known of an object beside its bytes: a small file elsewhere, named by the object's size and time.

An object is a plain file that its user may replace at any moment. Facts are kept under the key's digest and the very
size and time (in nanoseconds) of the file that they are about, so those of another content are never taken for it:

    .dyno/facts/BUCKET/<digest of the key>/<time>-<size>

They are written before the object moves to its place, and older ones are removed after: a crash between leaves the
old object with its facts, or the new one with its own. Whoever changes an object and its facts holds a lock meanwhile,
which keys whose digests begin alike share; readers need none.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from modeldyno.ports.buckets import ObjectFacts


class _Kept(msgspec.Struct, omit_defaults=True):
    """What a file of facts holds."""

    etag: str
    headers: dict[str, str] = {}
    checksums: dict[str, str] = {}
    parts: int | None = None


class FactFiles:
    """The facts of one directory of buckets."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @contextlib.contextmanager
    def locked(self, bucket: str, key: str) -> Iterator[None]:
        """Nobody else changes the object meanwhile, in this process or another. Blocks."""
        folder = self._folder(bucket, key).parent
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def read(self, bucket: str, key: str, file: os.stat_result) -> ObjectFacts:
        """What is known of the object that is this file; of one that a user placed, what the file itself tells."""
        try:
            kept = msgspec.json.decode((self._folder(bucket, key) / _name(file)).read_bytes(), type=_Kept)
        except (FileNotFoundError, msgspec.DecodeError):
            kept = _Kept(f"{file.st_mtime_ns:x}-{file.st_size:x}")
        return ObjectFacts(key, file.st_size, file.st_mtime, kept.etag, kept.headers, kept.checksums, kept.parts)

    def write(self, bucket: str, facts: ObjectFacts, file: os.stat_result) -> None:
        """Keep the facts of what will be the object; they are on the disk afterwards."""
        folder = self._folder(bucket, facts.key)
        folder.mkdir(parents=True, exist_ok=True)
        kept = _Kept(facts.etag, dict(facts.headers), dict(facts.checksums), facts.parts)
        with (folder / _name(file)).open("wb") as target:
            target.write(msgspec.json.encode(kept))
            target.flush()
            os.fsync(target.fileno())

    def keep_only(self, bucket: str, key: str, file: os.stat_result | None) -> None:
        """Remove the facts of what the object was before; None: it is gone."""
        folder = self._folder(bucket, key)
        kept = None if file is None else _name(file)
        try:
            for other in folder.iterdir():
                if other.name != kept:
                    other.unlink(missing_ok=True)
            if kept is None:
                folder.rmdir()
        except OSError:
            return  # not there, or in use by another: nothing wrong is read from it

    def remove(self, bucket: str, key: str, file: os.stat_result) -> None:
        """Forget what was written of a file that has not become the object."""
        with contextlib.suppress(OSError):
            (self._folder(bucket, key) / _name(file)).unlink(missing_ok=True)
            self._folder(bucket, key).rmdir()  # unless something else is known of the object

    def _folder(self, bucket: str, key: str) -> Path:
        digest = hashlib.sha256(key.encode()).hexdigest()
        return self._root / bucket / digest[:2] / digest


def _name(file: os.stat_result) -> str:
    return f"{file.st_mtime_ns}-{file.st_size}"
