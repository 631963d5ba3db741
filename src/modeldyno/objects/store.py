"""The object store: one class over obstore, for a directory and for S3."""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, S3Store

from modeldyno.domain.errors import InputFault, ObjectError
from modeldyno.objects.archives import UnusableArchive, unpack_archive
from modeldyno.objects.urls import locate
from modeldyno.ports import ArchiveFacts, ArchiveLimits

_CHUNK_BYTES = 1024 * 1024
# A person waits for the answer: an endpoint that is not there is told within seconds, a hiccup is bridged.
_RETRY_SECONDS = 20
_CONNECT_SECONDS = 5
_SILENCE_SECONDS = 30
# A request, body and all: the largest archive over a slow line.
_REQUEST_SECONDS = 3600


class _NoBucket(FileNotFoundError):
    """There is no such bucket."""


class Buckets(Protocol):
    """Where each bucket's objects are."""

    def open(self, bucket: str, *, make: bool) -> ObjectStore:
        """The bucket; `make` it when it is not there, where that is possible.

        Raises:
            FileNotFoundError: there is no such bucket.
        """
        ...


class Objects:
    """`ports.ObjectStore` over obstore. Safe to use from several threads."""

    def __init__(self, buckets: Buckets) -> None:
        self._buckets = buckets

    def put(self, url: str, source: Path | bytes) -> None:
        """Store a file or bytes under the URL; readers see the old object or the new one, whole."""
        where = locate(url)
        if isinstance(source, Path) and not source.is_file():
            raise ObjectError(f"Cannot store {url}: there is no file {source}.")
        with _told(url, "store"):
            obstore.put(self._buckets.open(where.bucket, make=True), where.key, source)

    def fetch(self, url: str, target: Path) -> int:
        """Copy the object to a local file, chunk by chunk; returns its size in bytes. The file is complete or not
        there."""
        with _told(url, "fetch"), tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as staging:
            partial = Path(staging) / "object"
            size, _ = self._copy(url, partial)
            partial.replace(target)
            return size

    def read(self, url: str, limit_bytes: int) -> bytes:
        """The whole object; refuses one over `limit_bytes`."""
        where = locate(url)
        with _told(url, "read"):
            answer = obstore.get(self._buckets.open(where.bucket, make=False), where.key)
            if answer.meta["size"] > limit_bytes:
                size = answer.meta["size"]
                raise ObjectError(f"Cannot read {url}: it has {size} bytes, {limit_bytes} are allowed.")
            return bytes(answer.bytes())

    def exists(self, url: str) -> bool:
        """Whether the object is there."""
        where = locate(url)
        with _told(url, "look for"):
            try:
                obstore.head(self._buckets.open(where.bucket, make=False), where.key)
                return True
            except (BaseError, OSError) as error:
                if _is_absence(error):
                    return False
                raise

    def unpack(self, url: str, target: Path, limits: ArchiveLimits) -> ArchiveFacts:
        """Fetch a tar.gz and unpack it into `target` (made, must be empty); complete or not there at all. While it
        lasts (and after a crash) ``.NAME-*`` stands beside the target.

        Raises:
            InputFault: not gzip, not a tar, refused content; names the member and the rule.
            ObjectError: the object is missing or cannot be read, or the disk is full.
        """
        locate(url)
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise ObjectError(f"Cannot unpack {url}: {target} is there already.")
        with _told(url, "unpack"):
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as staging:
                archive, content = Path(staging) / "archive", Path(staging) / "content"
                _, digest = self._copy(url, archive)
                try:
                    facts = unpack_archive(archive, content, limits)
                except UnusableArchive as refusal:
                    raise InputFault(f"The archive {url} cannot be used: {refusal}.") from refusal
                content.rename(target)  # over an empty directory, too
                return replace(facts, sha256=digest)

    def _copy(self, url: str, target: Path) -> tuple[int, str]:
        """Bytes and sha256 of what was copied."""
        where = locate(url)
        digest = hashlib.sha256()
        size = 0
        with _told(url, "read"), target.open("wb") as file:
            answer = obstore.get(self._buckets.open(where.bucket, make=False), where.key)
            for chunk in answer.stream(min_chunk_size=_CHUNK_BYTES):
                digest.update(chunk)
                size += file.write(chunk)
            if size != answer.meta["size"]:
                raise ObjectError(f"Cannot read {url}: it ended after {size} of {answer.meta['size']} bytes.")
        return size, digest.hexdigest()


def directory_objects(root: Path) -> Objects:
    """Objects in a directory: ``s3://bucket/key`` is the file ``ROOT/bucket/key``, and a user may place files there."""
    return Objects(_Folders(root))


def s3_objects(
    *,
    endpoint_url: str | None = None,
    region: str | None = None,
    access_key_id: str | None = None,
    secret_access_key: str | None = None,
    allow_http: bool = False,
) -> Objects:
    """Objects in S3, or in a store that is compatible with it at `endpoint_url`. What is not given comes from the usual
    AWS_* environment variables or the machine's role."""
    settings = {
        "endpoint": endpoint_url,
        "region": region,
        "access_key_id": access_key_id,
        "secret_access_key": secret_access_key,
    }
    return Objects(_S3({name: value for name, value in settings.items() if value is not None}, allow_http))


class _Folders:
    def __init__(self, root: Path) -> None:
        self._root = root

    def open(self, bucket: str, *, make: bool) -> ObjectStore:
        folder = self._root / bucket
        if not make and not folder.is_dir():
            raise _NoBucket(f"there is no bucket {bucket}")
        return LocalStore(folder, mkdir=make)


class _S3:
    def __init__(self, settings: dict[str, str], allow_http: bool) -> None:
        self._settings = settings
        self._allow_http = allow_http
        self._open: dict[str, S3Store] = {}
        self._lock = threading.Lock()

    def open(self, bucket: str, *, make: bool) -> ObjectStore:
        with self._lock:
            if bucket not in self._open:
                self._open[bucket] = S3Store(
                    bucket,
                    config=self._settings,  # type: ignore[arg-type]
                    client_options={
                        "allow_http": self._allow_http,
                        "connect_timeout": timedelta(seconds=_CONNECT_SECONDS),
                        "read_timeout": timedelta(seconds=_SILENCE_SECONDS),
                        "timeout": timedelta(seconds=_REQUEST_SECONDS),
                    },
                    retry_config={"max_retries": 5, "retry_timeout": timedelta(seconds=_RETRY_SECONDS)},
                )
            return self._open[bucket]


@contextlib.contextmanager
def _told(url: str, verb: str) -> Iterator[None]:
    """Tell whatever goes wrong with the URL and a reason, on one line."""
    try:
        yield
    except (BaseError, OSError, ValueError) as error:
        raise ObjectError(f"Cannot {verb} {url}: {_reason(error)}.") from error


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:  # of a file here
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    if _is_absence(error):
        return str(error) if isinstance(error, _NoBucket) else "there is no such object"
    text = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return text[:500].rstrip(".")


def _is_absence(error: Exception) -> bool:
    """Whether it says that there is no such object; a file where the key has a folder is one way to say so."""
    return isinstance(error, FileNotFoundError) or (isinstance(error, BaseError) and "NotADirectory" in str(error))
