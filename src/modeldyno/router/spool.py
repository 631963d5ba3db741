"""What a front writes down, on its way to the worker: segments of pairs on the local disk.

DATA_DIR/spool/LIFE/ is of one life of one front: ``lock`` is held while it lives, ``tally`` has its counts (`tally`),
``N.open`` is being written, ``N.segment`` is complete. A record is its length (4 bytes) and a msgpack `Pair`.

Writing is a thread's, so that a slow disk never stops a request. What waits for it is bounded; what finds no room, in
memory or on the disk, is refused, and counted by whoever offered it.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import queue
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from modeldyno.domain.pair import Pair

_log = logging.getLogger(__name__)

SEGMENT_SECONDS = 0.25
_SEGMENT_BYTES = 8 * 1024**2
_LOOK_SECONDS = 1.0
# A file takes a block of the disk and an inode, however short it is.
_LEAST_BYTES = 4096
_LENGTH = struct.Struct("<I")

Told = Callable[[Pair, bool], None]


class Spool:
    """The writing end. `told(pair, kept)` is called in the writing thread for each pair that was offered.

    most_waiting_bytes: of pairs in memory; most_bytes: of the whole spool on the disk; spare_bytes: what is to be left
    free on it.
    """

    def __init__(
        self, root: Path, life: str, told: Told, *, most_waiting_bytes: int, most_bytes: int, spare_bytes: int
    ) -> None:
        self.directory = root / life
        begun = root / f".{life}"  # whoever sees a life that holds no lock takes it for a dead one
        begun.mkdir(parents=True, mode=0o700)
        self._lock = os.open(begun / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        begun.rename(self.directory)
        self._root = root
        self._told = told
        self._most_waiting_bytes = most_waiting_bytes
        self._most_bytes = most_bytes
        self._spare_bytes = spare_bytes
        self._waiting_bytes = 0
        self._queue: queue.SimpleQueue[Pair | None] = queue.SimpleQueue()
        self._number = 0
        self._full = False
        self._looked_at = 0.0
        self._thread = threading.Thread(target=self._work, name="spool", daemon=True)
        self._thread.start()

    def offer(self, pair: Pair) -> bool:
        """Hand a pair over without waiting; False where there is no room (it is not told then)."""
        if self._full or self._waiting_bytes + pair.size > self._most_waiting_bytes:
            return False
        self._waiting_bytes += pair.size
        self._queue.put(pair)
        return True

    def settle(self, pairs_bytes: int) -> None:
        """Pairs of so many bytes have been told: in the thread that offers."""
        self._waiting_bytes -= pairs_bytes

    def close(self) -> None:
        """Write what waits, and end."""
        self._queue.put(None)
        self._thread.join()
        os.close(self._lock)

    # --- in the thread ---

    def _work(self) -> None:
        ended = False
        while not ended:
            self._look()
            first = self._next(SEGMENT_SECONDS)
            if first is False:
                continue
            ended = self._segment(first)

    def _next(self, seconds: float) -> Pair | bool | None:
        """The next pair; None at the end; False when none came in time."""
        try:
            return self._queue.get(timeout=max(0.0, seconds))
        except queue.Empty:
            return False

    def _segment(self, first: Pair | bool | None) -> bool:
        """Write one segment that begins with `first`; whether the end has come."""
        if first is None:
            return True
        self._number += 1
        path = self.directory / f"{self._number:08d}.open"
        until = time.monotonic() + SEGMENT_SECONDS
        size = 0
        item: Pair | bool | None = first
        with contextlib.suppress(OSError), path.open("ab", buffering=0) as file:
            while isinstance(item, Pair):
                size += self._write(file.fileno(), item, size)
                late = time.monotonic() >= until or size > _SEGMENT_BYTES
                item = False if late else self._next(until - time.monotonic())
        if isinstance(item, Pair):  # the file could not even be made
            self._told(item, False)
        with contextlib.suppress(OSError):
            path.rename(path.with_suffix(".segment"))
        return item is None

    def _write(self, descriptor: int, pair: Pair, at: int) -> int:
        """Append a pair; the bytes written, 0 where the disk has no room: then nothing of it is left."""
        try:
            data = msgspec.msgpack.encode(pair)
            record = _LENGTH.pack(len(data)) + data
        except (ValueError, MemoryError):  # this one cannot be written, others can
            self._told(pair, False)
            return 0
        try:
            written = os.write(descriptor, record)
        except OSError:
            written = 0
        whole = written == len(record)
        if not whole:
            self._full = True
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, at)
                os.lseek(descriptor, at, os.SEEK_SET)
        self._told(pair, whole)
        return written if whole else 0

    def _look(self) -> None:
        """Whether there is room on the disk."""
        now = time.monotonic()
        if now - self._looked_at < _LOOK_SECONDS:
            return
        self._looked_at = now
        with contextlib.suppress(OSError):
            facts = os.statvfs(self.directory)
            free = facts.f_bavail * facts.f_frsize
            self._full = free < self._spare_bytes or spool_bytes(self._root) > self._most_bytes


def spool_bytes(root: Path) -> int:
    """What the segments of all lives take on the disk."""
    total = 0
    for path in root.glob("*/*"):
        if path.name != "tally":
            with contextlib.suppress(OSError):
                total += max(path.stat().st_size, _LEAST_BYTES)
    return total


def is_alive(life: Path) -> bool:
    """Whether the front of that life still writes."""
    try:
        descriptor = os.open(life / "lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def read_segment(path: Path) -> Iterator[Pair]:
    """The whole pairs of a segment; one that was cut off by a crash ends it."""
    decode = msgspec.msgpack.Decoder(Pair).decode
    data = memoryview(path.read_bytes())
    place = 0
    while place + _LENGTH.size <= len(data):
        (length,) = _LENGTH.unpack_from(data, place)
        record = data[place + _LENGTH.size : place + _LENGTH.size + length]
        if len(record) < length:
            return
        try:
            yield decode(record)
        except msgspec.DecodeError as error:  # the disk has changed it: the others are whole
            _log.error("a record of %s cannot be read: %s", path, error)
        place += _LENGTH.size + length
