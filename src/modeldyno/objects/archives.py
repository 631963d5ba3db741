"""Unpacking a tar.gz that nobody trusts.

1. Every member is judged by its header before a byte of it is written: path, kind, size, and the sums so far.
2. Files and directories are written with modes of our own; hard links only to files already written.
3. Symbolic links are made last, so nothing is ever written through one, and then each must resolve inside.
4. The archive must end as an archive does: a damaged or cut one is refused, not half taken.
"""

from __future__ import annotations

import errno
import gzip
import os
import shutil
import tarfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, cast

from modeldyno.ports import ArchiveFacts, ArchiveLimits

_CHUNK_BYTES = 1024 * 1024
# tarfile reads extended headers (PAX, GNU long names) whole; a real one holds paths and times.
_HEADER_BYTES = 1024 * 1024 + tarfile.BLOCKSIZE
# Chosen: no real model is nearly as deep, and what walks a tree (Python's own removal, too) gives up at some hundreds.
_DEEPEST = 100
# Left free on the disk, for logs and the database; of a small one, a tenth of what is free.
_SPARE_BYTES = 64 * 1024**2

_LOOKS_LIKE = (
    (b"PK\x03\x04", "a zip archive"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstandard"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"<", "HTML or XML"),
    (b"{", "JSON"),
    (b"\x80", "a pickle"),
)


class UnusableArchive(Exception):
    """Why an archive is refused: the end of a sentence, without a full stop."""


def unpack_archive(archive: Path, target: Path, limits: ArchiveLimits) -> ArchiveFacts:
    """Unpack a tar.gz into `target`, which must not exist; on an error it is left half full. `sha256` is left empty.

    Raises:
        UnusableArchive: not gzip, not a tar, or with content that is refused.
        OSError: the disk does not do it.
    """
    _check_gzip(archive)
    target.mkdir()
    target.chmod(0o755)
    free = shutil.disk_usage(target).free
    writer = _Writer(target, limits, free - min(_SPARE_BYTES, free // 10))
    with gzip.open(archive) as stream:
        try:
            _write_members(_Metered(stream), writer)
        except EOFError as error:
            raise UnusableArchive("it is cut off: the end is missing") from error
        except (tarfile.TarError, zlib.error, gzip.BadGzipFile, RecursionError, LookupError, ValueError) as error:
            raise UnusableArchive(f"it is damaged or not a tar archive ({error})") from error
        except OSError as error:
            if error.errno in (errno.ENAMETOOLONG, errno.EINVAL, errno.ELOOP):
                raise UnusableArchive(f"a member cannot be written: {error.strerror}") from error
            raise
    writer.make_links()
    if not writer.files:
        raise UnusableArchive("it is empty: no file is in it")
    return ArchiveFacts(files=writer.files, total_bytes=writer.written_bytes, sha256="")


def _check_gzip(archive: Path) -> None:
    with archive.open("rb") as file:
        head = file.read(512)
    if not head:
        raise UnusableArchive("it is an empty file, not a tar.gz")
    if head.startswith(b"\x1f\x8b"):
        return
    if head[257:262] == b"ustar":
        raise UnusableArchive("it is not gzip: it looks like a plain tar; compress it with gzip")
    for start, name in _LOOKS_LIKE:
        if head.startswith(start):
            raise UnusableArchive(f"it is not gzip: it looks like {name}")
    raise UnusableArchive("it is not gzip")


def _write_members(stream: _Metered, writer: _Writer) -> None:
    with tarfile.TarFile(fileobj=cast(IO[bytes], stream)) as tar:
        for member in tar:
            writer.take(tar, member)
    # tarfile takes a broken header in the middle for the end; a real end is zeros, or nothing at all.
    if stream.last.strip(b"\0"):
        raise UnusableArchive("it is damaged: a member's header cannot be read")
    stream.read(_CHUNK_BYTES)  # the padding; behind it gzip checks its sum


class _Metered:
    """A stream of which no more is read at once than the largest header may have."""

    def __init__(self, stream: gzip.GzipFile) -> None:
        self._stream = stream
        self.name = ""
        self.last = b""
        self.tell = stream.tell
        self.seek = stream.seek

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _HEADER_BYTES:
            raise UnusableArchive("it has an absurdly long header")
        self.last = self._stream.read(size)
        return self.last


@dataclass(slots=True)
class _Writer:
    """Writes members below `root`, and keeps the sums."""

    root: Path
    limits: ArchiveLimits
    room_bytes: int
    members: int = 0
    files: int = 0
    declared_bytes: int = 0
    written_bytes: int = 0
    links: dict[PurePosixPath, str] = field(default_factory=dict)

    def take(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        """Judge a member and write it."""
        self._count(member)
        path = _inside(member.name, member.name)
        if path is None or _is_mac_litter(path):
            return
        if member.isdir():
            self._make_folder(path, member.name)
        elif member.isreg():
            self._write_file(tar, member, path)
        elif member.issym():
            self.links[path] = member.linkname
        elif member.islnk():
            self._link_file(member, path)
        else:
            raise UnusableArchive(
                f"its member {member.name!r} is {_kind(member)}; only files, folders and links may be"
            )

    def make_links(self) -> None:
        """Make the symbolic links, then see that each stays inside."""
        inside = os.path.realpath(self.root)
        for path, destination in self.links.items():
            if destination.startswith("/"):
                raise UnusableArchive(f"its member {str(path)!r} is a link to the absolute path {destination!r}")
            place = self._free_place(path, str(path))
            place.symlink_to(destination)
        for path, destination in self.links.items():
            real = os.path.realpath(self.root / path)
            if real != inside and not real.startswith(inside + os.sep):
                raise UnusableArchive(f"its member {str(path)!r} is a link to {destination!r}, outside of the archive")

    def _count(self, member: tarfile.TarInfo) -> None:
        self.members += 1
        if self.members > self.limits.members:
            raise UnusableArchive(f"it has more than {self.limits.members} members")
        if member.size < 0:
            raise UnusableArchive(f"its member {member.name!r} has a negative size")
        self.declared_bytes += member.size
        if self.declared_bytes > self.limits.total_bytes:
            raise UnusableArchive(
                f"unpacked it has more than {self.limits.total_bytes} bytes (at its member {member.name!r})"
            )
        if self.declared_bytes > self.room_bytes:
            raise UnusableArchive(f"unpacked it needs more than the {self.room_bytes} bytes that the disk has to spare")

    def _make_folder(self, path: PurePosixPath, name: str) -> None:
        place = self.root
        for part in path.parts:
            place = place / part
            try:
                place.mkdir()
                place.chmod(0o755)
            except FileExistsError:
                if place.is_symlink() or not place.is_dir():
                    raise UnusableArchive(f"its member {name!r} lies in a file or link") from None

    def _free_place(self, path: PurePosixPath, name: str) -> Path:
        """Where a member goes, with the folders above it; an earlier file of that name gives way, as in tar."""
        self._make_folder(path.parent, name)
        place = self.root / path
        if place.is_dir() and not place.is_symlink():
            raise UnusableArchive(f"its member {name!r} is a folder, too")
        place.unlink(missing_ok=True)
        return place

    def _write_file(self, tar: tarfile.TarFile, member: tarfile.TarInfo, path: PurePosixPath) -> None:
        place = self._free_place(path, member.name)
        self.links.pop(path, None)
        content = tar.extractfile(member)
        assert content is not None  # it is a regular file
        left = member.size
        with place.open("xb") as file:
            os.fchmod(file.fileno(), 0o755 if member.mode & 0o111 else 0o644)
            while left > 0:
                chunk = content.read(min(left, _CHUNK_BYTES))
                if not chunk:
                    raise EOFError
                file.write(chunk)
                left -= len(chunk)
        self.files += 1
        self.written_bytes += member.size

    def _link_file(self, member: tarfile.TarInfo, path: PurePosixPath) -> None:
        source = _inside(member.linkname, member.name)
        if source is None or source == path or not (self.root / source).is_file():
            raise UnusableArchive(f"its member {member.name!r} is a link to {member.linkname!r}, no file before it")
        place = self._free_place(path, member.name)
        self.links.pop(path, None)
        place.hardlink_to(self.root / source)
        self.files += 1


def _inside(name: str, member: str) -> PurePosixPath | None:
    """A member's path below the root; None for the root itself.

    Raises:
        UnusableArchive: it leads out.
    """
    path = PurePosixPath(name)
    if path.is_absolute():
        raise UnusableArchive(f"its member {member!r} has the absolute path {name!r}")
    if ".." in path.parts:
        raise UnusableArchive(f"its member {member!r} leads out of the archive by '..' in {name!r}")
    if len(path.parts) > _DEEPEST:
        raise UnusableArchive(f"its member {member[:80]!r} lies more than {_DEEPEST} folders deep")
    if "\0" in name:
        raise UnusableArchive(f"its member {member!r} has a NUL character in its name")
    return path if path.parts else None


def _is_mac_litter(path: PurePosixPath) -> bool:
    """What macOS's tar adds: AppleDouble files and Finder's records."""
    return path.name.startswith("._") or path.name == ".DS_Store" or path.parts[0] == "__MACOSX"


def _kind(member: tarfile.TarInfo) -> str:
    if member.isfifo():
        return "a named pipe"
    return "a device" if member.isdev() else f"of the unknown kind {member.type!r}"
