"""Bytes on their way to be an object or a part, and what can go wrong on a disk, in words."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from modeldyno.domain.errors import ObjectError
from modeldyno.ports.buckets import OutOfRoom, UnusableName

_COPY_BYTES = 64 * 1024**2


class FileSink:
    """A file of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.kept = False
        self._file = self._opened()

    def _opened(self) -> BinaryIO:
        return self.path.open("xb", buffering=0)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append."""
        with told():
            view = memoryview(data)
            while view:
                view = view[self._file.write(view) :]

    def append(self, source: Path, start: int, size: int) -> None:
        """Append a part of a file, within the kernel."""
        with source.open("rb", buffering=0) as file:
            file.seek(start)
            while size:
                sent = os.sendfile(self._file.fileno(), file.fileno(), None, min(size, _COPY_BYTES))
                if not sent:
                    raise ObjectError("The bytes of a part have become fewer.")
                size -= sent

    def settle(self) -> os.stat_result:
        """Force what was written to the disk; the file as it is then."""
        with told():
            os.fdatasync(self._file.fileno())
            facts = os.fstat(self._file.fileno())
            self._file.close()
        return facts

    def keep(self) -> None:
        """What was written stays where it is."""
        self.kept = True

    def discard(self) -> None:
        """Leave nothing behind, unless it is kept."""
        self._file.close()
        if not self.kept:
            self._leave()

    def _leave(self) -> None:
        self.path.unlink(missing_ok=True)


class PlacedSink(FileSink):
    """A place in a file that others write to as well, with room for `size` bytes. `mark`: the file that says that the
    place is taken; None: the whole file is. What was written is not taken back."""

    def __init__(self, path: Path, offset: int, size: int, mark: Path | None = None) -> None:
        super().__init__(path)
        self._mark = mark
        self._room = size
        self._file.seek(offset)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append, never beyond the place."""
        self._room -= len(data)
        if self._room < 0:
            raise ObjectError("The part is larger than was said.")
        super().write(data)

    def _opened(self) -> BinaryIO:
        return self.path.open("r+b", buffering=0)

    def seek(self, offset: int) -> None:
        """Go on there."""
        self._file.seek(offset)

    def cut(self, size: int) -> None:
        """The file ends there."""
        self._file.truncate(size)

    def _leave(self) -> None:
        if self._mark is not None:
            self._mark.unlink(missing_ok=True)


@contextlib.contextmanager
def told(key: str | None = None) -> Iterator[None]:
    """What went wrong on the disk, in words."""
    try:
        yield
    except OSError as error:
        if isinstance(error, ObjectError):
            raise
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise OutOfRoom(f"The disk has no room: {error.strerror}.") from error
        if error.errno == errno.ENAMETOOLONG:
            raise UnusableName("A part of the key between slashes is longer than the file system allows.") from error
        if key is not None and error.errno in (errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY):
            text = (
                f"The key {key!r} cannot be kept beside the others: one of them would be both an object and a folder."
            )
            raise UnusableName(text) from error
        raise ObjectError(f"Cannot use the directory of objects: {error.strerror}.") from error
