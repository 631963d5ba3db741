"""The load generator beside wrk: the same nginx, one core each, in the same minute. Prints JSON.

``python -m benchmarks.generator [--repeats 5] [--seconds 3] [--users 16]``. Needs two cores and Debian's nginx and wrk.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import re
import resource
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from modeldyno.domain.measurement import merged_latency
from modeldyno.load.process import ProcessGenerator
from modeldyno.ports import LoadTarget

_BODY = b'{"instances": [[5.1, 3.5, 1.4, 0.2]]}'
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
_UNITS = {"us": 1.0, "ms": 1e3, "s": 1e6}


@contextmanager
def nginx(core: int) -> Iterator[str]:
    """Debian's nginx with one worker on that core; its URL."""
    with tempfile.TemporaryDirectory() as directory, closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
        free.close()
        configuration = Path(directory, "nginx.conf")
        configuration.write_text(_NGINX.format(directory=directory, port=port))
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


def wrk(url: str, users: int, seconds: int, core: int, script: Path) -> dict[str, float]:
    """Requests a second and median latency, by wrk with one thread."""
    command = ["taskset", "-c", str(core), "wrk", "-t1", f"-c{users}", f"-d{seconds}s", "--latency", "-s", str(script)]
    before = _children_cpu_seconds()
    text = subprocess.run([*command, f"{url}/invocations"], capture_output=True, text=True, check=True).stdout
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    median = re.search(r"50%\s+([\d.]+)(us|ms|s)", text)
    assert rate is not None
    assert median is not None
    cpu_share = (_children_cpu_seconds() - before) / seconds
    return {
        "per_second": float(rate[1]),
        "p50_us": float(median[1]) * _UNITS[median[2]],
        "cpu_share": cpu_share,
        "per_cpu_second": float(rate[1]) / cpu_share,
    }


def _children_cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


async def dyno(url: str, users: int, seconds: int, core: int, payloads: Path) -> dict[str, float]:
    """The same by the load generator, from its whole windows."""
    target = LoadTarget(url, payloads, "application/json", None, seed=1, cores=(core,))
    windows = []
    async with ProcessGenerator().drive(target) as session:
        await session.set_users(users)
        async for window in session.windows():
            if window.users == users:
                windows.append(window)
            if len(windows) == seconds:
                break
    assert not any(window.failed for window in windows)
    duration = sum(window.duration_seconds for window in windows)
    succeeded = sum(window.succeeded for window in windows)
    cpu_seconds = sum(window.generator_cpu_seconds for window in windows)
    return {
        "per_second": succeeded / duration,
        "p50_us": (merged_latency(windows).quantile_ns(0.5) or 0.0) / 1e3,
        "cpu_share": cpu_seconds / duration,
        "per_cpu_second": succeeded / cpu_seconds,
        "run_delay_share": sum(window.generator_delay_seconds for window in windows) / duration,
    }


def machine() -> dict[str, object]:
    """What the figures were measured on."""
    names = re.findall(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_average": os.getloadavg()[0],
    }


def compare(repeats: int, seconds: int, users: int) -> dict[str, object]:
    """Interleaved repeats of both, their medians and the ratio of the medians."""
    server_core, own_core = sorted(os.sched_getaffinity(0))[:2]
    runs: dict[str, list[dict[str, float]]] = {"dyno": [], "wrk": []}
    with tempfile.TemporaryDirectory() as directory, nginx(server_core) as url:
        payloads = Path(directory, "payloads")
        payloads.mkdir()
        (payloads / "body.json").write_bytes(_BODY)
        script = Path(directory, "post.lua")
        script.write_text(
            f"wrk.method = 'POST'\nwrk.body = '{_BODY.decode()}'\nwrk.headers['Content-Type'] = 'application/json'\n"
        )
        for _ in range(repeats):
            runs["dyno"].append(asyncio.run(dyno(url, users, seconds, own_core, payloads)))
            runs["wrk"].append(wrk(url, users, seconds, own_core, script))
    medians = {
        name: {key: round(statistics.median(run[key] for run in those), 3) for key in those[0]}
        for name, those in runs.items()
    }
    ratios = {f"{key}_over_wrk": round(medians["dyno"][key] / medians["wrk"][key], 3) for key in medians["wrk"]}
    return {"users": users, "repeats": repeats, "seconds": seconds, "medians": medians, **ratios}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--users", type=int, nargs="+", default=[16, 1])
    arguments = parser.parse_args()
    missing = [name for name in ("nginx", "wrk", "taskset") if shutil.which(name) is None]
    if missing or len(os.sched_getaffinity(0)) < 2:
        parser.error(f"needs two cores and {', '.join(missing) or 'nothing else'}")
    results = [compare(arguments.repeats, arguments.seconds, users) for users in arguments.users]
    print(json.dumps({"benchmark": "generator", "machine": machine(), "results": results}, indent=2))


if __name__ == "__main__":
    main()
