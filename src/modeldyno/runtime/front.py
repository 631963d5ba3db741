"""The front: HTTP on loopback, `/ping` and `/invocations`, over the pool of workers.

**Source:** the container contract, docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import socket
import sys
from typing import Any, Iterator, Sequence  # noqa: UP035 - the runtime reads on Python 3.8

import uvicorn

from .configuration import Configuration, ConfigurationError, read
from .defaults import BY_FRAMEWORK
from .pool import Pool, Reply

HOST = "127.0.0.1"
KEEP_ALIVE_SECONDS = 3600  # idle users must not lose their connections between stages of load
GRACE_SECONDS = 1  # for requests at hand when the server is told to end
BACKLOG = 2048
NO_CONTENT = 204
PLAIN = "text/plain; charset=utf-8"


class TooLarge(Exception):
    """The request's body is over the limit."""


class ClientGone(Exception):
    """The connection was closed before the whole body was there."""


class Application:
    """The ASGI application."""

    def __init__(self, pool: Pool, configuration: Configuration) -> None:
        self._pool = pool
        self._limit_bytes = configuration.max_payload_bytes

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        path = scope["path"]
        if path == "/invocations":
            reply = await self._invoke(scope, receive)
        elif path == "/ping":
            reply = self._ping(scope["method"])
        else:
            reply = Reply(404, PLAIN, {}, b"There are /ping and /invocations here.")
        headers = []
        if reply.status != NO_CONTENT:  # RFC 9110, section 8.6: it has no length
            headers = [(b"content-length", b"%d" % len(reply.body)), (b"content-type", reply.content_type.encode())]
        headers += [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers.items()]
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": reply.body})

    def _ping(self, method: str) -> Reply:
        if method not in ("GET", "HEAD"):
            return Reply(405, PLAIN, {"allow": "GET, HEAD"}, b"")
        return Reply(200 if self._pool.healthy else 503, PLAIN, {}, b"")

    async def _invoke(self, scope: Any, receive: Any) -> Reply:
        if scope["method"] != "POST":
            return Reply(405, PLAIN, {"allow": "POST"}, b"")
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            body = await self._body(receive)
        except ClientGone:
            return Reply(400, PLAIN, {}, b"")  # to nobody
        except TooLarge:
            text = f"The body is over {self._limit_bytes} bytes (SAGEMAKER_MAX_PAYLOAD_IN_MB)."
            return Reply(413, PLAIN, {}, text.encode())
        return await self._pool.submit(headers, body)

    async def _body(self, receive: Any) -> bytes:
        """The whole body. One over the limit is read to its end but not kept, else its sender would not hear why."""
        message = await receive()
        pieces, length = [], 0
        while True:
            if message["type"] == "http.disconnect":
                raise ClientGone
            piece = message.get("body", b"")
            length += len(piece)
            if length <= self._limit_bytes:
                pieces.append(piece)
            if not message.get("more_body"):
                break
            message = await receive()
        if length > self._limit_bytes:
            raise TooLarge
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are handled here, below."""
        yield


def main(arguments: Sequence[str]) -> int:
    """Serve until SIGTERM (status 0) or until the model cannot be served (status 1)."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--framework", choices=sorted([*BY_FRAMEWORK, "tensorflow"]), required=True)
    parser.add_argument("--compiled", action="store_true")
    options = parser.parse_args(arguments)
    try:
        configuration = read(options.framework, os.environ, options.compiled)
        listener = _listen(configuration.port)
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"Port {configuration.port} cannot be used: {error.strerror}.\n")
        return 2
    loop = _new_loop()
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(_serve(configuration, listener))
    finally:
        loop.close()


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def _listen(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


async def _serve(configuration: Configuration, listener: socket.socket) -> int:
    pool = Pool(configuration)
    server = _Server(
        uvicorn.Config(
            Application(pool, configuration),
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            date_header=False,
            proxy_headers=False,
            backlog=BACKLOG,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
    )
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    pool.start()
    serving = asyncio.ensure_future(server.serve(sockets=[listener]))
    ended = asyncio.ensure_future(stopped.wait())
    ends: list[asyncio.Future[Any]] = [serving, ended, pool.failed]
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    failure = pool.failed.result() if pool.failed.done() else None
    ended.cancel()
    server.should_exit = True
    await asyncio.gather(serving, pool.stop())
    if failure is not None:
        sys.stderr.write(f"{failure}\n")
        return 1
    return 0
