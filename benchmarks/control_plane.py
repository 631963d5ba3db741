"""Requests a second that one core answers, with 10,000 jobs stored, beside `moto_server`."""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec import to_builtins

from benchmarks.bytes_of_botocore import caught, client, with_body
from benchmarks.client import drive
from benchmarks.services import cpu_seconds, dyno_up, moto_server
from benchmarks.stored_jobs import name_of, store_jobs
from benchmarks.summary import over, repeated

JOBS = 10_000
_CONNECTIONS = 8
_LIST = "list_inference_recommendations_jobs"
_DESCRIBE = "describe_inference_recommendations_job"


def control_plane(quick: bool) -> dict[str, Any]:
    """Describe any job, list page after page, and moto's DescribeModel: in turn, each on the same core.

    `one_connection`: a client that waits for each answer before it asks again; its latency is what a person sees.
    """
    cores = sorted(os.sched_getaffinity(0))
    server_core, client_core = cores[0], cores[-1]
    repeats, seconds = (3, 0.4) if quick else (5, 2.0)
    with tempfile.TemporaryDirectory() as folder:
        store_jobs(Path(folder), JOBS)
        with dyno_up(Path(folder), server_core) as dyno, moto_server(server_core) as moto:
            loads = {
                "describe_job": (dyno, _describes(dyno.port)),
                "list_jobs": (dyno, _pages(dyno.port, 10)),
                "list_jobs_100": (dyno, _pages(dyno.port, 100)),
                "moto_describe_model": (moto, _model_at(moto.port)),
            }

            def driving(name: str, connections: int, seconds: float = seconds) -> Callable[[], dict[str, float]]:
                service, requests = loads[name]

                def measure() -> dict[str, float]:
                    cpu_before = cpu_seconds(service.process_id)
                    driven = drive(service.port, requests, connections=connections, seconds=seconds, core=client_core)
                    cpu = cpu_seconds(service.process_id) - cpu_before
                    return {**to_builtins(driven), "per_server_cpu_second": round(driven.requests / cpu, 1)}

                return measure

            for name in loads:
                driving(name, _CONNECTIONS, 0.3)()  # nothing is loaded or compiled for the first time in what counts
            many = {name: driving(name, _CONNECTIONS) for name in loads}
            one = {
                f"{name}_one_connection": driving(name, 1) for name in ("describe_job", "list_jobs", "list_jobs_100")
            }
            rows = repeated({**many, **one}, repeats)
    moto_rows = rows["moto_describe_model"]
    return {
        "jobs_stored": JOBS,
        "connections": _CONNECTIONS,
        "seconds": seconds,
        "server_core": server_core,
        "client_core": client_core,
        "rows": rows,
        "over_moto": {
            name: {figure: over(rows[name], moto_rows, figure) for figure in ("per_second", "per_server_cpu_second")}
            for name in ("describe_job", "list_jobs")
        },
    }


def _describes(port: int) -> list[bytes]:
    """A thousand jobs in an order of no meaning (the same in each run)."""
    request = caught(_DESCRIBE, {"JobName": name_of(0)}, port)
    chosen = random.Random(7).sample(range(JOBS), 1000)
    return [with_body(request, {"JobName": name_of(number)}) for number in chosen]


def _pages(port: int, size: int) -> list[bytes]:
    """The first fifty pages, each asked for with the token of the one before."""
    asked: dict[str, Any] = {"MaxResults": size}
    request = caught(_LIST, asked, port)
    sagemaker = client(port)
    requests: list[bytes] = []
    while len(requests) < 50:
        requests.append(with_body(request, asked))
        token = getattr(sagemaker, _LIST)(**asked).get("NextToken")
        if token is None:
            break
        asked = {"MaxResults": size, "NextToken": token}
    return requests


def _model_at(port: int) -> list[bytes]:
    """A model of moto's, described."""
    container = {"Image": "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"}
    role = "arn:aws:iam::123456789012:role/dyno"
    client(port).create_model(ModelName="iris", ExecutionRoleArn=role, PrimaryContainer=container)
    return [caught("describe_model", {"ModelName": "iris"}, port)]
