"""Per-request records: columns in memory for a moment, then in a file, chunk after chunk, up to a limit."""

from __future__ import annotations

import struct
from array import array
from pathlib import Path
from typing import BinaryIO

COLUMNS = {"intended_ns": "q", "sent_ns": "q", "first_byte_ns": "q", "end_ns": "q", "status": "h", "bytes": "q"}
"""The columns and their types (of `array` and `struct`). Times are of the machine's monotonic clock, in nanoseconds.
status: the HTTP status, or a number of `FAILURES`. bytes: received, head and body. first_byte_ns: 0 where none came."""

FAILURES = {
    "timeout": -1,
    "connection_reset": -2,
    "connection_refused": -3,
    "connection_failed": -4,
    "bad_answer": -5,
    "not_sent": -6,
}
"""What stands in the column `status` where there was no status. For sent_ns 0: it was never sent."""

HEADER = struct.Struct("<qq")
"""Before each chunk: how many records it has, and whether records were left out until here for the limit."""


class RawFile:
    """A file of chunks: `HEADER`, then the chunk's values, column after column."""

    def __init__(self, path: Path, limit: int) -> None:
        self._file: BinaryIO = path.open("wb")
        self._left = limit
        self._cut = False
        self._columns = [array(code) for code in COLUMNS.values()]
        self._add = [column.append for column in self._columns]

    def add(self, *values: int) -> None:
        """One record, in the order of `COLUMNS`; beyond the limit it is left out."""
        if self._left <= 0:
            self._cut = True
            return
        self._left -= 1
        for append, value in zip(self._add, values, strict=True):
            append(value)

    def flush(self) -> None:
        """Write what has come since the last time."""
        self._file.write(HEADER.pack(len(self._columns[0]), self._cut))
        for column in self._columns:
            self._file.write(column)
            del column[:]
        self._file.flush()
