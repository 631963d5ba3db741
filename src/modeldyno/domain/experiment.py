"""An inference experiment: production beside a shadow for a while, and then the endpoint as it is to be.

Creating -> Created -> Starting -> Running -> Stopping -> Completed | Cancelled. One that starts at once goes from
Creating to Running. What goes wrong ends it Cancelled, with the reason, and the endpoint goes back to what it was.

**Source:** botocore, InferenceExperimentStatus; developer guide, *Shadow tests*; the order of statuses as AWS's
resource provider for CloudFormation waits for them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum

from modeldyno.domain.endpoint import Endpoint, EndpointStatus, FleetSpec

DEFAULT_SECONDS = 7 * 86_400.0
MOST_SECONDS = 30 * 86_400.0
"""**Source:** botocore, InferenceExperimentSchedule; developer guide, *Create a shadow test*: 7 days unless told, at
most 30."""


class ExperimentStatus(StrEnum):
    """The wire's spelling. **Source:** botocore enum InferenceExperimentStatus."""

    CREATING = "Creating"
    CREATED = "Created"
    UPDATING = "Updating"
    RUNNING = "Running"
    STARTING = "Starting"
    STOPPING = "Stopping"
    COMPLETED = "Completed"
    CANCELLED = "Cancelled"

    @property
    def ended(self) -> bool:
        """Whether nothing will change any more (but for deletion)."""
        return self in (ExperimentStatus.COMPLETED, ExperimentStatus.CANCELLED)


class Action(StrEnum):
    """What becomes of a variant when the experiment stops. The wire's spelling."""

    RETAIN = "Retain"
    REMOVE = "Remove"
    PROMOTE = "Promote"


@dataclass(frozen=True, slots=True)
class StopOrder:
    """How the experiment ends. `after`: what the endpoint serves then; None: there is no endpoint then. `applied`: the
    endpoint is on its way there."""

    state: ExperimentStatus
    after: FleetSpec | None
    reason: str | None = None
    applied: bool = False


@dataclass(frozen=True, slots=True)
class Margins:
    """What a shadow must keep to be fit, set beforehand. Percent of production's figure, or of all requests."""

    latency_percent: float = 10.0
    error_percent: float = 1.0
    agreement_percent: float = 95.0
    numeric_tolerance: float = 1e-6
    confidence_percent: float = 95.0
    stop_when_harmful: bool = False


@dataclass(frozen=True, slots=True)
class Experiment:
    """An experiment row. Times are seconds since the Unix epoch.

    fleet: production and shadow, as they are deployed for it. `former`: what the endpoint served before; None: there
    was no endpoint, or it has not begun. `document`: the request as Describe echoes it, with what updates made of it.
    `stop`: how it is to end. `applied`: the endpoint is on its way to `fleet`.
    """

    id: str
    region: str
    name: str
    arn: str
    status: ExperimentStatus
    endpoint_name: str
    endpoint_arn: str
    production: str
    shadow: str
    percent: int
    fleet: FleetSpec
    starts_at: float
    ends_at: float
    created_at: float
    modified_at: float
    document: dict[str, object] = field(default_factory=dict)
    margins: Margins = Margins()
    former: FleetSpec | None = None
    applied: bool = False
    completed_at: float | None = None
    status_reason: str | None = None
    stop: StopOrder | None = None


class Deed(StrEnum):
    """What the engine is to do to the endpoint."""

    NOTHING = "nothing"
    BEGIN = "begin"  # bring it to the experiment's fleet
    END = "end"  # bring it to what the stop order says


@dataclass(frozen=True, slots=True)
class Turn:
    """The next state of an experiment, what to do to its endpoint, and what to say."""

    experiment: Experiment
    deed: Deed = Deed.NOTHING
    said: str = ""


def turn(experiment: Experiment, endpoint: Endpoint | None, now: float) -> Turn:
    """The next step of an experiment beside its endpoint. Pure; repeated until nothing changes."""
    status = experiment.status
    if status is ExperimentStatus.CREATING:
        if experiment.starts_at > now:
            return Turn(_to(experiment, ExperimentStatus.CREATED, now), said="Created; it waits for its start.")
        return _starting(experiment, endpoint, now)
    if status is ExperimentStatus.CREATED:
        if now < experiment.starts_at:
            return Turn(experiment)
        return Turn(_to(experiment, ExperimentStatus.STARTING, now), said="Starting.")
    if status is ExperimentStatus.STARTING:
        return _starting(experiment, endpoint, now)
    if status is ExperimentStatus.RUNNING:
        return _running(experiment, endpoint, now)
    if status is ExperimentStatus.STOPPING:
        return _stopping(experiment, endpoint, now)
    return Turn(experiment)


def _starting(experiment: Experiment, endpoint: Endpoint | None, now: float) -> Turn:
    if not experiment.applied:
        return _applied(experiment, endpoint, now)
    if endpoint is None and experiment.former is not None:
        return _cancel(experiment, "The endpoint was deleted.", now)
    if endpoint is not None and endpoint.experiment_id != experiment.id and experiment.former is None:
        return Turn(replace(experiment, applied=False))  # somebody made an endpoint of that name meanwhile
    if endpoint is not None and endpoint.experiment_id not in (None, experiment.id):
        return _cancel(experiment, f"The endpoint belongs to the experiment {endpoint.experiment}.", now)
    if endpoint is None or endpoint.experiment_id != experiment.id:
        return Turn(experiment, Deed.BEGIN)  # the engine ended between the two
    if endpoint.status.in_progress:
        return Turn(experiment)
    if endpoint.status is not EndpointStatus.IN_SERVICE or endpoint.failure_reason:
        return _undo(experiment, endpoint.failure_reason or f"The endpoint is {endpoint.status}.", now)
    return Turn(_to(experiment, ExperimentStatus.RUNNING, now), said="Running.")


def _applied(experiment: Experiment, endpoint: Endpoint | None, now: float) -> Turn:
    """Take the endpoint, once it is at rest and nobody's."""
    if endpoint is None:
        return Turn(replace(experiment, applied=True), Deed.BEGIN, "The endpoint is made.")
    if endpoint.status.in_progress:
        return Turn(experiment)
    if endpoint.status is not EndpointStatus.IN_SERVICE:
        return _cancel(experiment, f"The endpoint {endpoint.name} is {endpoint.status}.", now)
    if endpoint.experiment_id not in (None, experiment.id):
        return _cancel(experiment, f"The endpoint belongs to the experiment {endpoint.experiment}.", now)
    taken = replace(experiment, former=endpoint.fleet.spec, applied=True)
    return Turn(taken, Deed.BEGIN, "The variants are deployed.")


def _running(experiment: Experiment, endpoint: Endpoint | None, now: float) -> Turn:
    if endpoint is None:
        return _cancel(experiment, "The endpoint was deleted.", now)
    if now < experiment.ends_at:
        return Turn(experiment)
    order = StopOrder(ExperimentStatus.COMPLETED, reverted(experiment), "The scheduled duration is over.")
    return Turn(_to(replace(experiment, stop=order), ExperimentStatus.STOPPING, now), said="The end of the schedule.")


def _stopping(experiment: Experiment, endpoint: Endpoint | None, now: float) -> Turn:
    order = experiment.stop
    assert order is not None  # Stopping is entered with one
    if not order.applied:
        if endpoint is not None and endpoint.status.in_progress:
            return Turn(experiment)
        return Turn(replace(experiment, stop=replace(order, applied=True)), Deed.END)
    if endpoint is not None and endpoint.experiment_id == experiment.id:
        return Turn(experiment, Deed.END)  # the engine ended between the two
    if endpoint is not None and endpoint.status.in_progress:
        return Turn(experiment)
    reason, state = order.reason, order.state
    if endpoint is not None and endpoint.failure_reason:
        reason, state = f"The endpoint could not be changed: {endpoint.failure_reason}", ExperimentStatus.CANCELLED
    done = replace(_to(experiment, state, now), completed_at=now, status_reason=reason)
    return Turn(done, said=f"{state}: {reason}" if reason else f"{state}.")


def _undo(experiment: Experiment, reason: str, now: float) -> Turn:
    """It could not begin: the endpoint goes back to what it was."""
    order = StopOrder(ExperimentStatus.CANCELLED, experiment.former, reason)
    return Turn(_to(replace(experiment, stop=order), ExperimentStatus.STOPPING, now), said=f"Not started: {reason}")


def _cancel(experiment: Experiment, reason: str, now: float) -> Turn:
    done = replace(_to(experiment, ExperimentStatus.CANCELLED, now), completed_at=now, status_reason=reason)
    return Turn(done, said=f"Cancelled: {reason}")


def _to(experiment: Experiment, status: ExperimentStatus, now: float) -> Experiment:
    return replace(experiment, status=status, modified_at=now)


def reverted(experiment: Experiment) -> FleetSpec:
    """What the endpoint served before; where there was none, production alone."""
    return experiment.former or replace(experiment.fleet, shadows=())


def with_percent(spec: FleetSpec, percent: int) -> FleetSpec:
    """The fleet with another share of production's requests mirrored to its shadow."""
    base = spec.variants[0].weight
    return replace(spec, shadows=tuple(replace(one, weight=base * percent / 100.0) for one in spec.shadows))
