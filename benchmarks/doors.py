"""What signatures cost, and how fast objects go up. Prints JSON.

``python -m benchmarks.doors [--quick] [ROW ...]``. Each row is measured in turns with what it is compared with; the
service has one core, the client another.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import botocore.config
import botocore.session
from botocore.awsrequest import AWSResponse
from msgspec import to_builtins

from benchmarks.client import drive
from benchmarks.discard import discarding
from benchmarks.front import NAME
from benchmarks.hosting import cores, front
from benchmarks.peers import nginx
from benchmarks.services import dyno_up, processes_of
from benchmarks.stored_jobs import name_of, store_jobs
from benchmarks.summary import over, repeated, run_rows

_ANY = ("any", "any")


def signed(
    port: int, key: tuple[str, str], service: str, method: str, calls: Sequence[Mapping[str, Any]]
) -> list[bytes]:
    """The bytes of calls as botocore signs them for that port; nothing is sent."""
    client = botocore.session.Session().create_client(
        service,
        region_name="us-east-1",
        endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id=key[0],
        aws_secret_access_key=key[1],
        config=botocore.config.Config(parameter_validation=False),
    )
    taken: list[bytes] = []

    def take(request: Any, **_: Any) -> AWSResponse:
        path = re.sub(r"^https?://[^/]+", "", request.url) or "/"
        texts = {name.lower(): value for name, value in request.headers.items()} | {"host": f"127.0.0.1:{port}"}
        lines = [f"{request.method} {path} HTTP/1.1"]
        lines += [f"{name}: {value.decode() if isinstance(value, bytes) else value}" for name, value in texts.items()]
        taken.append("\r\n".join(lines).encode() + b"\r\n\r\n" + (request.body or b""))
        return AWSResponse(request.url, 200, {}, _Nothing())

    client.meta.events.register("before-send", take)
    for params in calls:
        getattr(client, method)(**params)
    client.close()
    return taken


class _Nothing:
    """The body of an answer that nobody gave."""

    def read(self) -> bytes:
        return b"{}"

    def stream(self) -> Iterator[bytes]:
        yield b"{}"


def control_plane(quick: bool) -> dict[str, Any]:
    """DescribeInferenceRecommendationsJob with a key, over the same without: each a service of its own."""
    repeats, seconds = (3, 1.0) if quick else (9, 3.0)
    calls = [{"JobName": name_of(number)} for number in range(200)]
    asked = ("sagemaker", "describe_inference_recommendations_job", calls)
    with _up(keyed=True) as (locked, key), _up(keyed=False) as (free, _):
        loads = {"verified": (locked, signed(locked, key, *asked)), "unverified": (free, signed(free, _ANY, *asked))}

        def measure(name: str) -> Callable[[], dict[str, float]]:
            port, requests = loads[name]
            return lambda: to_builtins(drive(port, requests, connections=8, seconds=seconds, core=cores()[1]))

        rows = repeated({name: measure(name) for name in loads}, repeats)
    ratio = over(rows["verified"], rows["unverified"], "per_second")
    return {"must": "aim: at least 0.7", "verified_over_unverified": ratio, "rows": rows}


@contextmanager
def _up(*, keyed: bool) -> Iterator[tuple[int, tuple[str, str]]]:
    """A service with a thousand stored jobs: its port, and its key."""
    with tempfile.TemporaryDirectory() as folder:
        store_jobs(Path(folder), 1000)
        made = _ANY
        if keyed:
            command = [sys.executable, "-m", "modeldyno", "keys", "create", "--json", "--data-dir", folder]
            told = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
            made = (told["AccessKeyId"], told["SecretAccessKey"])
        with dyno_up(Path(folder), cores()[0]) as service:
            yield service.port, made


def invoke(quick: bool) -> dict[str, Any]:
    """InvokeEndpoint with a key and without: an instant model, 16 connections and one; a body of 3 KB."""
    repeats, seconds = (3, 1.0) if quick else (9, 3.0)
    key = ("DYNOBENCH", "secret")
    call = {"EndpointName": NAME, "Body": b"1.5,2.5,3.5\n" * 256, "ContentType": "text/csv"}
    with nginx(cores()[1]) as model, front(model) as free, front(model, key=key) as locked:
        ports = {"unverified": _port(free.url), "verified": _port(locked.url)}
        loads = {
            name: signed(port, key, "sagemaker-runtime", "invoke_endpoint", [call]) for name, port in ports.items()
        }

        def measure(name: str, connections: int) -> Callable[[], dict[str, float]]:
            driving = (ports[name], loads[name])
            return lambda: to_builtins(drive(*driving, connections=connections, seconds=seconds, core=cores()[1]))

        rows = repeated(
            {f"{name}_{many}": measure(name, many) for many in (16, 1) for name in ports},
            repeats,
        )
    return {
        "verified_over_unverified": over(rows["verified_16"], rows["unverified_16"], "per_second"),
        "added_ms": round(rows["verified_1"]["p50_ms"]["median"] - rows["unverified_1"]["p50_ms"]["median"], 3),
        "rows": rows,
    }


def _port(url: str) -> int:
    return int(url.split(":")[2].split("/")[0])


def _random_file(path: Path, mebibytes: int) -> Path:
    with path.open("wb") as file:
        for _ in range(mebibytes):
            file.write(os.urandom(1024**2))
    return path


def upload(quick: bool) -> dict[str, Any]:
    """One object up through the S3 door beside ``dd conv=fdatasync`` to the same disk: with curl and a presigned URL at
    once, with boto3 at once and in parts; and with boto3 to a server that drops everything: what its client can do.

    Nothing is held to one core: dd is not either.
    """
    mebibytes = 128 if quick else 1024
    with tempfile.TemporaryDirectory(dir=".") as folder, discarding() as drain:
        source = _random_file(Path(folder) / "source", mebibytes)
        with dyno_up(Path(folder) / "data") as service:
            door, nothing = (_s3(port) for port in (service.port, drain))
            door.create_bucket(Bucket="bench")
            front_process = processes_of(service.process_id)["front"]
            dd = ["dd", f"if={source}", f"of={folder}/dd", "bs=4M", "conv=fdatasync"]
            url = door.generate_presigned_url("put_object", Params={"Bucket": "bench", "Key": "curl"})
            curl = ["curl", "--silent", "--fail", "--output", "/dev/null", "--upload-file", str(source), url]
            works: dict[str, Callable[[], object]] = {
                "dd": lambda: subprocess.run(dd, check=True, stderr=subprocess.DEVNULL),
                "curl": lambda: subprocess.run(curl, check=True),
                "put": lambda: _put(door, source),
                "parts": lambda: door.upload_file(str(source), "bench", "parts"),
                "put_dropped": lambda: _put(nothing, source),
                "parts_dropped": lambda: nothing.upload_file(str(source), "bench", "parts"),
            }

            def timed(work: Callable[[], object]) -> Callable[[], dict[str, float]]:
                def measure() -> dict[str, float]:
                    os.sync()
                    began = time.perf_counter()
                    work()
                    return {"mib_per_second": round(mebibytes / (time.perf_counter() - began), 1)}

                return measure

            rows = repeated({name: timed(work) for name, work in works.items()}, 3 if quick else 5)
            peak = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{front_process}/status").read_text())
            for client in (door, nothing):
                client.close()
    assert peak is not None
    return {
        "must": "at least 0.5 of dd; the front's memory under 100 MB",
        "mebibytes": mebibytes,
        **{f"{name}_over_dd": over(rows[name], rows["dd"], "mib_per_second") for name in works if name != "dd"},
        "front_peak_mb": round(int(peak[1]) * 1024 / 1e6, 1),
        "rows": rows,
    }


def _s3(port: int) -> Any:
    import boto3

    session = boto3.session.Session(*_ANY, region_name="us-east-1")
    return session.client("s3", endpoint_url=f"http://127.0.0.1:{port}")


def _put(s3: Any, source: Path) -> None:
    with source.open("rb") as file:
        s3.put_object(Bucket="bench", Key="put", Body=file)


ROWS: dict[str, Callable[[bool], dict[str, Any]]] = {
    "control_plane": control_plane,
    "invoke": invoke,
    "upload": upload,
}


if __name__ == "__main__":
    run_rows("benchmarks.doors", "What signatures cost, and how fast objects go up, as JSON.", ROWS)
