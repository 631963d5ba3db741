"""A model server that behaves as it is told, well or badly: the other side of the instance contract.

Run by path with any Python 3.11; imports the standard library only. The variable BEHAVIOUR says which way; POST
/invocations answers with what the server sees of itself, as JSON.
"""

from __future__ import annotations

import http.server
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from enum import StrEnum


class Behaviour(StrEnum):
    """What it does beside serving, or instead."""

    HEALTHY = "healthy"
    SILENT = "silent"  # listens, and never answers
    DEAF = "deaf"  # never listens
    EXITS = "exits"  # with status 3, after some last words
    PING_500 = "ping_500"
    EATS_MEMORY = "eats_memory"  # before it is ready
    EATS_LATER = "eats_later"  # when it is invoked
    STUBBORN = "stubborn"  # it and three children ignore SIGTERM
    DAEMON = "daemon"  # a child leaves the session and its parent
    BURNS = "burns"  # keeps every core busy that it can get
    CHATTERS = "chatters"  # writes to its log without end
    PORT_TAKEN = "port_taken"  # asks at ASK_PORT, and where it is told "taken", says so and ends


class _Handler(http.server.BaseHTTPRequestHandler):
    behaviour = Behaviour.HEALTHY

    def do_GET(self) -> None:
        if self.behaviour is Behaviour.SILENT:
            time.sleep(3600)
        self._answer(500 if self.behaviour is Behaviour.PING_500 else 200, b"")

    def do_POST(self) -> None:
        if self.behaviour is Behaviour.EATS_LATER:
            eat()
        self._answer(200, json.dumps(seen()).encode())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def seen() -> dict[str, object]:
    """What a server sees of itself."""
    base = os.environ["SAGEMAKER_BASE_DIR"]
    with open("/proc/self/status") as status:
        facts = dict(line.strip("\n").split(":\t", 1) for line in status)
    return {
        "environment": dict(os.environ),
        "user": os.getuid(),
        "capabilities": facts["CapEff"],
        "bounding": facts["CapBnd"],
        "no_new_privs": facts["NoNewPrivs"],
        "ignored_signals": facts["SigIgn"],
        "cores": sorted(os.sched_getaffinity(0)),
        "directory": os.getcwd(),
        "model": _tree(f"{base}/model"),
        "opt_ml_model": _tree("/opt/ml/model"),
        "opt": sorted(os.listdir("/opt")) if os.path.isdir("/opt") else [],
        "tmp": _tree("/tmp"),
        "model_writable": _writable(f"{base}/model"),
        "code": _tree(os.environ.get("SAGEMAKER_SUBMIT_DIRECTORY", "")),
        "temporary_writable": _writable(os.environ["TMPDIR"]) and _writable(os.getcwd()),
        "descriptors": sorted(os.listdir("/proc/self/fd")),
        "session_leader": os.getsid(0) == os.getpid(),
    }


def eat() -> None:
    """Take memory until somebody ends it."""
    eaten = []
    while True:
        eaten.append(bytearray(os.urandom(1024)) * 4096)
        time.sleep(0.002)


def burn() -> None:
    """Keep a core busy."""
    while True:
        sum(range(10_000))


def _tree(path: str) -> list[str] | None:
    return sorted(os.listdir(path)) if os.path.isdir(path) else None


def _writable(path: str) -> bool:
    try:
        with open(f"{path}/written", "w"):
            return True
    except OSError:
        return False


def chatter() -> None:
    """Write lines as fast as they are taken."""
    while True:
        os.write(1, b"and so on\n" * 10_000)


def _child(work: Callable[[], None]) -> None:
    if os.fork() == 0:
        work()
        os._exit(0)


def _sleep() -> None:
    while True:
        time.sleep(3600)


def _leave() -> None:
    """The first child starts a second in a session of its own, and ends: the second belongs to nobody."""
    os.setsid()
    _child(_sleep)


def _is_told_taken() -> bool:
    with socket.create_connection(("127.0.0.1", int(os.environ["ASK_PORT"]))) as asked:
        return asked.recv(16) == b"taken"


def _prepare(behaviour: Behaviour) -> None:
    if behaviour is Behaviour.EXITS:
        sys.stdout.write("these are its last words\n")
        sys.exit(3)
    if behaviour is Behaviour.PORT_TAKEN and _is_told_taken():
        sys.exit("OSError: [Errno 98] Address already in use")
    if behaviour is Behaviour.STUBBORN:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for _ in range(3):
            _child(_sleep)
    works: dict[Behaviour, Callable[[], None]] = {Behaviour.EATS_MEMORY: eat, Behaviour.DEAF: _sleep}
    works.get(behaviour, lambda: None)()
    if behaviour is Behaviour.DAEMON:
        _child(_leave)
        os.wait()
    endless = {Behaviour.CHATTERS: (chatter, 1), Behaviour.BURNS: (burn, len(os.sched_getaffinity(0)))}
    work, children = endless.get(behaviour, (_sleep, 0))
    for _ in range(children):
        _child(work)


def main() -> None:
    """Behave."""
    _Handler.behaviour = Behaviour(os.environ.get("BEHAVIOUR", "healthy"))
    _prepare(_Handler.behaviour)
    port = int(os.environ["SAGEMAKER_BIND_TO_PORT"])
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), _Handler)
    threading.Thread(target=server.serve_forever).start()


if __name__ == "__main__":
    main()
