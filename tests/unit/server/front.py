"""A front door of a test's own, served on a real socket."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import socket
import threading

from modeldyno.domain.errors import LimitExceeded, ResourceNotFound
from modeldyno.server.chain import make_app
from modeldyno.server.serve import serve
from modeldyno.wire.validate import validate_input

MODEL = {"ModelName": "m", "ModelArn": "arn", "CreationTime": 1700000000.5, "ExecutionRoleArn": "role"}


class Front:
    """A served front door. `calls` holds what was dispatched; a model's name says what happens to its call."""

    def __init__(self, **options):
        self.calls = []
        self.blocked = threading.Event()
        self.release = threading.Event()
        self.ready = threading.Event()
        self.app = make_app(self.dispatch, lambda: {"status": "ok"}, **options)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=lambda: asyncio.run(self.run()))

    def dispatch(self, call):
        operation, params = call.operation, call.params
        self.calls.append((call.region, operation, params))
        validate_input(operation, params)
        match params.get("ModelName"):
            case "missing":
                raise ResourceNotFound("No model missing.")
            case "quota":
                raise LimitExceeded("Too many.")
            case "broken":
                raise ZeroDivisionError("secret")
            case "wrong":
                return {"Nonsense": 1}
            case "slow":
                self.blocked.set()
                assert self.release.wait(20)
        return None if operation == "DeleteModel" else MODEL

    async def run(self):
        self.loop, self.stop = asyncio.get_running_loop(), asyncio.Event()
        await serve(self.app, self.listener, self.ready.set, self.stop, grace_seconds=1)

    def end(self):
        if self.thread.is_alive():
            self.loop.call_soon_threadsafe(self.stop.set)
            self.thread.join(10)

    def raw(self, data, *, read_all=True):
        """Send bytes; the whole answer until the server closes, or its first piece."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            connection.sendall(data)
            if not read_all:
                return connection.recv(65536)
            return b"".join(iter(lambda: connection.recv(65536), b""))

    def request(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response, response.read()

    def call(self, operation, body):
        return self.request("POST", "/", body, {"X-Amz-Target": f"SageMaker.{operation}"})


@contextlib.contextmanager
def front(**options):
    served = Front(**options)
    served.thread.start()
    try:
        assert served.ready.wait(10)
        yield served
    finally:
        served.release.set()
        served.end()
        assert not served.thread.is_alive()
