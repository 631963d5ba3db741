"""Compiling models as processes of this host: with the limits, the rights and the environment of a model server.

What such a process leaves is a model's, too: it is read as data, by name, and no link of it is followed.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import stat
import tarfile
from pathlib import Path

from modeldyno.domain.catalog import InstanceType
from modeldyno.domain.errors import InputFault, ModelFault
from modeldyno.domain.trial import Placement, TrialSpec
from modeldyno.instances.environments import Environments
from modeldyno.instances.launcher import OPT_ML
from modeldyno.instances.process import Errand, ProcessBackend
from modeldyno.ports import CompileRequest, DeployRequest

# What runtime/graphs.py and runtime/compiling.py call them: the runtime imports nothing of this.
FOLDER, GRAPH, FACTS, VERDICT = "dyno-compiled", "model.onnx", "compiled.json", "verdict.json"
_GRAPH_BYTES = 2 * 1024**3  # Source: a serialized ONNX graph is a protobuf message, of less than 2 GiB
_FACTS_BYTES = 1024**2
_MEMORY_SHARE = 0.5  # chosen: of the host's; the plain and the compiled model are in memory together
_LOOK_SECONDS = 0.1


class ProcessCompiler:
    """`ports.Compiler` over the backend's processes."""

    def __init__(self, backend: ProcessBackend, environments: Environments) -> None:
        self._backend = backend
        self._environments = environments

    async def compile(self, request: CompileRequest) -> str:
        """See `ports.Compiler`."""
        deploy = self._deploy(request)
        base = Path(OPT_ML) if self._backend.private else self._backend.base_of(request.tag)
        orders = {
            "inputs": request.inputs,
            "content_type": request.content_type,
            "accept": request.accept,
            "payload": str(base / "payload"),
        }
        prepared = await self._environments.prepare_compiler(deploy, json.dumps(orders))
        async with self._backend.errand(deploy, prepared, request.payload_dir) as errand:
            await _end_of(errand, request.limit_seconds)
            checked = _checked(errand)
            graph = await asyncio.to_thread(_content, errand.work_dir / GRAPH, _GRAPH_BYTES)
            facts = _content(errand.work_dir / FACTS, _FACTS_BYTES)
        await asyncio.to_thread(_pack, request.model_dir, graph, facts, request.target)
        requests = "1 request" if checked == 1 else f"{checked} requests"
        return f"{prepared.description}; {requests} of the sample payload answered as by the plain model"

    def _deploy(self, request: CompileRequest) -> DeployRequest:
        """As of a server that has every core and half of the memory."""
        host = self._backend.host()
        memory_mib = int(host.memory_mib * _MEMORY_SHARE)
        kind = InstanceType("compilation", float(len(host.cores)), memory_mib)
        return DeployRequest(
            tag=request.tag,
            spec=TrialSpec(0, request.tag.unit, kind),
            placement=Placement(host.cores, memory_mib * 1024**2),
            source=request.source,
            model_dir=request.model_dir,
            code_dir=request.code_dir,
            environment=dict(request.source.environment),
            log_path=request.log_path,
            startup_seconds=request.limit_seconds,
            on_progress=request.on_progress,
        )


async def _end_of(errand: Errand, limit_seconds: float) -> None:
    """Wait for it.

    Raises:
        ModelFault: it did not come to an end of its own, in time.
    """
    loop = asyncio.get_running_loop()
    latest = loop.time() + limit_seconds
    while (death := errand.instance.death()) is None:
        if loop.time() > latest:
            raise ModelFault(f"the compilation took longer than {limit_seconds:g} s", errand.instance.log_tail())
        await asyncio.sleep(_LOOK_SECONDS)
    if death != "exited with status 0":
        raise ModelFault(f"the compilation {death}", errand.instance.log_tail())


def _checked(errand: Errand) -> int:
    """How many requests were compared."""
    try:
        verdict = json.loads(_content(errand.work_dir / VERDICT, _FACTS_BYTES))
        refused, checked = verdict.get("refused"), verdict.get("checked")
    except (ValueError, AttributeError) as error:
        raise ModelFault(f"the compilation left no verdict ({error})", errand.instance.log_tail()) from error
    if refused is not None or not isinstance(checked, int):
        raise ModelFault(str(refused), errand.instance.log_tail())
    return checked


def _content(path: Path, limit_bytes: int) -> bytes:
    """A plain file's bytes.

    Raises:
        InputFault: it is not there, is something else, or too long.
    """
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode) or facts.st_size > limit_bytes:
                raise InputFault(f"the compilation's {path.name} is no file of {limit_bytes} bytes at most")
            return file.read(limit_bytes)
    except OSError as error:
        raise InputFault(f"the compilation left no {path.name}: {error.strerror}") from error


def _pack(model_dir: Path | None, graph: bytes, facts: bytes, target: Path) -> None:
    """The model as it was, and its graph in a folder beside: under its plain image it still runs as before."""
    partial = target.with_name(f".{target.name}.partial")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(partial, "w:gz", compresslevel=1) as archive:
            for path in sorted(model_dir.iterdir()) if model_dir is not None else ():
                if path.name != FOLDER:
                    archive.add(path, path.name, filter=_anonymous)
            for name, content in ((GRAPH, graph), (FACTS, facts)):
                member = tarfile.TarInfo(f"{FOLDER}/{name}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without its owner on this host."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member
