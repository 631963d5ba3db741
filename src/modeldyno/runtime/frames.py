"""What front and worker say to each other over their socket: a JSON head and a body, each with its length before it."""

from __future__ import annotations

import json
import struct
from io import BufferedReader
from typing import Any

LENGTHS = struct.Struct("!II")


def pack(head: Any, body: bytes = b"") -> bytes:
    """One frame."""
    text = json.dumps(head).encode()
    return b"".join((LENGTHS.pack(len(text), len(body)), text, body))


def read(stream: BufferedReader) -> tuple[Any, bytes] | None:
    """The next frame of a blocking stream; None at its end."""
    lengths = stream.read(LENGTHS.size)
    if len(lengths) < LENGTHS.size:
        return None
    head_bytes, body_bytes = LENGTHS.unpack(lengths)
    content = stream.read(head_bytes + body_bytes)
    if len(content) < head_bytes + body_bytes:
        return None
    return json.loads(content[:head_bytes]), content[head_bytes:]


class Assembler:
    """Frames out of the pieces that a socket delivers."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[tuple[Any, bytes]]:
        """The frames that are complete now."""
        self._buffer += data
        frames = []
        while len(self._buffer) >= LENGTHS.size:
            head_bytes, body_bytes = LENGTHS.unpack_from(self._buffer)
            end = LENGTHS.size + head_bytes + body_bytes
            if len(self._buffer) < end:
                break
            head_end = LENGTHS.size + head_bytes
            frames.append((json.loads(self._buffer[LENGTHS.size : head_end]), bytes(self._buffer[head_end:end])))
            del self._buffer[:end]
        return frames
