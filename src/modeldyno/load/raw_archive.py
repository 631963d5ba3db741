"""Per-request records for people: the chunks of all generators in one ``.npz`` file, read by `numpy.load`."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from modeldyno.load.raw import COLUMNS, HEADER


@dataclass(frozen=True, slots=True)
class RawTotal:
    """How many records there are, and whether others were left out because of the limit."""

    records: int
    cut: bool


@dataclass(frozen=True, slots=True)
class _Chunk:
    path: Path
    begins_at: int
    records: int
    cut: bool

    def place(self, column: str) -> tuple[int, int]:
        """Where a column's values begin in the file, and how many bytes they are."""
        before = 0
        for name, code in COLUMNS.items():
            length = struct.calcsize(code) * self.records
            if name == column:
                return self.begins_at + before, length
            before += length
        raise KeyError(column)


def write_archive(parts: Sequence[Path], path: Path) -> RawTotal:
    """One array for each of `raw.COLUMNS`, in the order of the parts. Memory does not grow with the records.

    Raises:
        OSError: a file cannot be read or written.
    """
    chunks = [chunk for part in parts for chunk in _chunks(part)]
    total = RawTotal(sum(chunk.records for chunk in chunks), any(chunk.cut for chunk in chunks))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for column, code in COLUMNS.items():
            header = {"descr": np.dtype(code).str, "fortran_order": False, "shape": (total.records,)}
            with archive.open(f"{column}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array_header_1_0(member, header)
                for chunk in chunks:
                    _copy(chunk, column, member)
    return total


def _chunks(path: Path) -> Iterator[_Chunk]:
    """The whole chunks of a file: of one that was cut while it was written, those before."""
    size = path.stat().st_size
    width = sum(struct.calcsize(code) for code in COLUMNS.values())
    with path.open("rb") as file:
        at = 0
        while at + HEADER.size <= size:
            file.seek(at)
            records, cut = HEADER.unpack(file.read(HEADER.size))
            at += HEADER.size
            if at + records * width > size:
                return
            yield _Chunk(path, at, records, bool(cut))
            at += records * width


def _copy(chunk: _Chunk, column: str, member: IO[bytes]) -> None:
    begins_at, left = chunk.place(column)
    with chunk.path.open("rb") as file:
        file.seek(begins_at)
        while left:
            data = file.read(min(left, 1 << 20))
            member.write(data)
            left -= len(data)
