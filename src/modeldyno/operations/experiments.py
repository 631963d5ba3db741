"""Inference experiments: create, describe, update, start, stop, delete, list. The engine does the rest.

**Source:** botocore, the seven operations and their shapes; developer guide, *Shadow tests*; AWS's resource provider
for CloudFormation (which states and conflicts it meets).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from modeldyno.domain.endpoint import Endpoint, FleetSpec, VariantSpec
from modeldyno.domain.errors import Conflict, ResourceInUse, ResourceNotFound
from modeldyno.domain.experiment import MOST_SECONDS, Experiment, ExperimentStatus, StopOrder, with_percent
from modeldyno.domain.names import arn_of
from modeldyno.domain.resource import Kind, Resource
from modeldyno.operations.context import Context
from modeldyno.operations.experiment_plans import (
    after_stop,
    check_endpoint,
    fleet_for,
    percent_of,
    roles_of,
    schedule_of,
    updated,
    updated_running,
)
from modeldyno.operations.experiment_shapes import metadata_shape, reason_of, summary_shape, variant_shape
from modeldyno.operations.margins import margins_of
from modeldyno.operations.pagination import at_or_after, query, write_token
from modeldyno.operations.shapes import Shape, name, struct, structs, text
from modeldyno.operations.tags import new_tags
from modeldyno.operations.unsupported import refuse_unsupported

_SETTLE_SECONDS = 10.0
_SETTLE_POLL_SECONDS = 0.01
_ECHOED = ("Description", "RoleArn", "KmsKey", "DataStorageConfig", "ShadowModeConfig", "Type")


def create(context: Context, params: Shape) -> Shape:
    """Store an experiment that is Creating; it starts by its schedule."""
    operation = "CreateInferenceExperiment"
    refuse_unsupported(operation, params, unenforced=context.accept_unenforced)
    tags = new_tags(params)
    experiment_name = name(params, "Name")
    endpoint = _endpoint(context, name(params, "EndpointName"))
    if endpoint is not None:
        check_endpoint(endpoint)
    now = context.now()
    starts_at, ends_at = schedule_of(struct(params, "Schedule"), now)
    roles = roles_of(params)
    token = context.entropy.token(16)
    experiment = Experiment(
        id=token,
        region=context.region,
        name=experiment_name,
        arn=arn_of(Kind.EXPERIMENT, context.region, context.account, experiment_name),
        status=ExperimentStatus.CREATING,
        endpoint_name=name(params, "EndpointName"),
        endpoint_arn=arn_of(Kind.ENDPOINT, context.region, context.account, name(params, "EndpointName")),
        production=roles[0],
        shadow=roles[1],
        percent=percent_of(params),
        fleet=fleet_for(context, params, endpoint, f"{experiment_name[:40].rstrip('-')}-{token[:8]}"),
        starts_at=starts_at,
        ends_at=ends_at,
        created_at=now,
        modified_at=now,
        document={member: params[member] for member in (*_ECHOED, "ModelVariants") if member in params},
        margins=margins_of(context.margins, tags),
    )
    try:
        context.store.add_experiment(experiment, tags)
    except ResourceInUse:
        raise ResourceInUse(f"Inference experiment {experiment_name} already exists: {experiment.arn}") from None
    _store_config(context, experiment.fleet)
    return {"InferenceExperimentArn": experiment.arn}


def describe(context: Context, params: Shape) -> Shape:
    """The request as it was, what updates made of it, and where the experiment and its variants stand."""
    experiment = _find(context, name(params, "Name"))
    endpoint = _endpoint(context, experiment.endpoint_name)
    servers = [] if endpoint is None else [one for one in context.store.servers() if one.endpoint_id == endpoint.id]
    return {
        **{member: experiment.document.get(member) for member in _ECHOED},
        "Arn": experiment.arn,
        "Name": experiment.name,
        "Schedule": {"StartTime": experiment.starts_at, "EndTime": experiment.ends_at},
        "Status": str(experiment.status),
        "StatusReason": reason_of(experiment),
        "CreationTime": experiment.created_at,
        "CompletionTime": experiment.completed_at,
        "LastModifiedTime": experiment.modified_at,
        "EndpointMetadata": metadata_shape(experiment, endpoint),
        "ModelVariants": [variant_shape(experiment, one, endpoint, servers) for one in experiment.fleet.every],
    }


def update(context: Context, params: Shape) -> Shape:
    """Change an experiment: all of it before it starts; its end, description and percentage while it runs.

    When the call answers, every front goes by the new percentage.
    """
    operation = "UpdateInferenceExperiment"
    refuse_unsupported(operation, params, unenforced=context.accept_unenforced)
    experiment_name = name(params, "Name")
    before = _find(context, experiment_name)
    endpoint = _endpoint(context, before.endpoint_name)
    now = context.now()

    def change(row: Experiment) -> Experiment:
        if row.status is ExperimentStatus.CREATED:
            return updated(context, row, params, endpoint, now)
        if row.status is ExperimentStatus.RUNNING:
            return updated_running(row, params, now)
        raise _conflict(row, "updated", "Created or Running")

    after = _changed(context, experiment_name, change)
    if after.fleet.config_name != before.fleet.config_name:
        _store_config(context, after.fleet)
    if after.status is ExperimentStatus.RUNNING and after.percent != before.percent:
        _set_percent(context, after)
    return {"InferenceExperimentArn": after.arn}


def start(context: Context, params: Shape) -> Shape:
    """Start now, before the schedule does."""
    now = context.now()

    def change(row: Experiment) -> Experiment:
        if row.status is not ExperimentStatus.CREATED:
            raise _conflict(row, "started", "Created")
        # Source: developer guide: a duration that becomes longer than 30 days ends 30 days after the new start.
        ends_at = min(row.ends_at, now + MOST_SECONDS)
        return replace(row, status=ExperimentStatus.STARTING, starts_at=now, ends_at=ends_at, modified_at=now)

    return {"InferenceExperimentArn": _changed(context, name(params, "Name"), change).arn}


def stop(context: Context, params: Shape) -> Shape:
    """End it, with what is to become of each variant."""
    refuse_unsupported("StopInferenceExperiment", params)
    now = context.now()
    desired = structs(params, "DesiredModelVariants")

    def change(row: Experiment) -> Experiment:
        if row.status is not ExperimentStatus.RUNNING:
            raise _conflict(row, "stopped", "Running")
        state = ExperimentStatus(text(params, "DesiredState") or "Completed")
        after = after_stop(context, row, struct(params, "ModelVariantActions"), desired)
        order = StopOrder(state, after, text(params, "Reason"))
        return replace(row, status=ExperimentStatus.STOPPING, stop=order, modified_at=now)

    stopped = _changed(context, name(params, "Name"), change)
    if stopped.stop is not None and stopped.stop.after is not None:
        _store_config(context, stopped.stop.after)
    return {"InferenceExperimentArn": stopped.arn}


def delete(context: Context, params: Shape) -> Shape:
    """Remove what is known of it; the endpoint and what was captured stay."""
    experiment = _find(context, name(params, "Name"))
    if not experiment.status.ended and experiment.status is not ExperimentStatus.CREATED:
        raise _conflict(experiment, "deleted", "Created, Completed or Cancelled")
    try:
        context.store.remove_experiment(context.region, experiment.name)
    except ResourceNotFound:
        raise _not_found(context, experiment.name) from None
    return {"InferenceExperimentArn": experiment.arn}


def list_experiments(context: Context, params: Shape) -> Shape:
    """Experiments of the region, newest first unless asked otherwise."""
    operation = "ListInferenceExperiments"
    refuse_unsupported(operation, params)
    equals = {"status": text(params, "StatusEquals")}
    asked = at_or_after(query(context, operation, params, order="Descending", equals=equals))
    page = context.store.find_resources(Kind.EXPERIMENT, asked)
    found = [_find_or_none(context, item.name) for item in page.items]
    return {
        "InferenceExperiments": [summary_shape(one) for one in found if one is not None],
        "NextToken": write_token(context, operation, params, page.next),
    }


# --- finding ---------------------------------------------------------------------------------------------------------


def _find(context: Context, experiment_name: str) -> Experiment:
    found = _find_or_none(context, experiment_name)
    if found is None:
        raise _not_found(context, experiment_name)
    return found


def _find_or_none(context: Context, experiment_name: str) -> Experiment | None:
    try:
        return context.store.experiment(context.region, experiment_name)
    except ResourceNotFound:
        return None


def _not_found(context: Context, experiment_name: str) -> ResourceNotFound:
    arn = arn_of(Kind.EXPERIMENT, context.region, context.account, experiment_name)
    return ResourceNotFound(f'Could not find inference experiment "{arn}".')


def _endpoint(context: Context, endpoint_name: str) -> Endpoint | None:
    try:
        return context.store.endpoint(context.region, endpoint_name)
    except ResourceNotFound:
        return None


def _changed(context: Context, experiment_name: str, change: Callable[[Experiment], Experiment]) -> Experiment:
    try:
        return context.store.change_experiment(context.region, experiment_name, change)
    except ResourceNotFound:
        raise _not_found(context, experiment_name) from None


def _conflict(experiment: Experiment, verb: str, allowed: str) -> Conflict:
    return Conflict(
        f"The inference experiment {experiment.name} is {experiment.status}; it can only be {verb} when it is "
        f"{allowed}."
    )


def _store_config(context: Context, fleet: FleetSpec) -> None:
    """An endpoint configuration that shows what the experiment deploys, under the name that its endpoint tells."""
    now = context.now()

    def shape(variant: VariantSpec) -> Shape:
        return {
            "VariantName": variant.name,
            "ModelName": variant.source.model_name,
            "InstanceType": variant.instance_type.name,
            "InitialInstanceCount": variant.count,
            "InitialVariantWeight": variant.weight,
        }

    document: Shape = {
        "EndpointConfigName": fleet.config_name,
        "ProductionVariants": [shape(one) for one in fleet.variants],
    }
    if fleet.shadows:
        document["ShadowProductionVariants"] = [shape(one) for one in fleet.shadows]
    config = Resource(
        kind=Kind.ENDPOINT_CONFIG,
        region=context.region,
        name=fleet.config_name,
        arn=arn_of(Kind.ENDPOINT_CONFIG, context.region, context.account, fleet.config_name),
        status="InService",
        created_at=now,
        modified_at=now,
        document=document,
    )
    try:
        context.store.add_resource(config)
    except ResourceInUse:
        return  # it is there: the one before the experiment, or made by an earlier call


def _set_percent(context: Context, experiment: Experiment) -> None:
    """Change what the endpoint mirrors, and wait until every front goes by it."""

    def change(endpoint: Endpoint) -> Endpoint:
        if endpoint.experiment_id != experiment.id:
            return endpoint
        spec = with_percent(endpoint.fleet.spec, experiment.percent)
        return replace(endpoint, fleet=replace(endpoint.fleet, spec=spec), modified_at=context.now())

    try:
        context.store.change_endpoint(context.region, experiment.endpoint_name, change)
    except ResourceNotFound:
        return
    version = context.store.routes_version()
    until = context.clock.monotonic() + _SETTLE_SECONDS
    while context.store.fronts_behind(version, context.clock.now()) and context.clock.monotonic() < until:
        context.clock.pause(_SETTLE_POLL_SECONDS)
