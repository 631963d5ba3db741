"""From an endpoint configuration, as it was sent, to what is deployed: every model followed through to its files."""

from __future__ import annotations

from modeldyno.domain.catalog import InstanceType
from modeldyno.domain.endpoint import CaptureSpec, FleetSpec, Rollout, RolloutKind, RoutingStrategy, Size, VariantSpec
from modeldyno.domain.errors import InvalidRequest, LimitExceeded, ResourceNotFound
from modeldyno.domain.names import arn_of
from modeldyno.domain.resource import Kind, Resource
from modeldyno.domain.serverless import type_name
from modeldyno.operations.context import Context
from modeldyno.operations.serverless import serverless_of
from modeldyno.operations.shapes import Shape, integer, name, number, struct, structs, text, texts
from modeldyno.operations.sources import find_model, model_source, source_of_model

STARTUP_SECONDS = 240.0
"""**Source:** developer guide: a container must answer /ping within 4 minutes of its start."""
DOWNLOAD_SECONDS = 3600.0
"""**Source:** botocore, ProductionVariant.ModelDataDownloadTimeoutInSeconds, the most that can be asked for."""
MAX_SHARE = 50
"""Percent. **Source:** botocore, TrafficRoutingConfig: the size of a canary, a step or a batch."""


MOST_INSTANCES = 200
"""Of a variant. Chosen: each is a process of a host, and a row that every front reads; AWS has a quota, too."""


def checked_count(count: int, member: str, variant: str) -> int:
    """How many instances a variant is to have.

    Raises:
        InvalidRequest: none. LimitExceeded: more than can be.
    """
    if count < 1:
        raise InvalidRequest(f"{member} {count} of {variant} is not allowed: the least is 1.")
    if count > MOST_INSTANCES:
        raise LimitExceeded(f"{member} {count} of {variant} is not allowed: the most is {MOST_INSTANCES}.")
    return count


def find_config(context: Context, config_name: str) -> Resource:
    """The endpoint configuration; refused in AWS's words when there is none."""
    try:
        return context.store.resource(Kind.ENDPOINT_CONFIG, context.region, config_name)
    except ResourceNotFound:
        arn = arn_of(Kind.ENDPOINT_CONFIG, context.region, context.account, config_name)
        raise InvalidRequest(f'Could not find endpoint configuration "{arn}".') from None


def fleet_spec(context: Context, config: Resource) -> FleetSpec:
    """What a configuration deploys, as its models are now.

    Raises:
        InvalidRequest: a model is gone, or cannot be run here.
    """
    document = config.document
    return FleetSpec(
        config_name=config.name,
        variants=tuple(_variant(context, shape) for shape in structs(document, "ProductionVariants")),
        shadows=tuple(_variant(context, shape) for shape in structs(document, "ShadowProductionVariants")),
        capture=_capture(struct(document, "DataCaptureConfig")),
    )


def variant_of(context: Context, variant: str, model_name: str, instance_type: str, count: int) -> VariantSpec:
    """A variant with every setting at its default."""
    source = source_of_model(context, find_model(context, model_name))
    return VariantSpec(
        name=variant,
        source=model_source(context, source, model_name, None),
        instance_type=instance_type_of(context, instance_type),
        count=count,
    )


def instance_type_of(context: Context, named: str) -> InstanceType:
    """The type; one of AWS's that the catalogue does not know has no facts, and no host can be it."""
    return context.catalogue.every.get(named) or InstanceType(named)


def _variant(context: Context, shape: Shape) -> VariantSpec:
    source = source_of_model(context, find_model(context, name(shape, "ModelName")))
    serverless = serverless_of(shape, "the variant", [])
    type_asked = name(shape, "InstanceType") if serverless is None else type_name(serverless.memory_mb)
    routing = text(struct(shape, "RoutingConfig"), "RoutingStrategy")
    weight = number(shape, "InitialVariantWeight")
    return VariantSpec(
        name=name(shape, "VariantName"),
        source=model_source(context, source, name(shape, "ModelName"), None),
        instance_type=instance_type_of(context, type_asked),
        count=checked_count(
            integer(shape, "InitialInstanceCount") or 1, "InitialInstanceCount", name(shape, "VariantName")
        ),
        weight=1.0 if weight is None else weight,
        startup_seconds=float(integer(shape, "ContainerStartupHealthCheckTimeoutInSeconds") or STARTUP_SECONDS),
        download_seconds=float(integer(shape, "ModelDataDownloadTimeoutInSeconds") or DOWNLOAD_SECONDS),
        routing=RoutingStrategy(routing) if routing else RoutingStrategy.LEAST_OUTSTANDING_REQUESTS,
        serverless=serverless,
    )


def _capture(shape: Shape) -> CaptureSpec | None:
    if not shape or shape.get("EnableCapture") is False:
        return None
    modes = {name(option, "CaptureMode") for option in structs(shape, "CaptureOptions")}
    types = struct(shape, "CaptureContentTypeHeader")
    return CaptureSpec(
        percent=integer(shape, "InitialSamplingPercentage") or 0,
        destination=name(shape, "DestinationS3Uri"),
        input=bool(modes & {"Input", "InputAndOutput"}),
        output=bool(modes & {"Output", "InputAndOutput"}),
        csv_types=texts(types, "CsvContentTypes"),
        json_types=texts(types, "JsonContentTypes"),
    )


# --- how an update goes ----------------------------------------------------------------------------------------------


def rollout_of(document: Shape) -> Rollout:
    """A DeploymentConfig; all at once where there is none.

    Raises:
        InvalidRequest: both policies, or sizes that the policy does not allow.
    """
    blue_green, rolling = struct(document, "BlueGreenUpdatePolicy"), struct(document, "RollingUpdatePolicy")
    if blue_green and rolling:
        raise InvalidRequest("Provide only one of BlueGreenUpdatePolicy and RollingUpdatePolicy, not both.")
    if rolling:
        return _rolling(rolling)
    return _blue_green(blue_green) if blue_green else Rollout()


def _rolling(policy: Shape) -> Rollout:
    return Rollout(
        kind=RolloutKind.ROLLING,
        first=_size(struct(policy, "MaximumBatchSize"), "RollingUpdatePolicy.MaximumBatchSize", 5),
        bake_seconds=float(integer(policy, "WaitIntervalInSeconds") or 0),
        limit_seconds=float(integer(policy, "MaximumExecutionTimeoutInSeconds") or Rollout().limit_seconds),
    )


def _blue_green(policy: Shape) -> Rollout:
    traffic = struct(policy, "TrafficRoutingConfiguration")
    kind = RolloutKind(name(traffic, "Type"))
    members = {RolloutKind.CANARY: ("CanarySize", 1), RolloutKind.LINEAR: ("LinearStepSize", 10)}
    first = None
    for wanted, (member, least) in members.items():
        given = struct(traffic, member)
        if wanted is kind and not given:
            raise InvalidRequest(f"{member} is required with TrafficRoutingConfiguration.Type {kind}.")
        if wanted is not kind and given:
            raise InvalidRequest(f"{member} cannot be given with TrafficRoutingConfiguration.Type {kind}.")
        if given:
            first = _size(given, f"TrafficRoutingConfiguration.{member}", least)
    return Rollout(
        kind=kind,
        first=first,
        bake_seconds=float(integer(traffic, "WaitIntervalInSeconds") or 0),
        termination_seconds=float(integer(policy, "TerminationWaitInSeconds") or 0),
        limit_seconds=float(integer(policy, "MaximumExecutionTimeoutInSeconds") or Rollout().limit_seconds),
    )


def _size(shape: Shape, what: str, least_percent: int) -> Size:
    percent = name(shape, "Type") == "CAPACITY_PERCENT"
    value = integer(shape, "Value") or 0
    if percent and not least_percent <= value <= MAX_SHARE:
        raise InvalidRequest(
            f"{what} of {value} CAPACITY_PERCENT is not allowed: it must be from {least_percent} to {MAX_SHARE}."
        )
    return Size(value, percent)
