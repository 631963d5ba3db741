"""S3's buckets and objects in a directory: ``s3://bucket/key`` is the file ``ROOT/bucket/key``.

1. Bytes go to a file under ``ROOT/.dyno/incoming`` first, are forced to the disk, and move to their place.
2. What is known beside the bytes is kept under ``ROOT/.dyno/facts`` (`facts`); parts under ``ROOT/.dyno/uploads``.
3. A user may place, replace and remove files below ``ROOT/bucket`` at any moment.

A file system cannot hold both ``a`` and ``a/b``, nor names of over 255 bytes: such a key is refused with the reason.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from modeldyno.domain.errors import ObjectError
from modeldyno.objects.facts import FactFiles
from modeldyno.objects.listing import listed
from modeldyno.objects.parts import PartFiles
from modeldyno.objects.sinks import FileSink, told
from modeldyno.objects.urls import locate
from modeldyno.ports.buckets import (
    BucketNotEmpty,
    Changed,
    Listing,
    NoSuchBucket,
    NoSuchObject,
    ObjectFacts,
    OutOfRoom,
    Part,
    Sink,
    UnusableName,
    Upload,
)

OWN = ".dyno"
"""What is beside the buckets and is none: no bucket's name begins with a dot."""
# Errors that mean that there is no object of that name, or none can be.
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP)
_STALE_SECONDS = 86_400.0  # chosen: no request takes a day
_FORGOTTEN_SECONDS = 30 * 86_400.0  # chosen: an upload in parts to which nothing has come for so long is given up
_SPARE_BYTES = 256 * 1024**2  # chosen: on a full disk the service itself could not go on


class Folders:
    """`ports.buckets.BucketStore` over a directory. Safe to use from many threads and processes."""

    def __init__(
        self, root: Path, *, now: Callable[[], float] = time.time, entropy: Callable[[int], str] = secrets.token_hex
    ) -> None:
        self._root = root
        self._incoming = root / OWN / "incoming"
        self._facts = FactFiles(root / OWN / "facts")
        self._parts = PartFiles(root / OWN / "uploads", now, entropy)
        self._entropy = entropy
        self._now = now

    # --- buckets ---

    def buckets(self) -> Sequence[tuple[str, float]]:
        """Names and times of creation, by name."""
        with told(), os.scandir(self._root) as entries:
            found = [
                (one.name, one.stat().st_ctime) for one in entries if one.is_dir() and not one.name.startswith(".")
            ]
        return sorted(found)

    def make_bucket(self, bucket: str) -> bool:
        """Make it; whether it was not there."""
        folder = self._folder(bucket)
        with told():
            try:
                folder.mkdir(parents=True)
            except FileExistsError:
                return False
            _sync(folder.parent)
        return True

    def has_bucket(self, bucket: str) -> bool:
        """Whether it is there."""
        try:
            return self._folder(bucket).is_dir()
        except UnusableName:
            return False

    def remove_bucket(self, bucket: str) -> None:
        """Remove an empty bucket, and what came for uploads that have not ended."""
        folder = self._bucket(bucket)
        if listed(folder, "", "", "", 1, self._seen(bucket)).objects:
            raise BucketNotEmpty(f"The bucket {bucket} holds objects.")
        with told():
            for place, _, _ in os.walk(folder, topdown=False):
                try:
                    os.rmdir(place)
                except OSError as error:
                    raise BucketNotEmpty(f"The bucket {bucket} holds something: {error.strerror}.") from error
        self._parts.end_all(bucket)

    # --- objects ---

    def facts(self, bucket: str, key: str) -> ObjectFacts:
        """What is known of an object."""
        facts, file = self.open(bucket, key)
        file.close()
        return facts

    def open(self, bucket: str, key: str) -> tuple[ObjectFacts, BinaryIO]:
        """An object's facts and bytes, which stay what they are while they are read."""
        path = self._path(bucket, key)
        try:
            file = path.open("rb", buffering=0)
        except OSError as error:
            if error.errno in _ABSENT:
                raise NoSuchObject(f"There is no object {key} in the bucket {bucket}.") from None
            raise ObjectError(f"Cannot read {key} in the bucket {bucket}: {error.strerror}.") from error
        return self._facts.read(bucket, key, os.fstat(file.fileno())), file

    def list(self, bucket: str, prefix: str, delimiter: str, after: str, limit: int) -> Listing:
        """Objects in byte order of their keys."""
        with told():
            return listed(self._bucket(bucket), prefix, delimiter, after, limit, self._seen(bucket))

    def remove(self, bucket: str, key: str) -> None:
        """Remove an object, and the directories that it leaves empty."""
        folder = self._bucket(bucket)
        path = self._path(bucket, key)
        with told(), self._facts.locked(bucket, key):
            try:
                path.unlink()
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                return
            _sync(path.parent)
            self._facts.keep_only(bucket, key, None)
            for parent in path.parents:
                if parent == folder:
                    return
                try:
                    parent.rmdir()
                except OSError:
                    return  # others are in it

    def sink(self, bucket: str, size: int) -> FileSink:
        """Where the bytes of an object of that bucket go first."""
        self._bucket(bucket)
        self._check_room(size)
        return self._sink(self._incoming)

    def store(
        self, bucket: str, facts: ObjectFacts, sink: Sink, unless: str | None = None, only: str | None = None
    ) -> ObjectFacts:
        """Put the object in its place; its facts with the time."""
        assert isinstance(sink, FileSink)
        return self._place(bucket, facts, sink, unless, only)

    def _place(
        self, bucket: str, facts: ObjectFacts, sink: FileSink, unless: str | None = None, only: str | None = None
    ) -> ObjectFacts:
        path = self._path(bucket, facts.key)
        file = sink.settle()
        with told(facts.key), self._facts.locked(bucket, facts.key):
            self._check(bucket, facts.key, unless, only)
            self._facts.write(bucket, facts, file)
            try:
                self._moved(bucket, sink, path, replace=unless is None)
            except BaseException:
                self._facts.remove(bucket, facts.key, file)
                raise
            _sync(path.parent)
            self._facts.keep_only(bucket, facts.key, file)
        return self._facts.read(bucket, facts.key, file)

    def _moved(self, bucket: str, sink: FileSink, path: Path, *, replace: bool) -> None:
        for left in range(9, -1, -1):  # a directory that another has just found empty is made again
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                _move(sink.path, path, replace=replace)
                return
            except FileExistsError:  # it has just gone; or it is an object
                if not left:
                    raise
            except FileNotFoundError:
                self._bucket(bucket)
        raise ObjectError(f"Cannot store {path.name}: its directory is removed again and again.")

    def _check(self, bucket: str, key: str, unless: str | None, only: str | None) -> None:
        if unless is None and only is None:
            return
        try:
            there = self.facts(bucket, key)
        except NoSuchObject:
            if only is not None:
                raise
            return
        if unless is not None or (only is not None and only.strip('"') not in ("*", there.etag)):
            raise Changed(f"The object {key} is another than the condition says.")

    # --- uploads in parts ---

    def begin_upload(
        self, bucket: str, key: str, headers: Mapping[str, str], algorithm: str | None, of_whole: bool
    ) -> Upload:
        """Begin an upload in parts."""
        self._bucket(bucket)
        self._path(bucket, key)
        with told():
            return self._parts.begin(bucket, key, headers, algorithm, of_whole)

    def uploads(self, bucket: str) -> Sequence[Upload]:
        """Uploads of a bucket that have not ended, by key and time."""
        self._bucket(bucket)
        return self._parts.uploads(bucket)

    def upload(self, bucket: str, key: str, upload_id: str) -> Upload:
        """The one."""
        self._bucket(bucket)
        return self._parts.upload(bucket, key, upload_id)

    def part_sink(self, bucket: str, upload: Upload, number: int, size: int) -> FileSink:
        """Where the bytes of a part go first."""
        self._check_room(size)
        with told():
            return self._parts.sink(bucket, upload, number, size)

    def store_part(self, bucket: str, upload: Upload, part: Part, sink: Sink) -> Part:
        """Keep a part, instead of one with that number."""
        assert isinstance(sink, FileSink)
        sink.settle()
        with told():
            return self._parts.keep(bucket, upload, part, sink)

    def parts(self, bucket: str, upload: Upload) -> Sequence[Part]:
        """The parts so far, by number."""
        return self._parts.parts(bucket, upload)

    def complete(
        self,
        bucket: str,
        upload: Upload,
        chosen: Sequence[tuple[int, str]],
        facts: ObjectFacts,
        unless: str | None = None,
        only: str | None = None,
    ) -> ObjectFacts:
        """Make the object of the chosen parts, in order, and end the upload."""
        with told(facts.key), self._parts.joined(bucket, upload, chosen) as sink:
            stored = self._place(bucket, facts, sink, unless, only)
            self._parts.end(bucket, upload)
        return stored

    def abort(self, bucket: str, upload: Upload) -> None:
        """End the upload and remove its parts."""
        with told():
            self._parts.end(bucket, upload)

    # --- life ---

    def tidy(self) -> None:
        """Remove what requests that a crash ended have left. Others may be at work meanwhile."""
        oldest = self._now() - _STALE_SECONDS
        with contextlib.suppress(FileNotFoundError), os.scandir(self._incoming) as entries:
            for entry in entries:
                if entry.stat().st_mtime < oldest:
                    Path(entry.path).unlink(missing_ok=True)
        self._parts.tidy(self._now() - _FORGOTTEN_SECONDS)

    def _check_room(self, size: int) -> None:
        free = shutil.disk_usage(self._root).free
        if free - size < _SPARE_BYTES:
            text = f"{size} bytes do not fit: {free} are free, and {_SPARE_BYTES} are kept for Dyno's own records."
            raise OutOfRoom(f"The disk has no room. {text}")

    def _sink(self, folder: Path) -> FileSink:
        with told():
            folder.mkdir(parents=True, exist_ok=True)
            return FileSink(folder / f"incoming-{self._entropy(12)}")

    def _seen(self, bucket: str) -> Callable[[str, os.stat_result], ObjectFacts]:
        return lambda key, file: self._facts.read(bucket, key, file)

    def _folder(self, bucket: str) -> Path:
        try:
            found = locate(f"s3://{bucket}/k").bucket
        except ObjectError:
            found = None
        if found != bucket:
            raise UnusableName(f"{bucket!r} is not a bucket's name.")
        return self._root / bucket

    def _bucket(self, bucket: str) -> Path:
        folder = self._folder(bucket)
        if not folder.is_dir():
            raise NoSuchBucket(f"There is no bucket {bucket}.")
        return folder

    def _path(self, bucket: str, key: str) -> Path:
        folder = self._bucket(bucket)
        try:
            return folder / locate(f"s3://{bucket}/{key}").key
        except ObjectError as error:
            raise UnusableName(f"The key {key!r} cannot be kept: {str(error).rpartition(': ')[2]}") from None


def _move(source: Path, target: Path, *, replace: bool) -> None:
    if replace:
        source.replace(target)
        return
    try:
        os.link(source, target)  # fails where there is one, also when that came just now
    except FileExistsError:
        raise Changed("There is an object of that key already.") from None
    source.unlink()


def _sync(folder: Path) -> None:
    """Force what a directory holds to the disk; one that another has removed meanwhile holds nothing."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
