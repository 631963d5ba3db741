"""What the engine works with: the ports it was given and its few numbers."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from modeldyno.domain.catalog import Catalogue
from modeldyno.domain.endpoint import Server
from modeldyno.domain.job import Job
from modeldyno.ports import Clock, Compiler, InstanceBackend, LoadGenerator, ObjectStore, SpoolSource, Store


class Permit(Protocol):
    """The host-wide right to measure: one Dyno at a time. Safe to ask often."""

    def try_acquire(self) -> bool:
        """Whether this process holds it now."""
        ...

    def release(self) -> None:
        """Give it back; does nothing when it is not held."""
        ...


@dataclass(frozen=True, slots=True)
class Options:
    """Numbers of the engine. Seconds, but for `max_users`."""

    startup_seconds: float = 240.0
    request_timeout_seconds: float = 60.0
    max_trial_seconds: float = 120.0
    max_users: int = 512
    open_loop_seconds: float = 45.0
    run_off_seconds: float = 20.0
    lease_seconds: float = 15.0
    poll_seconds: float = 0.25
    retention_seconds: float = 30 * 86_400.0
    capture_seconds: float = 30 * 86_400.0


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything a worker is made of.

    work_dir: unpacked models and payloads, one directory a job, removed when the job has ended. log_path: where a
    trial's server writes. hosted_dir, server_log: the same for
    the servers of endpoints. spool: what this host's fronts write down. publish: writes the result file of an ended
    job, is_published: whether it is there. prune_files: called with a time (seconds since the epoch) before which files
    of ended jobs go. note: one line for the operator's log.
    """

    store: Store
    objects: ObjectStore
    backend: InstanceBackend
    compiler: Compiler
    generator: LoadGenerator
    clock: Clock
    catalogue: Catalogue
    runtimes: Collection[str]
    permit: Permit
    work_dir: Path
    log_path: Callable[[Job, int], Path]
    hosted_dir: Path
    server_log: Callable[[Server], Path]
    publish: Callable[[Job], None]
    is_published: Callable[[Job], bool]
    prune_files: Callable[[float], None]
    note: Callable[[str], None]
    options: Options = Options()
    spool: SpoolSource | None = None
