"""The exact bytes that botocore sends for a call, caught once on a socket; and the same with another body."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Mapping
from typing import Any

import botocore.config
import botocore.session
from botocore.exceptions import ClientError

_LENGTH = re.compile(rb"(?i)(content-length: )\d+")
_HOST = re.compile(rb"(?i)(\r\nhost: )[^\r]+")


def client(port: int) -> Any:
    """An unmodified botocore client for that port."""
    return botocore.session.Session().create_client(
        "sagemaker",
        region_name="us-east-1",
        endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=botocore.config.Config(retries={"total_max_attempts": 1}),
    )


def caught(method: str, params: Mapping[str, object], port: int) -> bytes:
    """One request as it goes over the wire, addressed to `port`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken: list[bytes] = []
        thread = threading.Thread(target=_take, args=(listener, taken))
        thread.start()
        try:
            getattr(client(listener.getsockname()[1]), method)(**params)
        except ClientError:
            pass  # the answer of `_take`
        finally:
            thread.join()
    return _HOST.sub(rb"\g<1>127.0.0.1:%d" % port, taken[0])


def with_body(request: bytes, params: Mapping[str, object]) -> bytes:
    """The request with other parameters (of JSON types); its signature, which nobody checks, stays."""
    head, _, _ = request.partition(b"\r\n\r\n")
    body = json.dumps(params).encode()
    return _LENGTH.sub(rb"\g<1>%d" % len(body), head) + b"\r\n\r\n" + body


def _take(listener: socket.socket, taken: list[bytes]) -> None:
    connection, _ = listener.accept()
    with connection:
        request = b""
        while b"\r\n\r\n" not in request:
            request += connection.recv(65536)
        head, _, body = request.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        missing = int(length[0].split()[-1]) - len(body) if length else 0
        while missing > 0:
            more = connection.recv(65536)
            request += more
            missing -= len(more)
        taken.append(request)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
