"""A real Dyno in a directory of its own: started, spoken to with boto3, killed, and looked at for what it leaves."""

from __future__ import annotations

import contextlib
import io
import json
import signal
import ssl
import subprocess
import sys
import tarfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import msgspec
import psutil
from botocore.config import Config

ROLE = "arn:aws:iam::111122223333:role/service-role/recommender"
TYPES = """
[instances."local.half"]
vcpus = 0.5
memory_gib = 1
usd_per_hour = 0.02
example = true
[instances."local.one"]
vcpus = 1
memory_gib = 1
usd_per_hour = 0.04
example = true
[measurement]
startup_seconds = 20
request_timeout_seconds = 5
lease_seconds = 5
run_off_seconds = 0
"""


def tar_gz(files: dict[str, bytes]) -> bytes:
    """An archive of these files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def until(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    """The first true value of a condition."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError(f"not true within {seconds} s")


class Service:
    """`dyno up` on a free port."""

    def __init__(self, root: Path, config: str = TYPES) -> None:
        self.root = root
        self.data = root / "data"
        self.config = root / "dyno.toml"
        self.config.write_text(config)
        self.process: subprocess.Popen[str] | None = None
        self.url = ""
        self.installation = ""
        self.trust: ssl.SSLContext | None = None
        self.credentials = ("any", "any")
        self.put("bucket/payload.tar.gz", tar_gz({"a.csv": b"1,2,3\n", "b.csv": b"4,5,6\n"}))

    def put(self, key: str, data: bytes) -> None:
        """Place an object, as a user may, by hand."""
        path = self.data / "s3" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def runtime(self, name: str, *command: str, **environment: str) -> None:
        """Map an image name to a command of this Python."""
        words = ", ".join(map(json.dumps, (sys.executable, *command)))
        variables = "".join(f'\n{key} = "{value}"' for key, value in environment.items())
        added = f'\n[runtimes."{name}"]\ncommand = [{words}]\n[runtimes."{name}".environment]{variables}\n'
        self.config.write_text(self.config.read_text() + added)

    def truth(self, name: str, *options: str) -> None:
        """Map an image name to a known-truth server."""
        self.runtime(name, "-m", "modeldyno.testing.truth_server", *options)

    def start(self, *options: str) -> Service:
        """Start it and wait for its ready line."""
        command = [sys.executable, "-P", "-m", "modeldyno", "up", "--port", "0", "--data-dir", str(self.data)]
        self.process = subprocess.Popen(
            [*command, "--config", str(self.config), *options], stdout=subprocess.PIPE, text=True, cwd=self.root
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith(("ready http://127.0.0.1:", "ready https://127.0.0.1:")), line
        self.url = line.split()[1]
        with urllib.request.urlopen(f"{self.url}/health", context=self.trust) as answer:
            self.installation = msgspec.json.decode(answer.read())["installation"]
        return self

    @property
    def client(self) -> Any:
        """Unmodified boto3."""
        return boto3.client(
            "sagemaker",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=self.credentials[0],
            aws_secret_access_key=self.credentials[1],
            config=Config(retries={"mode": "standard", "max_attempts": 10}),
        )

    def children(self) -> dict[str, psutil.Process]:
        """The front and the worker."""
        assert self.process is not None
        found = {}
        for child in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.Error):
                name = next((word for word in child.cmdline() if word.startswith("modeldyno.app.")), "")
                found[name.removeprefix("modeldyno.app.")] = child
        return found

    def kill(self, who: str) -> None:
        """SIGKILL the front, the worker or the supervisor; the last is started again."""
        assert self.process is not None
        if who == "supervisor":
            self.process.kill()
            self.end()
            self.start()
            return
        child = until(lambda: self.children().get(who))
        child.kill()

    def end(self) -> int:
        """SIGTERM when it still runs; its exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return status

    # --- jobs ---

    def submit(self, name: str, image: str, *types: str, **more: Any) -> None:
        """A model and a job on it: Default with `types`, or Advanced with `configurations` and `traffic`."""
        client = self.client
        environment = more.pop("environment", {})
        container = {"Image": image, "Environment": environment, **more.pop("container", {})}
        client.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container)
        payload = {"SamplePayloadUrl": "s3://bucket/payload.tar.gz", "SupportedContentTypes": ["text/csv"]}
        config: dict[str, Any] = {
            "Domain": "MACHINE_LEARNING",
            "Task": "CLASSIFICATION",
            "Framework": "SAGEMAKER-SCIKIT-LEARN",
            "PayloadConfig": payload,
        }
        if types:
            config["SupportedInstanceTypes"] = list(types)
        if "endpoint_type" in more:
            config["SupportedEndpointType"] = more.pop("endpoint_type")
        job: dict[str, Any] = {"ModelName": name, "ContainerConfig": config}
        advanced = "configurations" in more
        if advanced:
            job["EndpointConfigurations"] = more.pop("configurations")
            job["TrafficPattern"] = more.pop("traffic")
        job |= more.pop("input", {})
        client.create_inference_recommendations_job(
            JobName=name, JobType="Advanced" if advanced else "Default", RoleArn=ROLE, InputConfig=job, **more
        )

    def job(self, name: str) -> Any:
        """Describe."""
        return self.client.describe_inference_recommendations_job(JobName=name)

    def steps(self, name: str) -> list[Any]:
        """Every step."""
        pages = self.client.get_paginator("list_inference_recommendations_job_steps").paginate(JobName=name)
        return [step for page in pages for step in page["Steps"]]

    def ended(self, name: str, seconds: float = 100.0) -> Any:
        """Describe, once the job has ended."""

        def look() -> Any:
            job = self.job(name)
            return job if job["Status"] in ("COMPLETED", "FAILED", "STOPPED") else None

        return until(look, seconds)

    def result(self, name: str) -> Any:
        """The result file."""
        path = self.data / "results" / "us-east-1" / name / "result.json"
        return msgspec.json.decode(until(lambda: path.exists() and path.read_bytes()))

    # --- what is left ---

    def tags(self) -> dict[int, str]:
        """What each model server of this installation is, by process id: installation/trial/..."""
        prefix = f"DYNO_TAG={self.installation}/".encode()
        found = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            with contextlib.suppress(OSError):  # one that ends meanwhile is none
                for part in (entry / "environ").read_bytes().split(b"\0"):
                    if part.startswith(prefix):
                        found[int(entry.name)] = part.decode()
        return found

    def servers(self) -> list[int]:
        """Process ids of model servers of this installation."""
        return list(self.tags())

    def left_behind(self) -> list[str]:
        """Processes, directories and cgroups of trials."""
        left = [f"process {number}" for number in self.servers()]
        for place in ("work", "instances", "hosted"):
            left += [str(path) for path in (self.data / place).glob("*")]
        return left


@contextlib.contextmanager
def running(
    root: Path, *, config: str = TYPES, prepare: Callable[[Service], None] = lambda service: None
) -> Iterator[Service]:
    """A started service, ended at the end; nothing of its trials may be left then."""
    service = Service(root, config)
    prepare(service)
    try:
        service.start()
        yield service
    finally:
        service.end()
    assert service.left_behind() == []
