"""Uploads in parts: a directory each, with what was said at its begin, a file a part that is kept, and their bytes.

    .dyno/uploads/BUCKET/<id>/upload.json
    .dyno/uploads/BUCKET/<id>/<number>.json   tag, size and checksums of a part, and where its bytes are
    .dyno/uploads/BUCKET/<id>/whole           bytes of parts, each where it will be in the object
    .dyno/uploads/BUCKET/<id>/part-<token>    bytes of a part that has no place there

Clients send parts of one size (the last may be smaller), so most can be written to their place at once: the object is
complete when the last is there, and nothing is copied. `stride-<size>` says which size that is (the first part's), and
`place-<number>` whose place was given to somebody: a second attempt at a part, which may come while the first is still
under way, goes to a file of its own. Where it does not work out, parts are copied together.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from modeldyno.objects.sinks import FileSink, PlacedSink
from modeldyno.ports.buckets import NoSuchUpload, Part, UnusablePart, Upload


class _Begun(msgspec.Struct):
    key: str
    begun_at: float
    headers: dict[str, str]
    algorithm: str | None
    of_whole: bool


class _Kept(msgspec.Struct):
    number: int
    size: int
    etag: str
    modified_at: float
    checksums: dict[str, str]
    file: str


_WHOLE = "whole"
_ID_LENGTH = 128  # chosen: ours are shorter
_LARGEST = 5 * 1024**4  # of an object. Source: S3 user guide, *Multipart upload limits*; files of file systems, more
_SMALLEST = 1024**2  # chosen: what is smaller is copied in no time


class PartFiles:
    """The uploads of one directory of buckets."""

    def __init__(self, root: Path, now: Callable[[], float], entropy: Callable[[int], str]) -> None:
        self._root = root
        self._now = now
        self._entropy = entropy

    def begin(self, bucket: str, key: str, headers: Mapping[str, str], algorithm: str | None, of_whole: bool) -> Upload:
        """A new one."""
        upload = Upload(self._entropy(24), key, self._now(), headers, algorithm, of_whole)
        folder = self.folder(bucket, upload)
        folder.mkdir(parents=True)
        begun = _Begun(key, upload.begun_at, dict(headers), algorithm, of_whole)
        try:
            _write(folder / "upload.json", msgspec.json.encode(begun))
        except BaseException:  # a full disk: nobody would know of it
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return upload

    def folder(self, bucket: str, upload: Upload) -> Path:
        """Where its parts are."""
        return self._root / bucket / upload.id

    def upload(self, bucket: str, key: str, upload_id: str) -> Upload:
        """The one. Raises `NoSuchUpload`."""
        known = upload_id.isascii() and upload_id.isalnum() and len(upload_id) <= _ID_LENGTH
        found = self._read(bucket, upload_id) if known else None
        if found is None or found.key != key:
            raise NoSuchUpload(f"There is no upload {upload_id} of {key}.")
        return found

    def uploads(self, bucket: str) -> Sequence[Upload]:
        """All of a bucket, by key and time."""
        try:
            names = os.listdir(self._root / bucket)
        except FileNotFoundError:
            return ()
        found = [one for one in (self._read(bucket, name) for name in names) if one is not None]
        return sorted(found, key=lambda one: (one.key.encode(), one.begun_at))

    def sink(self, bucket: str, upload: Upload, number: int, size: int) -> FileSink:
        """Where a part's bytes go: to its place in the whole, where it has one."""
        folder = self.folder(bucket, upload)
        with self._locked(folder, upload, fcntl.LOCK_SH):
            stride = _stride(folder, size)
            fits = stride is not None and size <= stride and number * stride <= _LARGEST
            if stride is not None and fits and _taken(folder / f"place-{number}"):
                return PlacedSink(folder / _WHOLE, (number - 1) * stride, size, folder / f"place-{number}")
            return FileSink(folder / f"part-{self._entropy(12)}")

    def keep(self, bucket: str, upload: Upload, part: Part, sink: FileSink) -> Part:
        """Keep a part that was written, instead of one with that number. Of two at once, either may win."""
        folder = self.folder(bucket, upload)
        kept = _Kept(part.number, part.size, part.etag, self._now(), dict(part.checksums), sink.path.name)
        with self._locked(folder, upload, fcntl.LOCK_SH):
            before = self._part(folder, part.number)
            _write(folder / f"{part.number}.json", msgspec.json.encode(kept), self._entropy(6))
            sink.keep()
        if before is not None and before.file != _WHOLE:
            (folder / before.file).unlink(missing_ok=True)
        return _part(kept)

    def parts(self, bucket: str, upload: Upload) -> Sequence[Part]:
        """The parts so far, by number."""
        return [_part(kept) for kept in self._kept(bucket, upload)]

    @contextlib.contextmanager
    def joined(self, bucket: str, upload: Upload, chosen: Sequence[tuple[int, str]]) -> Iterator[FileSink]:
        """The bytes of the chosen parts, in order; no part is taken in meanwhile. Raises `UnusablePart`."""
        folder = self.folder(bucket, upload)
        with self._locked(folder, upload, fcntl.LOCK_EX):
            known = {kept.number: kept for kept in self._kept(bucket, upload)}
            parts = [_found(known, number, etag) for number, etag in chosen]
            try:
                sink = self._in_place(folder, known, parts) or self._copied(folder, parts)
            except FileNotFoundError:  # a crash came between the object's move to its place and the end of the upload
                raise _ended(upload) from None
            try:
                yield sink
            finally:
                if isinstance(sink, PlacedSink) or sink.path.exists():
                    sink.discard()

    def _in_place(self, folder: Path, known: Mapping[int, _Kept], parts: Sequence[_Kept]) -> FileSink | None:
        """The whole, with the parts that are elsewhere copied to their places; None where the parts do not fit, or
        somebody may still write to it, or it holds what is not chosen."""
        stride = next((int(path.name.partition("-")[2]) for path in folder.glob("stride-*")), None)
        placed = {kept.number for kept in known.values() if kept.file == _WHOLE}
        taken = {int(path.name.partition("-")[2]) for path in folder.glob("place-*")}
        numbers = [kept.number for kept in parts]
        fits = numbers == list(range(1, len(parts) + 1)) and all(kept.size == stride for kept in parts[:-1])
        if stride is None or not fits or parts[-1].size > stride or not taken <= placed <= set(numbers):
            return None
        sink = PlacedSink(folder / _WHOLE, 0, 0)
        for kept in parts:
            if kept.file != _WHOLE:
                sink.seek((kept.number - 1) * stride)
                sink.append(folder / kept.file, 0, kept.size)
        sink.cut(sum(kept.size for kept in parts))
        return sink

    def _copied(self, folder: Path, parts: Sequence[_Kept]) -> FileSink:
        stride = next((int(path.name.partition("-")[2]) for path in folder.glob("stride-*")), 0)
        sink = FileSink(folder / f"joined-{self._entropy(12)}")
        try:
            for kept in parts:
                start = (kept.number - 1) * stride if kept.file == _WHOLE else 0
                sink.append(folder / kept.file, start, kept.size)
        except BaseException:
            sink.discard()
            raise
        return sink

    @contextlib.contextmanager
    def _locked(self, folder: Path, upload: Upload, kind: int) -> Iterator[None]:
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            raise _ended(upload) from None
        try:
            fcntl.flock(descriptor, kind)
            if not folder.is_dir():
                raise _ended(upload)
            yield
        finally:
            os.close(descriptor)

    def end(self, bucket: str, upload: Upload) -> None:
        """Remove it."""
        shutil.rmtree(self.folder(bucket, upload), ignore_errors=True)

    def end_all(self, bucket: str) -> None:
        """Remove all of a bucket."""
        shutil.rmtree(self._root / bucket, ignore_errors=True)

    def tidy(self, oldest: float) -> None:
        """Remove uploads to which nothing has come since then (seconds since the Unix epoch)."""
        for folder in self._root.glob("*/*"):
            with contextlib.suppress(FileNotFoundError):
                if max(path.stat().st_mtime for path in (folder, *folder.iterdir())) < oldest:
                    shutil.rmtree(folder, ignore_errors=True)

    def _read(self, bucket: str, upload_id: str) -> Upload | None:
        try:
            raw = (self._root / bucket / upload_id / "upload.json").read_bytes()
            begun = msgspec.json.decode(raw, type=_Begun)
        except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError):
            return None
        return Upload(upload_id, begun.key, begun.begun_at, begun.headers, begun.algorithm, begun.of_whole)

    def _kept(self, bucket: str, upload: Upload) -> list[_Kept]:
        folder = self.folder(bucket, upload)
        try:
            numbers = [int(name.removesuffix(".json")) for name in os.listdir(folder) if name[0].isdigit()]
        except FileNotFoundError:
            raise _ended(upload) from None
        found = (self._part(folder, number) for number in sorted(numbers))
        return [kept for kept in found if kept is not None]

    def _part(self, folder: Path, number: int) -> _Kept | None:
        try:
            return msgspec.json.decode((folder / f"{number}.json").read_bytes(), type=_Kept)
        except (FileNotFoundError, msgspec.DecodeError):
            return None


def _ended(upload: Upload) -> NoSuchUpload:
    return NoSuchUpload(f"The upload {upload.id} has ended.")


def _found(known: Mapping[int, _Kept], number: int, etag: str) -> _Kept:
    kept = known.get(number)
    if kept is None or etag.strip('"') != kept.etag:
        raise UnusablePart(f"The upload has no part {number} with the tag {etag}.")
    return kept


def _stride(folder: Path, size: int) -> int | None:
    """The size of the parts that have places; the first part of some size decides it."""
    found = next(folder.glob("stride-*"), None)
    if found is None:
        if size < _SMALLEST or not _taken(folder / _WHOLE):
            return None
        (folder / f"stride-{size}").touch()
        return size
    return int(found.name.partition("-")[2])


def _taken(path: Path) -> bool:
    """Whether it was made by us and nobody else."""
    try:
        path.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def _part(kept: _Kept) -> Part:
    return Part(kept.number, kept.size, kept.etag, kept.modified_at, kept.checksums)


def _write(path: Path, data: bytes, token: str = "") -> None:
    """Whole, or not there; on the disk afterwards. `token`: where others may write the same at once, another."""
    staged = path.with_name(f".{path.name}.{token}staged")
    with staged.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    staged.replace(path)
