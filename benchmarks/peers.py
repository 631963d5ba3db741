"""The generators that Dyno's is compared with, and what they drive: Debian's nginx and wrk, Locust from PyPI."""

from __future__ import annotations

import json
import re
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

BODY = b'{"instances": [[5.1, 3.5, 1.4, 0.2]]}'
LOCUST_VERSION = "2.47.0"
_LOCUST_HOME = Path(".cache", f"locust-{LOCUST_VERSION}")
_NGINX = """
worker_processes 1; daemon off; pid {directory}/pid; error_log {directory}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000;
  client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy; fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
  server {{ listen 127.0.0.1:{port}; location / {{ return 200 "{{\\"predictions\\": [0]}}"; }} }}
}}
"""
_PROXY = """
worker_processes 1; daemon off; pid {directory}/pid; error_log {directory}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000;
  client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy; fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
  upstream model {{ server {model}; keepalive 64; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://model; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
}}
"""
_WRK = """
wrk.method = 'POST'
wrk.body = '{body}'
wrk.headers['Content-Type'] = 'application/json'
"""
_LOCUST = """
from locust import FastHttpUser, task

class Caller(FastHttpUser):
    @task
    def invoke(self):
        self.client.post("/invocations", data={body!r}, headers={{"Content-Type": "application/json"}})
"""
_UNITS = {"us": 1.0, "ms": 1e3, "s": 1e6}


@contextmanager
def nginx(core: int) -> Iterator[str]:
    """Debian's nginx with one worker on that core, which answers at once; its URL."""
    with _nginx(core, _NGINX) as url:
        yield url


@contextmanager
def proxy(core: int, model: str) -> Iterator[str]:
    """Debian's nginx with one worker on that core, as a proxy of the server at `model`; its URL."""
    with _nginx(core, _PROXY, model=model.removeprefix("http://")) as url:
        yield url


@contextmanager
def _nginx(core: int, template: str, **values: str) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as directory, closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
        free.close()
        configuration = Path(directory, "nginx.conf")
        configuration.write_text(template.format(directory=directory, port=port, **values))
        command = ["taskset", "-c", str(core), "nginx", "-c", str(configuration), "-e", f"{directory}/error.log"]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            _wait_for(port)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


def wrk(url: str, users: int, seconds: int, core: int) -> dict[str, float]:
    """Requests a second and median latency, by wrk with one thread."""
    with tempfile.TemporaryDirectory() as directory:
        script = Path(directory, "post.lua")
        script.write_text(_WRK.format(body=BODY.decode()))
        command = ["wrk", "-t1", f"-c{users}", f"-d{seconds}s", "--latency", "-s", str(script), f"{url}/invocations"]
        text, cpu_seconds = _pinned(core, command)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    median = re.search(r"50%\s+([\d.]+)(us|ms|s)", text)
    assert rate is not None
    assert median is not None
    return {
        "per_second": float(rate[1]),
        "p50_us": float(median[1]) * _UNITS[median[2]],
        "cpu_share": cpu_seconds / seconds,
        "per_cpu_second": float(rate[1]) * seconds / cpu_seconds,
    }


def locust(url: str, users: int, seconds: int, core: int) -> dict[str, float]:
    """Requests a second by Locust's FastHttpUser, from when all users are there; its latencies are whole ms."""
    program = _locust_program()
    with tempfile.TemporaryDirectory() as directory:
        script = Path(directory, "locustfile.py")
        script.write_text(_LOCUST.format(body=BODY))
        options = ["--headless", "-u", str(users), "-r", str(users), "-t", str(seconds + 1), "--reset-stats", "--json"]
        command = [str(program), "-f", str(script), "--host", url, *options, "--loglevel", "ERROR"]
        text, cpu_seconds = _pinned(core, command)
    (row,) = json.loads(text)
    assert row["num_failures"] == 0, row
    return {
        "per_second": row["num_requests"] / (row["last_request_timestamp"] - row["start_time"]),
        "mean_us": row["total_response_time"] / row["num_requests"] * 1e3,
        "cpu_share": cpu_seconds / (seconds + 1),
    }


def _locust_program() -> Path:
    """Locust in an environment of its own, made where there is none."""
    program = _LOCUST_HOME / "bin" / "locust"
    if not program.exists():
        uv = Path(sys.executable).with_name("uv")
        subprocess.run([uv, "venv", "-q", "--clear", "--python", sys.executable, _LOCUST_HOME], check=True)
        wanted = [f"locust=={LOCUST_VERSION}"]
        subprocess.run([uv, "pip", "install", "-q", "--python", _LOCUST_HOME / "bin" / "python", *wanted], check=True)
    return program


def _pinned(core: int, command: list[str]) -> tuple[str, float]:
    """What a command that runs on one core prints, and the CPU seconds it took."""
    before = _children_cpu_seconds()
    done = subprocess.run(["taskset", "-c", str(core), *command], capture_output=True, text=True, check=True)
    return done.stdout, _children_cpu_seconds() - before


def _children_cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
