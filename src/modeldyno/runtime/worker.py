"""A worker: one process, one loaded model, one request at a time."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import socket
import sys
import traceback
from typing import Sequence  # noqa: UP035 - the runtime reads on Python 3.8

from . import frames
from .answers import Serving
from .configuration import read
from .handlers import ScriptError
from .loading import load
from .versions import Versions

LOAD_FAILED = 3  # the exit status of a worker whose model could not be loaded


def main(arguments: Sequence[str]) -> int:
    """Load the model, say so, and answer requests of the front until it is gone."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--worker", type=int, required=True)
    parser.add_argument("--framework", required=True)
    parser.add_argument("--compiled", action="store_true")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the front's; it ends its workers
    with socket.socket(fileno=options.worker) as front:
        versions = Versions()
        try:
            with versions:
                model = load(read(options.framework, os.environ, options.compiled))
        except (Exception, SystemExit) as error:
            return _tell_failure(front, error, versions.hint)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the front is gone
            front.sendall(frames.pack({"ready": True}))
            _serve(front, model)
    return 0


def _tell_failure(front: socket.socket, error: BaseException, hint: str) -> int:
    if not isinstance(error, ScriptError):
        traceback.print_exception(type(error), error, error.__traceback__)
        sys.stderr.flush()
    reason = " ".join(traceback.format_exception_only(type(error), error)[-1].split())  # one line, the last of the log
    front.sendall(frames.pack({"failed": (str(error) if isinstance(error, ScriptError) else reason) + hint}))
    return LOAD_FAILED


def _serve(front: socket.socket, model: Serving) -> None:
    with front.makefile("rb") as stream:
        while True:
            frame = frames.read(stream)
            if frame is None:
                return
            headers, body = frame
            answer = model.answer(headers, body)
            head = [answer.status, answer.content_type, answer.headers]
            front.sendall(frames.pack(head, answer.body))
