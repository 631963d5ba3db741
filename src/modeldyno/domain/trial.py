"""A trial: one configuration, deployed and measured once. (SageMaker owns the word on the wire: we never say
it there.)"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from modeldyno.domain.catalog import InstanceType
from modeldyno.domain.model import ModelSource
from modeldyno.domain.serverless import Serverless


class TrialStatus(StrEnum):
    """Where a trial stands; the wire's step statuses are the same words."""

    PENDING = "PENDING"
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    STOPPED = "STOPPED"

    @property
    def ended(self) -> bool:
        """Whether it has its result."""
        return self in _ENDED


_ENDED = frozenset({TrialStatus.COMPLETED, TrialStatus.FAILED, TrialStatus.STOPPED})


@dataclass(frozen=True, slots=True)
class CompiledModel:
    """A compiled model and the compilation job that it is of."""

    compilation_job: str
    source: ModelSource


@dataclass(frozen=True, slots=True)
class TrialSpec:
    """One configuration. `environment` is what the model server gets; `tuned` the part that this plan chose.

    `workers` is the effective number of worker processes where Dyno's own runtime decides it, else None. `existing`:
    the id of the endpoint that is measured instead of a server of the trial's own; `endpoint_name` is its name then.
    `specification`: the additional inference specification of the package that is deployed. `compiled`: what is
    deployed in place of the job's model. `serverless`: it is a serverless one, with a server of the type for each of
    its concurrent invocations. `contenders`: it is no configuration but the run-off of these, which are trials of
    the job, best first.
    """

    index: int
    endpoint_name: str
    instance_type: InstanceType
    environment: dict[str, str] = field(default_factory=dict)
    tuned: dict[str, str] = field(default_factory=dict)
    workers: int | None = None
    existing: str | None = None
    specification: str | None = None
    compiled: CompiledModel | None = None
    serverless: Serverless | None = None
    contenders: tuple[TrialSpec, ...] = ()

    @property
    def told(self) -> str:
        """The configuration on one line: the type and what was chosen for it."""
        compiled = ("compiled",) if self.compiled else ()
        settings = (f"{name}={value}" for name, value in self.tuned.items())
        return " ".join((self.instance_type.name, *compiled, *settings))

    @property
    def title(self) -> str:
        """The type, and of a serverless one how many servers."""
        return titled(self.instance_type, self.serverless)


def titled(kind: InstanceType, serverless: Serverless | None) -> str:
    """A type and, where it is a serverless one, how many of its servers, for people."""
    if serverless is None or serverless.concurrency == 1:
        return kind.name
    return f"{kind.name} x {serverless.concurrency}"


@dataclass(frozen=True, slots=True)
class Placement:
    """Where on a host an instance runs.

    `cores` is the cpuset; `cpu_quota` the share of them in cores (None = all of them); `generator_cores` where the load
    generator is pinned; `fills_host` True when the generator shares the model's cores.
    """

    cores: tuple[int, ...]
    memory_bytes: int | None
    cpu_quota: float | None = None
    generator_cores: tuple[int, ...] = ()
    fills_host: bool = False


class Flag(StrEnum):
    """Why a figure may be doubtful. The text beside it says it in words."""

    FILLS_HOST = "fills_host"
    EMULATED = "emulated"
    NO_CGROUP = "no_cgroup"
    FEW_REQUESTS = "few_requests"
    NOT_SETTLED = "not_settled"
    ERRORS = "errors"
    GENERATOR_BUSY = "generator_busy"
    FOREIGN_LOAD = "foreign_load"
    VERSION_NEAREST = "version_nearest"
    ESTIMATED_PRICE = "estimated_price"
    LEAST_PRIVILEGE = "least_privilege"
    STOPPED_EARLY = "stopped_early"
    GENERATOR_DELAYED = "generator_delayed"
    CPU_DRIFT = "cpu_drift"
    TREND = "trend"
    LITTLES_LAW = "littles_law"
    CLOSE_CALL = "close_call"
    OPEN_LOOP = "open_loop"
    SLOWED = "slowed"
    UNEVEN = "uneven"
    MEMORY_GROWS = "memory_grows"
    CANNOT_WIN = "cannot_win"
    LIVE_TRAFFIC = "live_traffic"


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured at the reported level. Every value is measured; None = could not be.

    capacity_per_minute: closed-loop invocations a minute of one instance. latency_ms: exact, at `percentile`.
    cpu_percent: summed over cores (two busy cores = 200), as CloudWatch has it. memory_percent: of the type's limit.
    generator_delay_percent: of the time, waited for its core. foreign_percent: of the model's cores, used by others.
    mean_latency_ms: of the successful invocations.
    `requests`/`failed`: in the windows that the figures rest on, over `measured_seconds`; `total_*` over the
    whole load.
    """

    capacity_per_minute: float
    percentile: float
    latency_ms: float
    latencies_ms: dict[str, float]
    users: int
    requests: int
    failed: int
    measured_seconds: float
    warmup_seconds: float
    total_requests: int
    total_failed: int
    total_seconds: float
    errors: dict[str, int] = field(default_factory=dict)
    cpu_percent: float | None = None
    memory_percent: float | None = None
    memory_peak_bytes: int | None = None
    generator_cpu_percent: float | None = None
    generator_delay_percent: float | None = None
    foreign_percent: float | None = None
    capacity_low_per_minute: float | None = None
    capacity_high_per_minute: float | None = None
    latency_low_ms: float | None = None
    latency_high_ms: float | None = None
    mean_latency_ms: float | None = None
    first_window: int | None = None
    last_window: int | None = None


@dataclass(frozen=True, slots=True)
class OpenLoop:
    """What a trial told of arrivals that do not wait for answers.

    per_minute: the highest Poisson rate at which the threshold holds, with its 95% interval; None: it could not be
    told, `note` says why. `at_least`: the highest rate that was tried held, the answer may lie above it. `requests`:
    arrivals that came to an end in `seconds` of load.
    """

    per_minute: float | None
    low_per_minute: float | None
    high_per_minute: float | None
    at_least: bool
    requests: int
    seconds: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class TrialResult:
    """How a trial ended well: its figures, why the load stopped, and what to know about them. `open_loop` None: it was
    not asked. `setup_seconds`: of a serverless one, its measured cold start."""

    figures: Figures
    stop_reason: str
    flags: dict[Flag, str]
    load_started_at: float
    load_ended_at: float
    effective_environment: dict[str, str] = field(default_factory=dict)
    runtime: str = ""
    open_loop: OpenLoop | None = None
    setup_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """A trial row. `attempt` counts deploys; a write counts only where the attempt is the writer's own."""

    id: str
    job_id: str
    spec: TrialSpec
    status: TrialStatus = TrialStatus.PENDING
    attempt: int = 0
    worker_id: str | None = None
    lease_expires_at: float | None = None
    placement: Placement | None = None
    started_at: float | None = None
    ended_at: float | None = None
    result: TrialResult | None = None
    failure_reason: str | None = None
    log_tail: str = ""
