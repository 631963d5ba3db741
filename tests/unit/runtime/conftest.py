"""A script-mode server of this interpreter, over a script that a test writes."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

RUNTIME = Path(__file__).parents[3] / "src" / "modeldyno" / "runtime"


@dataclass
class Answer:
    status: int
    headers: dict
    body: bytes

    @property
    def text(self):
        return self.body.decode()


class Server:
    """A running server. Its output goes to `log`."""

    def __init__(self, base, environment, framework="scikit-learn"):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.log_path = base / "server.log"
        variables = {
            "PATH": os.environ["PATH"],
            "SAGEMAKER_BIND_TO_PORT": str(self.port),
            "SAGEMAKER_BASE_DIR": str(base),
            "SAGEMAKER_MODEL_SERVER_WORKERS": "1",
            **environment,
        }
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-u", str(RUNTIME), "--framework", framework],
                env=variables,
                cwd=base,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def log(self):
        return self.log_path.read_text()

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def request(self, method, path, body=None, headers=None):
        connection = self.connect()
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def invoke(self, body=b"", content_type="application/json", **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.request("POST", "/invocations", body, {"Content-Type": content_type, **named})

    def ping(self):
        try:
            return self.request("GET", "/ping").status
        except OSError:
            return None

    def wait_until(self, condition, seconds=30):
        """Until the condition holds, or the server has ended."""
        end = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, f"ended with {self.process.returncode}: {self.log}"
            assert time.monotonic() < end, self.log
            time.sleep(0.02)
        return self

    def wait_ready(self):
        return self.wait_until(lambda: self.ping() == 200)

    def end(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def write_script(base, text, name="inference.py"):
    code = base / "model" / "code"
    code.mkdir(parents=True, exist_ok=True)
    (code / name).write_text(text)


@pytest.fixture
def serve(tmp_path):
    """Start a server over a script; everything started is ended."""
    servers = []

    def start(script=None, framework="scikit-learn", **environment):
        if script is not None:
            write_script(tmp_path, script)
        else:
            (tmp_path / "model").mkdir(exist_ok=True)
        servers.append(Server(tmp_path, environment, framework))
        return servers[-1]

    yield start
    for server in servers:
        server.end()


DOUBLER = """
class Model:
    def predict(self, rows):
        return (rows * 2).sum(axis=1)


def model_fn(model_dir):
    print("loading from", model_dir)
    return Model()
"""

MOODY = """
import json
import os


class Teapot(Exception):
    status_code = 418


def model_fn(model_dir):
    return open(model_dir + "/weights").read() if os.path.exists(model_dir + "/weights") else "no weights"


def transform_fn(model, data, content_type, accept, context):
    wish = data if isinstance(data, str) else data.decode("latin-1")
    if wish == "raise":
        raise ValueError("two\\nlines")
    if wish == "teapot":
        raise Teapot("short and stout")
    if wish == "object":
        return object()
    if wish == "dict":
        return {"accept": accept, "content_type": content_type, "kind": type(data).__name__}
    if wish == "pair":
        return b"\\x00\\x01", "application/x-own"
    if wish == "context":
        context.set_response_status(202)
        context.set_response_header(0, "X-Amzn-SageMaker-Custom-Attributes", "back")
        context.set_response_content_type(0, "text/x-context")
        return context.get_request_header(0, "x-amzn-sagemaker-custom-attributes")
    return str(len(data))
"""


@pytest.fixture(scope="module")
def doubler(tmp_path_factory):
    """A model with the default functions: the sum of each row, doubled."""
    base = tmp_path_factory.mktemp("doubler")
    write_script(base, DOUBLER)
    server = Server(base, {})
    try:
        yield server.wait_ready()
    finally:
        server.end()


@pytest.fixture(scope="module")
def moody(tmp_path_factory):
    """A transform_fn that does what the body says."""
    base = tmp_path_factory.mktemp("moody")
    write_script(base, MOODY)
    server = Server(base, {"SAGEMAKER_MAX_PAYLOAD_IN_MB": "7"})
    try:
        yield server.wait_ready()
    finally:
        server.end()
