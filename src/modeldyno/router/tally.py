"""Counts that outlive their process: in a file that is mapped into memory, so that a kill loses none of them.

One slot a key: the key in 64 bytes, then one 64-bit number for each name in `NAMES`.
"""

from __future__ import annotations

import logging
import mmap
import os
import struct
from pathlib import Path

from modeldyno.domain.pair import Outcome

_log = logging.getLogger(__name__)

ELIGIBLE = "eligible"
REFUSED_CAPTURES = "captures_refused"
NAMES = (ELIGIBLE, *(outcome.value for outcome in Outcome), REFUSED_CAPTURES)
_KEY_BYTES = 64
_SLOT_BYTES = _KEY_BYTES + 8 * len(NAMES)
_SLOTS = 256
_NUMBER = struct.Struct("<Q")
_PLACE = {name: _KEY_BYTES + 8 * index for index, name in enumerate(NAMES)}


class Tally:
    """The counts of one life of one front. Used by one thread."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+b")
        self._map = self._room(_SLOTS)
        self._slots: dict[str, int] = {}
        self._counts: dict[tuple[str, str], int] = {}

    def add(self, key: str, name: str, count: int = 1) -> None:
        """Count."""
        slot = self._slots.get(key)
        if slot is None:
            slot = self._new_slot(key)
        counted = self._counts.get((key, name), 0) + count
        self._counts[key, name] = counted
        _NUMBER.pack_into(self._map, slot + _PLACE[name], counted)

    def _room(self, slots: int) -> mmap.mmap:
        """The file, so large. It has no holes: a write to one would end the process when the disk is full (SIGBUS).
        Where there is no room for it the counts are in memory alone."""
        try:
            os.posix_fallocate(self._file.fileno(), 0, slots * _SLOT_BYTES)
            return mmap.mmap(self._file.fileno(), slots * _SLOT_BYTES)
        except OSError as error:
            _log.error("the counts of requests are not stored: %s", error.strerror)
            return mmap.mmap(-1, slots * _SLOT_BYTES)

    def _new_slot(self, key: str) -> int:
        index = len(self._slots)
        slot = index * _SLOT_BYTES
        if slot + _SLOT_BYTES > len(self._map):
            before = self._map
            self._map = self._room(2 * index)
            self._map[: len(before)] = before[:]
            before.close()
        self._map[slot : slot + _KEY_BYTES] = key.encode()[:_KEY_BYTES].ljust(_KEY_BYTES, b"\0")
        self._slots[key] = slot
        return slot

    def close(self) -> None:
        """Let go of the file, which stays."""
        self._map.close()
        self._file.close()


def read_tally(path: Path) -> dict[str, dict[str, int]]:
    """The counts in such a file, by key."""
    data = path.read_bytes()
    found: dict[str, dict[str, int]] = {}
    for start in range(0, len(data) - _SLOT_BYTES + 1, _SLOT_BYTES):
        key = data[start : start + _KEY_BYTES].rstrip(b"\0").decode()
        if not key:
            break
        found[key] = {name: _NUMBER.unpack_from(data, start + place)[0] for name, place in _PLACE.items()}
    return found
