"""What the core asks of the world: Protocols, nothing else.

Every implementation and every fake shipped in `modeldyno.testing` passes the contract suite of its port
(`modeldyno.testing.contracts`). Store, object store, clock and entropy are synchronous and safe to call from
several threads;
instances and load are asynchronous and stay on the loop that made them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from modeldyno.domain.host import Host
from modeldyno.domain.job import Job, JobStatus
from modeldyno.domain.measurement import Window
from modeldyno.domain.model import ModelSource
from modeldyno.domain.resource import Cursor, Kind, Query, Resource
from modeldyno.domain.traffic import Arrivals
from modeldyno.domain.trial import Flag, Placement, Trial, TrialResult, TrialSpec, TrialStatus


class Clock(Protocol):
    """The time. `now` for people (may jump), `monotonic` for durations."""

    def now(self) -> float:
        """Seconds since the Unix epoch."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait. Cancellable at any moment."""
        ...


class Entropy(Protocol):
    """What must not repeat."""

    def token(self, length: int) -> str:
        """`length` characters of ``[a-z0-9]``, unpredictable."""
        ...

    def seed(self) -> int:
        """A non-negative seed below 2**32."""
        ...


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """What an archive may hold at most, unpacked."""

    total_bytes: int = 20 * 1024**3
    members: int = 100_000


@dataclass(frozen=True, slots=True)
class ArchiveFacts:
    """What was unpacked: regular files and their bytes, and the sha256 of the archive as it was fetched."""

    files: int
    total_bytes: int
    sha256: str


class ObjectStore(Protocol):
    """Bytes at ``s3://bucket/key``.

    `put` is atomic (a reader sees the old object or the new one, whole) and idempotent. Unknown objects, bad URLs and
    unreachable stores raise `ObjectError` with the URL and the reason.
    """

    def put(self, url: str, source: Path | bytes) -> None:
        """Store a file or bytes under the URL."""
        ...

    def fetch(self, url: str, target: Path) -> int:
        """Copy the object to a local file (streamed); returns its size in bytes."""
        ...

    def read(self, url: str, limit_bytes: int) -> bytes:
        """The whole object; refuses one over `limit_bytes`."""
        ...

    def exists(self, url: str) -> bool:
        """Whether the object is there."""
        ...

    def unpack(self, url: str, target: Path, limits: ArchiveLimits) -> ArchiveFacts:
        """Fetch a tar.gz and unpack it into `target` (made, must be empty), as plain files and directories only.

        `target` is complete or not there at all afterwards. Links are kept when they stay inside. Traversal,
        links out, device files and sizes over the limits are refused.

        Raises:
            InputFault: not gzip, not a tar, refused content; names the member and the rule.
            ObjectError: the object is missing or cannot be read.
        """
        ...


# --- instances -------------------------------------------------------------------------------------------------------


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
    startup_seconds: how long until `/ping` must answer 200.
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
    on_progress: Callable[[str], None] = field(default=lambda text: None)


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

    def usage(self) -> Usage:
        """Resources used so far. Cheap: called once a second."""
        ...

    def death(self) -> str | None:
        """None while it runs; else why it ended, in words (``exited with status 1``, ``killed: out of memory
        (512 MiB)``)."""
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

    def remove_orphans(self, installation: str, worker: str, keep: Collection[str] = ()) -> int:
        """End and clean up every server of that installation and worker whose `str(tag)` is not in `keep`; how many."""
        ...


# --- load ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LoadTarget:
    """What the generator drives: `url` + `path` with bodies drawn (seeded) from `payload_dir`'s files.

    payload_dir: None: requests have no body. path: with the query, percent-encoded. headers: beside (or instead of)
    Host, Content-Type and Accept. timeout_seconds: counted from a request's intended time. max_connections: that an
    open loop may open. raw_path: a file for per-request records (`load.raw`), `raw_limit` of them at most.
    """

    url: str
    payload_dir: Path | None
    content_type: str | None
    accept: str | None
    seed: int
    timeout_seconds: float = 60.0
    cores: tuple[int, ...] = ()
    method: str = "POST"
    path: str = "/invocations"
    headers: tuple[tuple[str, str], ...] = ()
    max_connections: int = 1024
    raw_path: Path | None = None
    raw_limit: int = 1_000_000


class LoadSession(Protocol):
    """A running generator process. It is in one loop at a time: users end arrivals, and arrivals end users."""

    async def set_users(self, users: int, *, redraw: bool = False) -> None:
        """Change the number of closed-loop users at once; `redraw`: open all connections anew.

        The open window ends here, however short it is (marked `settling` where it is shorter than a window); a
        settling window of `measurement.SETTLE_SECONDS` follows, then ordinary ones. Where nothing changes, nothing is
        cut. 0: nothing new is sent; what is in flight is still counted, in the windows in which it ends.
        """
        ...

    async def set_rate(self, per_second: float, arrivals: Arrivals = Arrivals.POISSON, *, redraw: bool = False) -> None:
        """Change the rate of open-loop arrivals at once; windows are cut as by `set_users`.

        Arrivals have intended times, drawn with the target's seed, and do not wait for answers: each takes a connection
        that is free, or a new one up to the target's `max_connections`, beyond which it waits in the generator. Its
        latency counts from the intended time, whatever it waited for. One that waits longer than the target's timeout
        fails as ``timeout``, and one that finds 100,000 waiting as ``not_sent``. Another rate leaves waiting arrivals
        where they are; after 0 they are still sent, and users give them up.

        Raises:
            ValueError: a rate below 0, infinite or not a number.
            ServiceError: the generator has died.
        """
        ...

    def windows(self) -> AsyncIterator[Window]:
        """One window a second until the session is left. The iterator ends (raises nothing) when the session is closed;
        a dead generator raises `ServiceError`. Windows are contiguous, but for idle time before the first users."""
        ...


class LoadGenerator(Protocol):
    """How users are simulated."""

    def drive(self, target: LoadTarget) -> AbstractAsyncContextManager[LoadSession]:
        """Start a generator with 0 users. Leaving the context ends its process, in-flight requests included."""
        ...


# --- store -----------------------------------------------------------------------------------------------------------


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


class Store(Protocol):
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
        """One page; `equals` knows ``status``, ``model_name``, ``model_package_arn``."""
        ...

    def request_stop(self, region: str, name: str, now: float) -> Job:
        """Set the stop flag and STOPPING; `Conflict` when the job has ended (or is stopping already: returns
        it unchanged)."""
        ...

    def remove_job(self, region: str, name: str) -> None:
        """Remove an ended job with its trials, windows, log and tags; `Conflict` when it has not ended."""
        ...

    def trials(self, job_id: str) -> tuple[Trial, ...]:
        """Its trials in order of index."""
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
        (nothing is written) when the job is not, or when somebody else has appended meanwhile. Idempotent by index."""
        ...

    def active_jobs(self) -> tuple[Job, ...]:
        """Jobs IN_PROGRESS or STOPPING, oldest first."""
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
    ) -> bool:
        """End the trial; False when the attempt is not current."""
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
    ) -> bool:
        """End the job, with `notes` after those of its plan: every trial that is still PENDING becomes STOPPED. False
        when it had ended, or when a trial is still running. Idempotent."""
        ...

    def prune(self, before: float) -> int:
        """Remove windows and log lines of jobs that ended before that time; how many jobs."""
        ...
