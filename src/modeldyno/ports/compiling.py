"""What compiles models."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from modeldyno.domain.model import ModelSource
from modeldyno.ports.instances import Tag, untold


@dataclass(frozen=True, slots=True)
class CompileRequest:
    """One model to compile.

    model_dir, code_dir: as of a `DeployRequest`. payload_dir: sample requests, of `content_type`, by which the compiled
    model is held against the plain one; `accept` None: any. inputs: shapes by the names of the inputs. target: the file
    that becomes the compiled model, a tar.gz. log_path: where the model's output goes (appended).
    on_progress: as of a `DeployRequest`.
    """

    tag: Tag
    source: ModelSource
    model_dir: Path | None
    code_dir: Path | None
    payload_dir: Path
    content_type: str
    accept: str | None
    inputs: Mapping[str, tuple[int, ...]]
    target: Path
    log_path: Path
    limit_seconds: float
    on_progress: Callable[[str], Awaitable[None]] = untold


class Compiler(Protocol):
    """Compiles models on this host, in processes and environments of their own, never in this one."""

    async def compile(self, request: CompileRequest) -> str:
        """Make `target`, whole or not at all; what it runs on and how its answers compare, in words. May take minutes;
        cancelled, it leaves nothing behind.

        Raises:
            TrialFailure: the model cannot be compiled, or its compiled answers differ; the reason, and the log's tail
            where the model's code is at fault.
        """
        ...
