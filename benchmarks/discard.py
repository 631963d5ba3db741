"""A server that takes what S3's clients upload and drops it: what is left of an upload is its client.

``python -m benchmarks.discard`` prints its port.
"""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_STARTED = b"<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>"
_COMPLETED = b'<CompleteMultipartUploadResult><ETag>"1"</ETag></CompleteMultipartUploadResult>'


@contextmanager
def discarding() -> Iterator[int]:
    """Its port."""
    command = [sys.executable, "-m", "benchmarks.discard"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


def _serve() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=_answer_all, args=(connection,), daemon=True).start()


def _answer_all(connection: socket.socket) -> None:
    buffer = bytearray(256 * 1024)
    with connection:
        while (head := _head(connection)) is not None:
            text, _, body = head.partition(b"\r\n\r\n")
            if b"100-continue" in text.lower():
                connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            found = re.search(rb"content-length: *(\d+)", text, re.IGNORECASE)
            left = (int(found[1]) if found else 0) - len(body)
            while left > 0 and (came := connection.recv_into(buffer)):
                left -= came
            line = text.partition(b"\r\n")[0]
            answer = b"" if not line.startswith(b"POST") else _STARTED if b"uploads" in line else _COMPLETED
            connection.sendall(b'HTTP/1.1 200 OK\r\nETag: "1"\r\nContent-Length: %d\r\n\r\n%s' % (len(answer), answer))


def _head(connection: socket.socket) -> bytes | None:
    head = b""
    while b"\r\n\r\n" not in head:
        if not (data := connection.recv(65536)):
            return None
        head += data
    return head


if __name__ == "__main__":
    _serve()
