"""A recommendation job: what was asked for, and where it stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from modeldyno.domain.catalog import InstanceType
from modeldyno.domain.model import ModelSource, PayloadSource
from modeldyno.domain.run_off import RunOff
from modeldyno.domain.serverless import Serverless
from modeldyno.domain.traffic import Traffic


class JobType(StrEnum):
    """The wire's spelling."""

    DEFAULT = "Default"
    ADVANCED = "Advanced"


class JobStatus(StrEnum):
    """The wire's spelling. Source: botocore enum RecommendationJobStatus."""

    PENDING = "PENDING"
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    STOPPING = "STOPPING"
    STOPPED = "STOPPED"
    DELETING = "DELETING"
    DELETED = "DELETED"

    @property
    def ended(self) -> bool:
        """Whether nothing will change any more (but for deletion)."""
        return self in _ENDED


_ENDED = frozenset({JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.STOPPED, JobStatus.DELETED})


@dataclass(frozen=True, slots=True)
class LatencyThreshold:
    """`percentile` (0..100, e.g. 95.0) of model latency must stay at or under `limit_ms` milliseconds."""

    percentile: float
    limit_ms: int


@dataclass(frozen=True, slots=True)
class StoppingRules:
    """When the load of one trial ends. `target_per_minute` is the wire's StoppingConditions.MaxInvocations."""

    target_per_minute: int | None = None
    threshold: LatencyThreshold | None = None
    stop_when_flat: bool = True

    @property
    def percentile(self) -> float:
        """The percentile that ModelLatency reports: the threshold's, P95 where there is none."""
        return self.threshold.percentile if self.threshold else 95.0


@dataclass(frozen=True, slots=True)
class Candidate:
    """One EndpointConfiguration of an Advanced job: a type and the values to try for each variable.
    `specification`: the name of the package's additional inference specification that is deployed; None: its own.
    `serverless`: it is a serverless one, and the type that of one of its servers."""

    instance_type: str
    ranges: dict[str, tuple[str, ...]] = field(default_factory=dict)
    specification: str | None = None
    serverless: Serverless | None = None


@dataclass(frozen=True, slots=True)
class Specification:
    """An additional inference specification of a package: what is deployed of it, and what it is asked to answer in."""

    model: ModelSource
    accept: str | None = None


@dataclass(frozen=True, slots=True)
class ExistingEndpoint:
    """An endpoint that is measured as it serves: its one production variant as it was when the job was created.

    `id` tells it from a later endpoint of the same name. `count`: of its instances.
    """

    name: str
    id: str
    variant: str
    instance_type: InstanceType
    count: int = 1
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CompilationOrder:
    """That a job's model is to be compiled. `data_input_config`: the wire's, None where none was given. `output_url`:
    the ``s3://`` prefix under which the compiled model is stored."""

    data_input_config: str | None
    output_url: str


@dataclass(frozen=True, slots=True)
class JobSpec:
    """Everything the engine needs to run a job; made once, when the job is created, and never changed.

    `supported_instance_types` narrows a Default job; empty means "the types this host can be". `candidates` and
    `traffic` are of Advanced jobs. `duration_seconds` is the wire's JobDurationInSeconds: no new trial starts after it.
    `thorough`: every configuration is measured to the end, also one that cannot win. `open_loop`: where there is a
    threshold, the rate of arrivals that holds it is searched, too, in Default jobs. `run_off`: leaders that lie close
    together are measured again in turns. `endpoint`: is measured first,
    beside its own traffic, and counts as a test. `specifications`: by name, those that the candidates ask for.
    `compilation`: the model is measured compiled, too, as far as that goes.
    `serverless`: a Default job that tries the serverless sizes.
    """

    job_type: JobType
    model: ModelSource
    payload: PayloadSource
    rules: StoppingRules = StoppingRules()
    supported_instance_types: tuple[str, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    ranges: dict[str, tuple[str, ...]] = field(default_factory=dict)
    traffic: Traffic | None = None
    max_tests: int | None = None
    max_parallel: int = 1
    duration_seconds: int | None = None
    seed: int = 0
    thorough: bool = False
    open_loop: bool = True
    run_off: bool = True
    endpoint: ExistingEndpoint | None = None
    specifications: dict[str, Specification] = field(default_factory=dict)
    compilation: CompilationOrder | None = None
    serverless: bool = False

    def deployed(self, specification: str | None) -> Specification:
        """What a trial of that specification deploys and asks for; None: what the job as a whole does."""
        if specification is None:
            return Specification(self.model, self.payload.accept)
        return self.specifications[specification]


@dataclass(frozen=True, slots=True)
class Job:
    """A job row. Times are seconds since the Unix epoch; `document` is the validated request in the wire's shape.

    `region` and `name` are unique together. `plan_notes` says, in words, what was left out of the plan and why.
    `started_at`: when it went IN_PROGRESS; `JobSpec.duration_seconds` counts from there. `run_off`: how its leaders
    came out when they were measured again in turns; it decides their order.
    """

    id: str
    region: str
    name: str
    arn: str
    status: JobStatus
    spec: JobSpec
    document: dict[str, object]
    created_at: float
    modified_at: float
    completed_at: float | None = None
    stop_requested: bool = False
    failure_reason: str | None = None
    plan_notes: tuple[str, ...] = ()
    started_at: float | None = None
    run_off: RunOff | None = None
