"""A model server that answers what it is told, in the way that it is told: for tests of endpoints and shadows.

``python -m modeldyno.testing.answering_server --answer '["cat"]' --way good``. It keeps the container contract. Of the
ways, ``deaf`` never reads an invocation, ``drips`` sends a byte a second, ``errors`` answers 500, ``breaks`` closes the
connection in the middle, ``streams`` sends the answer in five chunks. ``/pid`` tells its process id; an ``{n}`` in the
answer is the number of the invocation.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys

_WAYS = ("good", "deaf", "drips", "errors", "breaks", "streams")


class Server:
    """One server. Every connection is a task of its own."""

    def __init__(self, answer: str, kind: str, way: str, seconds: float, fails_after: int) -> None:
        self._answer = answer
        self._kind = kind
        self._way = way
        self._seconds = seconds
        self._fails_after = fails_after
        self._count = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection until it ends."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while head := await self._head(reader):
                path, headers = head
                if path == "/invocations" and self._way == "deaf":
                    await asyncio.sleep(3600)
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                if path == "/invocations":
                    await self._invoke(writer, body, headers)
                else:
                    _send(writer, 200, str(os.getpid()).encode() if path == "/pid" else b"", "text/plain")
                await writer.drain()
        writer.close()

    async def _head(self, reader: asyncio.StreamReader) -> tuple[str, dict[str, str]] | None:
        line = await reader.readline()
        if not line:
            return None
        headers = {}
        while (text := (await reader.readline()).decode().strip()) != "":
            name, _, value = text.partition(":")
            headers[name.lower()] = value.strip()
        return line.split()[1].decode(), headers

    async def _invoke(self, writer: asyncio.StreamWriter, body: bytes, headers: dict[str, str]) -> None:
        self._count += 1
        if self._seconds:
            await asyncio.sleep(self._seconds)
        answer = self._answer.replace("{n}", str(self._count)).replace("{body}", body.decode("utf-8", "replace"))
        data = answer.encode()
        failed = self._way == "errors" or 0 < self._fails_after < self._count
        if failed:
            _send(writer, 500, b"made to fail", "text/plain")
        elif self._way == "breaks":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(data) + 1) + data)
            await writer.drain()
            writer.close()
        elif self._way == "drips":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3600\r\n\r\n")
            while True:
                writer.write(b".")
                await writer.drain()
                await asyncio.sleep(1)
        elif self._way == "streams":
            await self._stream(writer, data)
        else:
            attributes = headers.get("x-amzn-sagemaker-custom-attributes")
            extra = f"X-Amzn-SageMaker-Custom-Attributes: {attributes}\r\n" if attributes else ""
            _send(writer, 200, data, self._kind, extra)

    async def _stream(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: {self._kind}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        size = max(1, -(-len(data) // 5))
        for start in range(0, len(data), size):
            part = data[start : start + size]
            writer.write(b"%x\r\n%b\r\n" % (len(part), part))
            await writer.drain()
            await asyncio.sleep(0.02)
        writer.write(b"0\r\n\r\n")


def _send(writer: asyncio.StreamWriter, status: int, body: bytes, kind: str, extra: str = "") -> None:
    head = f"HTTP/1.1 {status} Made\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{extra}\r\n"
    writer.write(head.encode() + body)


async def _main(arguments: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    if arguments.broken:
        print("made to fail at its start", file=sys.stderr, flush=True)  # noqa: T201
        raise SystemExit(3)
    await asyncio.sleep(arguments.startup_seconds)
    server = Server(arguments.answer, arguments.kind, arguments.way, arguments.sleep_ms / 1e3, arguments.fails_after)
    port = int(os.environ.get("SAGEMAKER_BIND_TO_PORT", "0"))
    async with await asyncio.start_server(server.serve, "127.0.0.1", port, limit=16 * 1024**2) as listener:
        print(f"ready http://127.0.0.1:{listener.sockets[0].getsockname()[1]}", flush=True)  # noqa: T201
        await stop.wait()


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="answering_server", description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--answer", default="{}")
    add("--kind", default="application/json", help="the answer's content type")
    add("--way", choices=_WAYS, default="good")
    add("--sleep-ms", type=float, default=0.0)
    add("--startup-seconds", type=float, default=0.0)
    add("--fails-after", type=int, default=0, help="answers 500 after so many invocations; 0: never")
    add("--broken", action="store_true", help="exits with status 3 at its start")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_main(parser.parse_args()))


if __name__ == "__main__":
    main()
