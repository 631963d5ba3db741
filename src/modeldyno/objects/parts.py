"""Uploads in parts: a directory each, with what was said at its begin and a file a part.

.dyno/uploads/BUCKET/<id>/upload.json
.dyno/uploads/BUCKET/<id>/<number>-<etag>-<size>  (checksums beside it, in <number>.json)
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

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
        _write(folder / "upload.json", msgspec.json.encode(begun))
        return upload

    def folder(self, bucket: str, upload: Upload) -> Path:
        """Where its parts are."""
        return self._root / bucket / upload.id

    def upload(self, bucket: str, key: str, upload_id: str) -> Upload:
        """The one. Raises `NoSuchUpload`."""
        found = self._read(bucket, upload_id) if upload_id.isalnum() else None
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

    def keep(self, bucket: str, upload: Upload, part: Part, file: Path) -> Part:
        """Keep a part, instead of one with that number."""
        folder = self.folder(bucket, upload)
        kept = _Kept(part.number, part.size, part.etag, self._now(), dict(part.checksums), f"part-{file.name}")
        before = self._part(folder, part.number)
        try:
            file.rename(folder / kept.file)
            _write(folder / f"{part.number}.json", msgspec.json.encode(kept))
        except FileNotFoundError:
            raise NoSuchUpload(f"The upload {upload.id} has ended.") from None
        if before is not None:
            (folder / before.file).unlink(missing_ok=True)
        return _part(kept)

    def parts(self, bucket: str, upload: Upload) -> Sequence[Part]:
        """The parts so far, by number."""
        return [_part(kept) for kept in self._kept(bucket, upload)]

    def chosen(self, bucket: str, upload: Upload, chosen: Sequence[tuple[int, str]]) -> list[Path]:
        """The files of the chosen parts. Raises `UnusablePart`."""
        known = {kept.number: kept for kept in self._kept(bucket, upload)}
        files = []
        for number, etag in chosen:
            kept = known.get(number)
            if kept is None or etag.strip('"') != kept.etag:
                raise UnusablePart(f"The upload has no part {number} with the tag {etag}.")
            files.append(self.folder(bucket, upload) / kept.file)
        return files

    def end(self, bucket: str, upload: Upload) -> None:
        """Remove it."""
        shutil.rmtree(self.folder(bucket, upload), ignore_errors=True)

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
            raise NoSuchUpload(f"The upload {upload.id} has ended.") from None
        found = (self._part(folder, number) for number in sorted(numbers))
        return [kept for kept in found if kept is not None]

    def _part(self, folder: Path, number: int) -> _Kept | None:
        try:
            return msgspec.json.decode((folder / f"{number}.json").read_bytes(), type=_Kept)
        except (FileNotFoundError, msgspec.DecodeError):
            return None


def _part(kept: _Kept) -> Part:
    return Part(kept.number, kept.size, kept.etag, kept.modified_at, kept.checksums)


def _write(path: Path, data: bytes) -> None:
    """Whole, or not there; on the disk afterwards."""
    staged = path.with_name(f".{path.name}.staged")
    with staged.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    staged.replace(path)
