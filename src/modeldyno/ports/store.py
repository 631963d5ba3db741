"""Where facts are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from modeldyno.domain.host import Host
from modeldyno.domain.job import Job, JobStatus
from modeldyno.domain.measurement import Window
from modeldyno.domain.resource import Cursor, Kind, Query, Resource
from modeldyno.domain.run_off import RunOff
from modeldyno.domain.trial import Placement, Trial, TrialResult, TrialSpec, TrialStatus
from modeldyno.ports.hosting import HostingStore
from modeldyno.ports.keys import KeyStore
from modeldyno.ports.metrics import MetricStore


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list and where the next begins (None: there is none)."""

    items: tuple[Resource, ...]
    next: Cursor | None


@dataclass(frozen=True, slots=True)
class JobPage:
    """One page of jobs."""

    items: tuple[Job, ...]
    next: Cursor | None


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a job's story. `trial_index` None: of the job itself. `at`: seconds since the Unix epoch."""

    at: float
    message: str
    trial_index: int | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """A trial that is now this worker's, with its job, under `trial.attempt`, at `trial.placement`."""

    job: Job
    trial: Trial


Place = Callable[[Trial, Sequence[Placement]], Placement | None]


class Store(HostingStore, MetricStore, KeyStore, Protocol):
    """Where facts are kept. Every method is one transaction; each retries on a lost connection.

    Raises `ResourceInUse` / `ResourceNotFound` (domain.errors) with plain messages; operations reword them for
    the wire.
    """

    @property
    def installation(self) -> str:
        """The id of this installation (made with the schema, never changes)."""
        ...

    def close(self) -> None:
        """Let go of every connection."""
        ...

    # resources and tags
    def add_resource(self, resource: Resource, tags: dict[str, str] | None = None) -> None:
        """Add one; `ResourceInUse` when (kind, region, name) exists."""
        ...

    def add_version(self, make: Callable[[int], Resource], kind: Kind, region: str, parent: str) -> Resource:
        """Add `make(n)` under the next free version number n >= 1 of `parent`, never one used before.
        `ResourceNotFound` when
        the parent (a PACKAGE_GROUP) is gone. Where a version of the parent has its label ``client_token`` already, that
        one is returned and nothing is added."""
        ...

    def resource(self, kind: Kind, region: str, name: str) -> Resource:
        """The one; `ResourceNotFound`."""
        ...

    def update_resource(self, kind: Kind, region: str, name: str, change: Callable[[Resource], Resource]) -> Resource:
        """Replace it by `change(it)` atomically; `ResourceNotFound`."""
        ...

    def remove_resource(self, kind: Kind, region: str, name: str) -> None:
        """Remove it and its tags; `ResourceNotFound`. A PACKAGE_GROUP with versions left: `Conflict`."""
        ...

    def find_resources(self, kind: Kind, query: Query) -> Page:
        """One page."""
        ...

    def set_tags(self, arn: str, tags: dict[str, str], limit: int = 50) -> dict[str, str]:
        """Add or overwrite tags; all tags after. More than `limit` in the end: `LimitExceeded`, nothing changed."""
        ...

    def tags(self, arn: str) -> dict[str, str]:
        """Its tags, sorted by key."""
        ...

    def remove_tags(self, arn: str, keys: Iterable[str]) -> None:
        """Remove those that are there."""
        ...

    # jobs, as the API sees them
    def add_job(self, job: Job, tags: dict[str, str] | None = None) -> None:
        """Add a PENDING job; `ResourceInUse` when (region, name) exists."""
        ...

    def job(self, region: str, name: str) -> Job:
        """The job; `ResourceNotFound`."""
        ...

    def find_jobs(self, query: Query) -> JobPage:
        """One page; `equals` knows ``status``, ``model_name``, ``model_package_arn`` and ``model_key``
        (`ModelSource.key`)."""
        ...

    def request_stop(self, region: str, name: str, now: float) -> Job:
        """Set the stop flag and STOPPING; `Conflict` when the job has ended (or is stopping already: returns
        it unchanged)."""
        ...

    def remove_job(self, region: str, name: str) -> None:
        """Remove an ended job with its trials, windows, log and tags; `Conflict` when it has not ended."""
        ...

    def trials(self, job_id: str) -> tuple[Trial, ...]:
        """Its trials in order of index; its run-off is none of them."""
        ...

    def run_off(self, job_id: str) -> Trial | None:
        """Its run-off, as the row that is claimed and ended like a trial; None: it has none (yet)."""
        ...

    def windows(self, trial_id: str, attempt: int | None = None, after: int = -1) -> tuple[Window, ...]:
        """Windows of a trial's attempt (None: the latest) with a sequence above `after`, in order."""
        ...

    def log(self, job_id: str, lines: Sequence[LogLine]) -> None:
        """Append to the job's story."""
        ...

    def log_lines(self, job_id: str, trial_index: int | None = None) -> tuple[LogLine, ...]:
        """The story in order; with `trial_index`, of that trial only."""
        ...

    # jobs, as a worker sees them. `worker_id` is stable and unique.
    def heartbeat(self, worker_id: str, host: Host, now: float, lease_seconds: float) -> None:
        """Register or renew the worker, and every lease it holds, to `now + lease_seconds`."""
        ...

    def unplanned_jobs(self) -> tuple[Job, ...]:
        """Jobs PENDING, oldest first."""
        ...

    def plan_job(self, job_id: str, trials: Sequence[TrialSpec], notes: Sequence[str], now: float) -> bool:
        """Store the trials and go PENDING -> IN_PROGRESS; False when somebody else did (or it was stopped).
        Idempotent."""
        ...

    def extend_job(self, job_id: str, trials: Sequence[TrialSpec], now: float) -> bool:
        """Append trials to a job that is IN_PROGRESS and not stopping; their indices follow those that are there. False
        (nothing is written) when the job is not, or when somebody else has appended meanwhile. Idempotent by index. One
        with contenders is the job's run-off."""
        ...

    def active_jobs(self) -> tuple[Job, ...]:
        """Jobs IN_PROGRESS or STOPPING, oldest first."""
        ...

    def ended_jobs(self, since: float) -> tuple[Job, ...]:
        """Jobs that ended at that time or later, oldest first."""
        ...

    def claim_trial(self, worker_id: str, place: Place, now: float, lease_seconds: float) -> Claim | None:
        """The next trial for this worker, in one transaction.

        Oldest job first, then index. Only trials that are PENDING, or IN_PROGRESS with an expired lease; of
        jobs that are IN_PROGRESS,
        not stopped, within `max_parallel` and within their duration. `place(trial, placements of this worker's
        own live trials)`
        decides room: None = not now (later trials of the same job are not tried; other jobs are only when
        nothing of the older
        waits for room, so that a big trial does not starve); `HostCannot` ends that trial FAILED with the
        reason and the
        search goes on. Increments the attempt, sets lease and placement, IN_PROGRESS, deletes windows of older
        attempts.
        """
        ...

    def stop_wanted(self, trial_id: str, attempt: int) -> bool:
        """Whether the trial's job is to stop, or the attempt is no longer the caller's."""
        ...

    def add_window(self, trial_id: str, attempt: int, window: Window) -> bool:
        """Store a window; False when the attempt is not current (nothing is written). Idempotent by sequence."""
        ...

    def finish_trial(
        self,
        trial_id: str,
        attempt: int,
        status: TrialStatus,
        now: float,
        *,
        result: TrialResult | None = None,
        failure_reason: str | None = None,
        log_tail: str = "",
        run_off: RunOff | None = None,
    ) -> bool:
        """End the trial; False when the attempt is not current. `run_off`: how it ended, where it is one; its job
        tells it from now on."""
        ...

    def release_trial(self, trial_id: str, attempt: int) -> bool:
        """Give an unfinished trial back (PENDING again): a clean shutdown. False when the attempt is not current."""
        ...

    def release_worker(self, worker_id: str) -> int:
        """At a worker's start: give back every trial it held in a former life; how many."""
        ...

    def finish_job(
        self,
        job_id: str,
        status: JobStatus,
        now: float,
        failure_reason: str | None = None,
        notes: Sequence[str] = (),
        story: Sequence[str] = (),
    ) -> bool:
        """End the job, with `notes` after those of its plan: every trial that is still PENDING becomes STOPPED. False
        when it had ended, or when a trial is still running. Idempotent. Whoever sees the end sees `story`, the last of
        its log lines, too: clients wait for both."""
        ...

    def prune(self, before: float) -> int:
        """Remove windows and log lines of jobs that ended before that time; how many jobs."""
        ...
