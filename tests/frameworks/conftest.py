"""Frameworks whose environments are large: built for real, used as Dyno uses them, and kept from run to run."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import tarfile
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from modeldyno.domain.catalog import InstanceType
from modeldyno.domain.images import Framework
from modeldyno.domain.model import ModelSource
from modeldyno.domain.trial import Placement, TrialSpec
from modeldyno.instances.compiler import ProcessCompiler
from modeldyno.instances.environments import Environments
from modeldyno.instances.process import ProcessBackend
from modeldyno.ports import CompileRequest, DeployRequest, Instance, Tag

CACHE = Path(os.environ.get("DYNO_TEST_CACHE") or Path(__file__).parents[2] / ".cache" / "environments")
KIND = InstanceType("local.1cpu", 1, 4096)


@dataclass(frozen=True)
class Answer:
    status: int
    content_type: str
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def invoke(instance: Instance, body: bytes, content_type: str, **headers: str) -> Answer:
    """What a server answers."""

    def call() -> Answer:
        request = urllib.request.Request(f"{instance.url}/invocations", body, {"Content-Type": content_type, **headers})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return Answer(answer.status, answer.headers["Content-Type"], answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers["Content-Type"], error.read())

    return await asyncio.to_thread(call)


@pytest.fixture(scope="session")
def environments() -> Environments:
    return Environments(CACHE, {})


class Bench:
    """Serves and compiles models in a directory of its own."""

    def __init__(self, root: Path, environments: Environments) -> None:
        self.root = root
        self.environments = environments
        self.model_dir = root / "model"
        self.model_dir.mkdir()
        self.backend = ProcessBackend(root / "instances", environments.prepare)
        self.compiler = ProcessCompiler(self.backend, environments)

    async def run(self, framework: Framework, program: str, *arguments: object) -> None:
        """Run a program in a framework's environment: it makes the model that the framework will read."""
        python = await self.environments.python_for(framework)
        await asyncio.to_thread(subprocess.run, [python, "-c", program, *map(str, arguments)], check=True)

    def script(self, text: str) -> None:
        (self.model_dir / "code").mkdir()
        (self.model_dir / "code" / "inference.py").write_text(text)

    @property
    def log(self) -> str:
        return (self.root / "log").read_text()

    @asynccontextmanager
    async def deployed(self, image: str, model_dir: Path | None = None, **environment: str) -> AsyncIterator[Instance]:
        request = DeployRequest(
            Tag("frameworks", "worker", "trial", 1),
            TrialSpec(0, "sm-epc-test", KIND),
            Placement(self.backend.host().cores[-1:], KIND.memory_mib * 1024**2 if KIND.memory_mib else None),
            ModelSource(image, "s3://bucket/model.tar.gz"),
            model_dir or self.model_dir,
            None,
            environment,
            self.root / "log",
            120.0,
        )
        async with self.backend.deploy(request) as instance:
            yield instance

    async def compiled(
        self, image: str, body: bytes, inputs: dict[str, tuple[int, ...]], content_type: str = "text/csv"
    ) -> Path:
        """The directory of the compiled model. Raises as the compiler."""
        payload, target = self.root / "payload", self.root / "compiled.tar.gz"
        payload.mkdir()
        (payload / "sample").write_bytes(body)
        await self.compiler.compile(
            CompileRequest(
                tag=Tag("frameworks", "worker", "compilation", 1),
                source=ModelSource(image, "s3://bucket/model.tar.gz"),
                model_dir=self.model_dir,
                code_dir=None,
                payload_dir=payload,
                content_type=content_type,
                accept=None,
                inputs=inputs,
                target=target,
                log_path=self.root / "log",
                limit_seconds=300.0,
            )
        )
        with tarfile.open(target) as archive:
            archive.extractall(self.root / "compiled", filter="data")
        return self.root / "compiled"


@pytest.fixture
def bench(tmp_path: Path, environments: Environments) -> Bench:
    return Bench(tmp_path, environments)
