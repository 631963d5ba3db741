"""A compiler without processes: it refuses what it is told to, and makes an archive of nothing but a graph's name."""

from __future__ import annotations

import asyncio
import io
import tarfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from modeldyno.domain.errors import ModelFault
from modeldyno.ports import CompileRequest


async def _at_once() -> None:
    await asyncio.sleep(0)


@dataclass(slots=True)
class FakeCompiler:
    """A pretended compiler (`ports.Compiler`). `refusal`: why it compiles nothing. `meanwhile`: what passes while it
    compiles. `requests`: every one."""

    refusal: str | None = None
    meanwhile: Callable[[], Awaitable[None]] = _at_once
    requests: list[CompileRequest] = field(default_factory=list)

    async def compile(self, request: CompileRequest) -> str:
        """See `ports.Compiler`."""
        self.requests.append(request)
        await self.meanwhile()
        if self.refusal is not None:
            raise ModelFault(self.refusal)
        request.log_path.write_text("a line of the model\n")
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            archive.addfile(tarfile.TarInfo("dyno-compiled/model.onnx"))
        request.target.write_bytes(buffer.getvalue())
        return "a fake; 1 request of the sample payload answered as by the plain model"
