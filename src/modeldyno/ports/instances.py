"""Where model servers run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from modeldyno.domain.host import Host
from modeldyno.domain.model import ModelSource
from modeldyno.domain.trial import Flag, Placement, TrialSpec


async def untold(text: str) -> None:
    """Progress that nobody asked for."""


@dataclass(frozen=True, slots=True)
class Tag:
    """Names one deployed server for ever: ``installation/worker/unit/attempt``. Carried in its environment as
    DYNO_TAG."""

    installation: str
    worker: str
    unit: str
    attempt: int

    def __str__(self) -> str:
        return f"{self.installation}/{self.worker}/{self.unit}/{self.attempt}"


@dataclass(frozen=True, slots=True)
class DeployRequest:
    """One model server to start.

    model_dir: the unpacked model, shared between trials and never written; the server sees it as BASE_DIR/model.
    None: empty. code_dir: unpacked sources of an s3:// SAGEMAKER_SUBMIT_DIRECTORY, shared likewise; None: the model's
    own ``code/``. log_path: where its output goes (appended,
    never a pipe).
    environment: what the user and the plan set; the backend adds the container contract's own variables.
    startup_seconds: how long until `/ping` must answer 200. lasting: the server outlives this process when that is
    killed, and can be adopted by the next. on_progress: told, in sentences, of what takes minutes before the server
    starts (an environment that is built).
    """

    tag: Tag
    spec: TrialSpec
    placement: Placement
    source: ModelSource
    model_dir: Path | None
    code_dir: Path | None
    environment: dict[str, str]
    log_path: Path
    startup_seconds: float
    lasting: bool = False
    on_progress: Callable[[str], Awaitable[None]] = untold


@dataclass(frozen=True, slots=True)
class Usage:
    """What an instance has used so far; None where the host cannot tell.

    cpu_seconds: since its start, all its processes, all cores. memory_bytes: now (working set).
    memory_peak_bytes: highest so
    far. core_seconds: per core id of its placement: (all use of that core by anyone, the instance's own), where known.
    """

    cpu_seconds: float | None
    memory_bytes: int | None
    memory_peak_bytes: int | None = None
    core_seconds: dict[int, tuple[float, float]] = field(default_factory=dict)


class Instance(Protocol):
    """A server that answered `/ping` with 200."""

    @property
    def url(self) -> str:
        """``http://127.0.0.1:PORT``."""
        ...

    @property
    def flags(self) -> dict[Flag, str]:
        """What is to be known about figures taken on it (no cgroup, emulated, nearest version, ...)."""
        ...

    @property
    def runtime(self) -> str:
        """What runs in it, in words: ``scikit-learn 1.5.2, script mode, 2 workers``."""
        ...

    @property
    def effective_environment(self) -> dict[str, str]:
        """Variables that took effect and are worth telling, always with the worker count where Dyno decides it."""
        ...

    @property
    def setup_seconds(self) -> float:
        """From the start of its process until `/ping` answered 200."""
        ...

    def usage(self) -> Usage:
        """Resources used so far. Cheap: called once a second."""
        ...

    def death(self) -> str | None:
        """None while it runs; else why it ended, in words (``exited with status 1``, ``killed: out of memory
        (512 MiB)``)."""
        ...

    async def ping(self) -> str | None:
        """Ask `/ping` once, for 2 s at most: None when it answers 200, else how it answered, in words."""
        ...

    def log_tail(self, lines: int = 30) -> str:
        """The last lines of its log."""
        ...


class InstanceBackend(Protocol):
    """Where model servers run."""

    def host(self) -> Host:
        """What this host can be. Constant while the process lives."""
        ...

    def deploy(self, request: DeployRequest) -> AbstractAsyncContextManager[Instance]:
        """Start a server; the context is entered when `/ping` answers 200.

        Leaving the context, by whatever way (cancellation too), ends every process of it (SIGTERM, 2 s,
        SIGKILL) and removes
        its cgroup, mounts and directory; it returns only when nothing is left.

        Raises:
            HostCannot, ModelFault, InputFault: with the reason, and the log's tail where the model is at fault.
        """
        ...

    def adopt(self, request: DeployRequest) -> AbstractAsyncContextManager[Instance] | None:
        """The server that a `lasting` request with this tag started in a former life and that was ready; None where
        there is none, or it has ended. Leaving the context ends it, as of `deploy`."""
        ...

    def discard(self, tag: Tag) -> None:
        """End and clean up what is left of a server that cannot be adopted: it may have left processes behind."""
        ...

    def remove_orphans(self, installation: str, worker: str, keep: Collection[str] = ()) -> int:
        """End and clean up every server of that installation and worker whose `str(tag)` is not in `keep`; how many."""
        ...
