"""An endpoint: what it should serve, its servers, and where it stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from modeldyno.domain.catalog import InstanceType
from modeldyno.domain.model import ModelSource
from modeldyno.domain.serverless import Serverless
from modeldyno.domain.trial import Placement


class EndpointStatus(StrEnum):
    """The wire's spelling. **Source:** botocore enum EndpointStatus."""

    OUT_OF_SERVICE = "OutOfService"
    CREATING = "Creating"
    UPDATING = "Updating"
    SYSTEM_UPDATING = "SystemUpdating"
    ROLLING_BACK = "RollingBack"
    IN_SERVICE = "InService"
    DELETING = "Deleting"
    FAILED = "Failed"
    UPDATE_ROLLBACK_FAILED = "UpdateRollbackFailed"

    @property
    def in_progress(self) -> bool:
        """Whether the engine is at work on it: it can be neither updated nor deleted meanwhile."""
        return self in _IN_PROGRESS


_IN_PROGRESS = frozenset(
    {
        EndpointStatus.CREATING,
        EndpointStatus.UPDATING,
        EndpointStatus.SYSTEM_UPDATING,
        EndpointStatus.ROLLING_BACK,
        EndpointStatus.DELETING,
    }
)


class RoutingStrategy(StrEnum):
    """Which instance of a variant answers. The wire's spelling."""

    LEAST_OUTSTANDING_REQUESTS = "LEAST_OUTSTANDING_REQUESTS"
    RANDOM = "RANDOM"


@dataclass(frozen=True, slots=True)
class VariantSpec:
    """One variant of an endpoint, resolved when the endpoint was made: later changes of its model do not reach it.

    `weight`: of a production variant its share of the traffic beside the others'; of a shadow the share of the requests
    that are mirrored to it, 0..1 (Assumption A-0070). `startup_seconds`: until ``/ping`` must answer.
    `download_seconds`: until the model's data must be there. `serverless`: it has as many servers as invocations need,
    and the type is what each of them is.
    """

    name: str
    source: ModelSource
    instance_type: InstanceType
    count: int = 1
    weight: float = 1.0
    startup_seconds: float = 240.0
    download_seconds: float = 3600.0
    routing: RoutingStrategy = RoutingStrategy.LEAST_OUTSTANDING_REQUESTS
    serverless: Serverless | None = None


@dataclass(frozen=True, slots=True)
class CaptureSpec:
    """What is kept of requests and answers, and where. `percent` of the requests, 0..100."""

    percent: int
    destination: str
    input: bool = True
    output: bool = True
    csv_types: tuple[str, ...] = ()
    json_types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FleetSpec:
    """Everything that serves under one endpoint configuration. `config_name`: that configuration's."""

    config_name: str
    variants: tuple[VariantSpec, ...]
    shadows: tuple[VariantSpec, ...] = ()
    capture: CaptureSpec | None = None

    @property
    def every(self) -> tuple[VariantSpec, ...]:
        """Production variants and shadows."""
        return (*self.variants, *self.shadows)

    @property
    def serverless(self) -> bool:
        """Whether a variant of it is serverless."""
        return any(variant.serverless is not None for variant in self.every)


class RolloutKind(StrEnum):
    """How traffic moves to a new fleet. The wire's spelling, and ROLLING."""

    ALL_AT_ONCE = "ALL_AT_ONCE"
    CANARY = "CANARY"
    LINEAR = "LINEAR"
    ROLLING = "ROLLING"


@dataclass(frozen=True, slots=True)
class Size:
    """A part of a fleet: so many of its instances, or so many percent of them."""

    value: int
    percent: bool

    def share_of(self, instances: int) -> float:
        """As a share of a fleet of so many production instances, above 0 and at most 1."""
        share = self.value / 100 if self.percent else self.value / max(instances, 1)
        return min(1.0, share)


@dataclass(frozen=True, slots=True)
class Rollout:
    """How an update goes. `first`: of CANARY the canary, of LINEAR the step, of ROLLING the batch. `bake_seconds`: the
    wait after each shift. `termination_seconds`: how long the old fleet is kept when it has no traffic any more.
    `limit_seconds`: the whole update, else it is rolled back."""

    kind: RolloutKind = RolloutKind.ALL_AT_ONCE
    first: Size | None = None
    bake_seconds: float = 0.0
    termination_seconds: float = 0.0
    limit_seconds: float = 28_800.0


@dataclass(frozen=True, slots=True)
class Fleet:
    """A fleet of servers. `number` counts the fleets of an endpoint, so that no two servers have one name."""

    number: int
    spec: FleetSpec


@dataclass(frozen=True, slots=True)
class Update:
    """A change of fleets under way.

    share: of the traffic, on the new fleet; shifted_at: when it was set, None before the first shift. `reason`: why it
    is rolled back. A rollback serves from the old fleet.
    """

    fleet: Fleet
    rollout: Rollout
    began_at: float
    share: float = 0.0
    shifted_at: float | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint row. Times are seconds since the Unix epoch.

    fleet: what serves; of an endpoint that is being created, what is to serve. `update`: the change under way to
    another fleet. `before`: what the fleet was before a change in place, to which it goes back when that fails.
    `weights`: a change of weights that waits for the instances of its change of counts. `experiment`, `experiment_id`:
    of the inference experiment that governs it. `rollout_document`: the DeploymentConfig of the last update as it was
    sent.
    """

    id: str
    region: str
    name: str
    arn: str
    status: EndpointStatus
    fleet: Fleet
    created_at: float
    modified_at: float
    update: Update | None = None
    before: FleetSpec | None = None
    weights: dict[str, float] = field(default_factory=dict)
    experiment: str | None = None
    experiment_id: str | None = None
    failure_reason: str | None = None
    rollout_document: dict[str, object] | None = None

    @property
    def fleets(self) -> tuple[Fleet, ...]:
        """What has servers now: the fleet, and the one that an update brings."""
        return (self.fleet,) if self.update is None else (self.fleet, self.update.fleet)

    def has_proven(self, fleet: Fleet) -> bool:
        """Whether that fleet has come up whole before."""
        if self.update is not None and fleet.number == self.update.fleet.number:
            return self.update.shifted_at is not None and self.update.share > 0
        return self.status is not EndpointStatus.CREATING


class ServerStatus(StrEnum):
    """Where one hosted model server stands."""

    PENDING = "PENDING"  # nobody's; a worker takes it
    STARTING = "STARTING"
    READY = "READY"
    UNHEALTHY = "UNHEALTHY"  # was ready, and is being replaced
    FAILED = "FAILED"  # never came up; `reason` says why


@dataclass(frozen=True, slots=True)
class Server:
    """One hosted model server: a row that says what should run, whose it is and where it answers.

    `wanted` False: it is to be drained and removed. `attempt` counts deploys; a write counts only where the attempt is
    the writer's own. `url`: where it answers, None where it does not. `was_ready`: an attempt before was ready once, so
    that it is started again however often it ends. `flags`: what is to be known of it, in words. `usage`: percent of
    what it may use (``cpu``, of one core; ``memory``; ``disk``), as seen last. `setup_seconds`: from the order to start
    it, its model's data included, until it was ready.
    """

    id: str
    endpoint_id: str
    region: str
    endpoint_name: str
    fleet: int
    variant: VariantSpec
    index: int
    shadow: bool = False
    wanted: bool = True
    status: ServerStatus = ServerStatus.PENDING
    attempt: int = 0
    worker_id: str | None = None
    lease_expires_at: float | None = None
    placement: Placement | None = None
    url: str | None = None
    changed_at: float = 0.0
    was_ready: bool = False
    reason: str | None = None
    log_tail: str = ""
    flags: dict[str, str] = field(default_factory=dict)
    usage: dict[str, float] = field(default_factory=dict)
    setup_seconds: float | None = None

    @property
    def serves(self) -> bool:
        """Whether requests may go to it."""
        return self.wanted and self.status is ServerStatus.READY and self.url is not None

    def is_of(self, fleet: Fleet, spec: VariantSpec, *, shadow: bool) -> bool:
        """Whether it is an instance of that variant: one of the same name that had another model is none."""
        named = (self.fleet, self.variant.name, self.shadow) == (fleet.number, spec.name, shadow)
        return named and (self.variant.source, self.variant.instance_type) == (spec.source, spec.instance_type)


def server_id(endpoint_id: str, fleet: int, variant: str, index: int, *, shadow: bool) -> str:
    """Names a server for ever."""
    kind = "s" if shadow else "p"
    return f"{endpoint_id}-{fleet}-{kind}-{variant}-{index}"
