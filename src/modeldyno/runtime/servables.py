"""TensorFlow Serving's REST door, for handlers that post to `context.rest_uri` themselves."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Callable  # noqa: UP035 - the runtime reads on Python 3.8

JSON = "application/json"


@dataclass(frozen=True)
class RestReply:
    """What TensorFlow Serving would have answered, as an output_handler reads it: the members of requests' Response
    that say what there is."""

    status_code: int
    content: bytes
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": JSON})

    @property
    def ok(self) -> bool:
        """Whether it is no error."""
        return self.status_code < 400

    @property
    def text(self) -> str:
        """The body as text."""
        return self.content.decode("utf-8")

    def json(self) -> Any:
        """What the body says."""
        return json.loads(self.content)

    def raise_for_status(self) -> None:
        """Raise where it is an error."""
        if not self.ok:
            raise ValueError(f"{self.status_code}: {self.text}")


class RestDoor:
    """HTTP on a loopback port of its own: `answer` gets the path and the body of every POST."""

    def __init__(self, answer: Callable[[str, bytes], RestReply]) -> None:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                reply = answer(self.path, body)
                self.send_response(reply.status_code)
                self.send_header("content-type", JSON)
                self.send_header("content-length", str(len(reply.content)))
                self.end_headers()
                self.wfile.write(reply.content)

            def log_message(self, *_: Any) -> None:
                """Nothing: the front's is the log."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Answer nobody any more."""
        self._server.shutdown()
        self._server.server_close()
