"""A model directory and sample payloads become the archives that jobs take. The same files make the same bytes."""

from __future__ import annotations

import gzip
import tarfile
from collections.abc import Iterator
from pathlib import Path

from modeldyno.domain.errors import InvalidRequest

_LEFT_OUT = frozenset({"__pycache__", ".git", ".ipynb_checkpoints", ".DS_Store"})
_ENDINGS = (".tar.gz", ".tgz")


def is_archive(path: Path) -> bool:
    """Whether a file is a tar.gz by its name."""
    return path.name.endswith(_ENDINGS)


def pack_model(source: Path, target: Path) -> Path:
    """The model as a tar.gz: a directory is packed into `target`, an archive is used as it is.

    Raises:
        InvalidRequest: neither a directory with files in it nor a tar.gz.
    """
    if source.is_dir():
        return _pack(source, target, "The model directory")
    if not is_archive(source) or not tarfile.is_tarfile(source):
        raise InvalidRequest(f"The model {source} is neither a directory nor a tar.gz.")
    return source


def pack_payload(source: Path, target: Path) -> Path:
    """The sample payloads as a tar.gz: a file alone, the files of a directory, or an archive as it is.

    Raises:
        InvalidRequest: there is no payload in it.
    """
    if source.is_dir():
        return _pack(source, target, "The payload directory")
    if is_archive(source) and tarfile.is_tarfile(source):
        return source
    if source.stat().st_size == 0:
        raise InvalidRequest(f"The payload {source} is empty.")
    return _write([(source.name, source)], target)


def members(root: Path) -> Iterator[tuple[str, Path]]:
    """Names and paths of the files under a directory, sorted; without caches and version control."""
    for path in sorted(root.rglob("*")):
        relative = path.relative_to(root)
        if path.is_file() and not _LEFT_OUT.intersection(relative.parts):
            yield relative.as_posix(), path


def _pack(root: Path, target: Path, what: str) -> Path:
    found = list(members(root))
    if not found:
        raise InvalidRequest(f"{what} {root} holds no files.")
    return _write(found, target)


def _write(files: list[tuple[str, Path]], target: Path) -> Path:
    with (
        target.open("wb") as raw,
        gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=1, mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name, path in files:
            entry = tarfile.TarInfo(name)
            entry.size = path.stat().st_size
            entry.mode = 0o644
            with path.open("rb") as content:
                archive.addfile(entry, content)
    return target
