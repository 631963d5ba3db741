"""What the requests on experiments ask for: schedule, roles, what is deployed, and what is left when one stops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from modeldyno.domain.endpoint import CaptureSpec, Endpoint, EndpointStatus, FleetSpec, VariantSpec
from modeldyno.domain.errors import Conflict, InvalidRequest, UnsupportedRequest
from modeldyno.domain.experiment import (
    DEFAULT_SECONDS,
    MOST_SECONDS,
    Action,
    Experiment,
    reverted,
    with_percent,
)
from modeldyno.operations.context import Context
from modeldyno.operations.fleets import checked_count, variant_of
from modeldyno.operations.shapes import Shape, integer, name, seconds, struct, structs, texts

_EXCLUDED = ("ml.inf1.",)
"""Instance types. **Source:** developer guide, *Shadow testing exclusions*."""


def check_endpoint(endpoint: Endpoint) -> None:
    """Refuse an endpoint that cannot have an experiment now."""
    if endpoint.status is not EndpointStatus.IN_SERVICE:
        raise InvalidRequest(
            f'Endpoint "{endpoint.arn}" is {endpoint.status}: an experiment needs one that is InService.'
        )
    if endpoint.fleet.spec.serverless:
        raise InvalidRequest(
            f'Endpoint "{endpoint.arn}" is serverless: shadow tests do not support serverless inference.'
        )
    if endpoint.experiment is not None:
        raise InvalidRequest(
            f'Endpoint "{endpoint.arn}" belongs to the inference experiment {endpoint.experiment}: an endpoint has one '
            "at a time."
        )


def schedule_of(schedule: Shape, now: float) -> tuple[float, float]:
    """Start and end. Assumption A-0071: each alone takes its default."""
    given = seconds(schedule, "StartTime")
    starts_at = now if given is None else max(given, now)
    ends_at = seconds(schedule, "EndTime")
    ends_at = starts_at + DEFAULT_SECONDS if ends_at is None else ends_at
    _check_end(starts_at, ends_at, now)
    return starts_at, ends_at


def _check_end(starts_at: float, ends_at: float, now: float) -> None:
    if ends_at <= max(starts_at, now):
        raise InvalidRequest("Schedule.EndTime must be later than Schedule.StartTime and than now.")
    if ends_at - starts_at > MOST_SECONDS:
        days = (ends_at - starts_at) / 86_400
        raise InvalidRequest(f"The schedule is {days:.1f} days long; an experiment lasts 30 days at most.")


def roles_of(params: Shape) -> tuple[str, str]:
    """Names of production and shadow."""
    config = struct(params, "ShadowModeConfig")
    production = name(config, "SourceModelVariantName")
    shadow = name(structs(config, "ShadowModelVariants")[0], "ShadowModelVariantName")
    named = {name(one, "VariantName") for one in structs(params, "ModelVariants")}
    problems = []
    if production == shadow:
        problems.append(f"The variant {production} cannot be its own shadow.")
    for variant, member in ((production, "SourceModelVariantName"), (shadow, "ShadowModelVariantName")):
        if variant not in named:
            problems.append(f"{member} {variant} is not among the ModelVariants.")
    problems += [f"The variant {one} of ModelVariants has no role." for one in sorted(named - {production, shadow})]
    if problems:
        raise InvalidRequest(problems)
    return production, shadow


def percent_of(params: Shape) -> int:
    """Of production's requests that are mirrored."""
    percent = integer(structs(struct(params, "ShadowModeConfig"), "ShadowModelVariants")[0], "SamplingPercentage") or 0
    if not 0 <= percent <= 100:
        raise InvalidRequest(f"SamplingPercentage {percent} is not allowed: it must be from 0 to 100.")
    return percent


def fleet_for(context: Context, params: Shape, endpoint: Endpoint | None, config_name: str) -> FleetSpec:
    """What is deployed for it. A production variant that the endpoint has already is taken as it is there, so that its
    servers go on."""
    production, shadow = roles_of(params)
    by_name = {name(one, "VariantName"): _deployed(context, one) for one in structs(params, "ModelVariants")}
    source = _as_it_serves(by_name[production], endpoint)
    fleet = FleetSpec(config_name, (source,), (by_name[shadow],), _capture(struct(params, "DataStorageConfig")))
    return with_percent(fleet, percent_of(params))


def _deployed(context: Context, shape: Shape) -> VariantSpec:
    infrastructure = struct(struct(shape, "InfrastructureConfig"), "RealTimeInferenceConfig")
    instance_type = name(infrastructure, "InstanceType")
    if instance_type.startswith(_EXCLUDED):
        raise UnsupportedRequest(f"InstanceType {instance_type} is not supported: shadow tests exclude Inf1 instances.")
    count = checked_count(integer(infrastructure, "InstanceCount") or 0, "InstanceCount", name(shape, "VariantName"))
    return variant_of(context, name(shape, "VariantName"), name(shape, "ModelName"), instance_type, count)


def _as_it_serves(wanted: VariantSpec, endpoint: Endpoint | None) -> VariantSpec:
    here = {} if endpoint is None else {one.name: one for one in endpoint.fleet.spec.variants}
    serving = here.get(wanted.name)
    if serving is None:
        return wanted
    same = (serving.source, serving.instance_type, serving.count) == (wanted.source, wanted.instance_type, wanted.count)
    return (
        serving
        if same
        else replace(
            wanted,
            startup_seconds=serving.startup_seconds,
            download_seconds=serving.download_seconds,
            routing=serving.routing,
        )
    )


def _capture(shape: Shape) -> CaptureSpec | None:
    """Everything that is mirrored or served is captured: there is no percentage in a DataStorageConfig."""
    if not shape:
        return None
    types = struct(shape, "ContentType")
    return CaptureSpec(
        percent=100,
        destination=name(shape, "Destination"),
        csv_types=texts(types, "CsvContentTypes"),
        json_types=texts(types, "JsonContentTypes"),
    )


# --- update and stop -------------------------------------------------------------------------------------------------


def updated(context: Context, row: Experiment, params: Shape, endpoint: Endpoint | None, now: float) -> Experiment:
    """Of one that has not started: any of its members."""
    document = {**row.document, **{member: params[member] for member in params if member not in ("Name", "Schedule")}}
    schedule = struct(params, "Schedule")
    starts_at = row.starts_at if (given := seconds(schedule, "StartTime")) is None else max(given, now)
    ends_at = row.ends_at if (given := seconds(schedule, "EndTime")) is None else given
    _check_end(starts_at, ends_at, now)
    config_name = f"{row.name[:40].rstrip('-')}-{context.entropy.token(8)}"
    fleet = row.fleet
    if any(member in params for member in ("ModelVariants", "ShadowModeConfig", "DataStorageConfig")):
        fleet = fleet_for(context, document, endpoint, config_name)
    roles = roles_of(document)
    return replace(
        row,
        document=document,
        starts_at=starts_at,
        ends_at=ends_at,
        fleet=fleet,
        production=roles[0],
        shadow=roles[1],
        percent=percent_of(document),
        modified_at=now,
    )


def updated_running(row: Experiment, params: Shape, now: float) -> Experiment:
    """**Source:** botocore, UpdateInferenceExperimentInput: of a running one the end of its schedule; the console also
    changes description and percentage."""
    for member in ("ModelVariants", "DataStorageConfig"):
        if member in params and params[member] != row.document.get(member):
            raise Conflict(f"{member} cannot be changed: the inference experiment {row.name} is Running.")
    schedule = struct(params, "Schedule")
    started = seconds(schedule, "StartTime")
    if started is not None and abs(started - row.starts_at) >= 1.0:
        raise Conflict(f"Schedule.StartTime cannot be changed: the inference experiment {row.name} is Running.")
    ends_at = row.ends_at if (given := seconds(schedule, "EndTime")) is None else given
    _check_end(row.starts_at, ends_at, now)
    changed: Shape = {member: params[member] for member in ("Description", "ShadowModeConfig") if member in params}
    document = {**row.document, **changed}
    if roles_of(document) != (row.production, row.shadow):
        raise Conflict(f"The roles of the variants cannot be changed: {row.name} is Running.")
    percent = percent_of(document)
    return replace(
        row,
        document=document,
        ends_at=ends_at,
        percent=percent,
        fleet=with_percent(row.fleet, percent),
        modified_at=now,
    )


def after_stop(context: Context, row: Experiment, actions: Shape, desired: Sequence[Shape]) -> FleetSpec | None:
    """What the endpoint serves afterwards; None: nothing, it is deleted. Assumption A-0072: the combinations.

    **Source:** the combinations that AWS's resource provider for CloudFormation sends.
    """
    known = {row.production, row.shadow}
    problems = [
        f"ModelVariantActions has an action for {one}, which is no variant." for one in actions if one not in known
    ]
    problems += [f"ModelVariantActions has no action for {one}." for one in sorted(known - set(actions))]
    if problems:
        raise InvalidRequest(problems)
    wanted = (Action(name(actions, row.production)), Action(name(actions, row.shadow)))
    specs = {name(one, "VariantName"): _deployed(context, one) for one in desired}
    if unknown := sorted(set(specs) - known):
        raise InvalidRequest(f"DesiredModelVariants names {', '.join(unknown)}, which is no variant.")
    production = specs.get(row.production, row.fleet.variants[0])
    shadow = specs.get(row.shadow, row.fleet.shadows[0])
    config_name = f"{row.name[:40].rstrip('-')}-{context.entropy.token(8)}"
    if wanted == (Action.REMOVE, Action.PROMOTE):
        promoted = replace(shadow, weight=1.0)
        return FleetSpec(config_name, (promoted,), (), row.former.capture if row.former is not None else None)
    if wanted == (Action.RETAIN, Action.REMOVE):
        return reverted(row) if not specs else replace(reverted(row), config_name=config_name, variants=(production,))
    if wanted == (Action.RETAIN, Action.RETAIN):
        kept = replace(
            row.fleet, variants=(production,), shadows=(replace(shadow, weight=row.fleet.shadows[0].weight),)
        )
        return row.fleet if not specs else replace(kept, config_name=config_name)
    if wanted == (Action.REMOVE, Action.REMOVE):
        return None
    raise InvalidRequest(
        f"The actions {row.production}={wanted[0]}, {row.shadow}={wanted[1]} cannot be carried out together: the "
        "production variant is retained and the shadow retained or removed, or the shadow is promoted and the "
        "production variant removed, or both are removed."
    )
