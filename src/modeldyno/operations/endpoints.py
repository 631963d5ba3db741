"""Endpoints: create, describe, update, list, delete. The engine does the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from modeldyno.domain.endpoint import (
    Endpoint,
    EndpointStatus,
    Fleet,
    FleetSpec,
    Server,
    ServerStatus,
    Update,
    VariantSpec,
)
from modeldyno.domain.errors import InvalidRequest, ResourceInUse, ResourceNotFound
from modeldyno.domain.names import arn_of, keep_end
from modeldyno.domain.resource import Kind
from modeldyno.domain.rollout import resized, update_to
from modeldyno.domain.serverless import Serverless
from modeldyno.operations.context import Context
from modeldyno.operations.fleets import checked_count, find_config, fleet_spec, rollout_of
from modeldyno.operations.pagination import at_or_after, query, write_token
from modeldyno.operations.serverless import check_update, serverless_shape, updated_serverless
from modeldyno.operations.shapes import Shape, integer, name, number, struct, structs, text
from modeldyno.operations.tags import new_tags
from modeldyno.operations.unsupported import refuse_unsupported

_SERVING = (EndpointStatus.IN_SERVICE, EndpointStatus.UPDATING, EndpointStatus.ROLLING_BACK)
_FAILURE_CHARACTERS = 1024
"""Source: botocore shape FailureReason."""


def create(context: Context, params: Shape) -> Shape:
    """Store an endpoint that is Creating; the engine brings it up."""
    refuse_unsupported("CreateEndpoint", params)
    tags = new_tags(params)
    rollout_of(struct(params, "DeploymentConfig"))
    endpoint_name = name(params, "EndpointName")
    spec = fleet_spec(context, find_config(context, name(params, "EndpointConfigName")))
    endpoint = new_endpoint(context, endpoint_name, spec)
    try:
        context.store.add_endpoint(endpoint, tags)
    except ResourceInUse:
        raise InvalidRequest(f'Cannot create already existing endpoint "{endpoint.arn}".') from None
    return {"EndpointArn": endpoint.arn}


def new_endpoint(context: Context, endpoint_name: str, spec: FleetSpec) -> Endpoint:
    """An endpoint that is to be brought up."""
    now = context.now()
    return Endpoint(
        id=context.entropy.token(16),
        region=context.region,
        name=endpoint_name,
        arn=arn_of(Kind.ENDPOINT, context.region, context.account, endpoint_name),
        status=EndpointStatus.CREATING,
        fleet=Fleet(1, spec),
        created_at=now,
        modified_at=now,
    )


def describe(context: Context, params: Shape) -> Shape:
    """What serves, and what is on its way."""
    endpoint = find_endpoint(context, name(params, "EndpointName"))
    return endpoint_shape(endpoint, [one for one in context.store.servers() if one.endpoint_id == endpoint.id])


def endpoint_shape(endpoint: Endpoint, servers: Sequence[Server]) -> Shape:
    """An endpoint with what serves, and what is on its way."""
    fleet = endpoint.fleet
    return {
        "EndpointName": endpoint.name,
        "EndpointArn": endpoint.arn,
        "EndpointConfigName": fleet.spec.config_name,
        "ProductionVariants": _variants(endpoint, fleet, servers, shadow=False),
        "ShadowProductionVariants": _variants(endpoint, fleet, servers, shadow=True) or None,
        "DataCaptureConfig": _capture(endpoint),
        "EndpointStatus": str(endpoint.status),
        "FailureReason": keep_end(endpoint.failure_reason, _FAILURE_CHARACTERS) if endpoint.failure_reason else None,
        "CreationTime": endpoint.created_at,
        "LastModifiedTime": endpoint.modified_at,
        "LastDeploymentConfig": endpoint.rollout_document,
        "PendingDeploymentSummary": _pending(endpoint, servers),
    }


def update(context: Context, params: Shape) -> Shape:
    """Move the endpoint to another configuration; the old one serves until the new one does."""
    refuse_unsupported("UpdateEndpoint", params)
    spec = fleet_spec(context, find_config(context, name(params, "EndpointConfigName")))
    document = struct(params, "DeploymentConfig")
    excluded = {name(one, "VariantPropertyType") for one in structs(params, "ExcludeRetainedVariantProperties")}
    if excluded and not params.get("RetainAllVariantProperties"):
        raise InvalidRequest("ExcludeRetainedVariantProperties needs RetainAllVariantProperties.")
    if document and params.get("RetainDeploymentConfig"):
        raise InvalidRequest("Provide only one of DeploymentConfig and RetainDeploymentConfig, not both.")
    rollout_of(document)

    def change(endpoint: Endpoint) -> Endpoint:
        require_settled(endpoint)
        require_free(endpoint)
        used = endpoint.rollout_document or {} if params.get("RetainDeploymentConfig") else document
        check_update(endpoint, spec, rollout_of(used))
        kept = _retained(spec, endpoint.fleet.spec, excluded) if params.get("RetainAllVariantProperties") else spec
        update = Update(endpoint.fleet, rollout_of(used), context.now())
        return replace(update_to(endpoint, kept, update, context.now()), rollout_document=used or None)

    return {"EndpointArn": _changed(context, name(params, "EndpointName"), change).arn}


def update_weights(context: Context, params: Shape) -> Shape:
    """Change the weights of variants, and how many instances they have."""
    refuse_unsupported("UpdateEndpointWeightsAndCapacities", params)
    wanted = structs(params, "DesiredWeightsAndCapacities")

    def change(endpoint: Endpoint) -> Endpoint:
        require_settled(endpoint)
        require_free(endpoint)
        counts, weights, serverless = _sizes(endpoint, wanted)
        return resized(endpoint, counts, weights, context.now(), serverless)

    return {"EndpointArn": _changed(context, name(params, "EndpointName"), change).arn}


def list_endpoints(context: Context, params: Shape) -> Shape:
    """Endpoints of the region, newest first unless asked otherwise."""
    operation = "ListEndpoints"
    refuse_unsupported(operation, params)
    equals = {"status": text(params, "StatusEquals")}
    asked = at_or_after(query(context, operation, params, order="Descending", equals=equals))
    page = context.store.find_resources(Kind.ENDPOINT, asked)
    rows = [
        {
            "EndpointName": it.name,
            "EndpointArn": it.arn,
            "CreationTime": it.created_at,
            "LastModifiedTime": it.modified_at,
            "EndpointStatus": it.status,
        }
        for it in page.items
    ]
    return {"Endpoints": rows, "NextToken": write_token(context, operation, params, page.next)}


def delete(context: Context, params: Shape) -> None:
    """Stop serving; the engine removes every server, then the endpoint is gone."""

    def change(endpoint: Endpoint) -> Endpoint:
        if endpoint.status.in_progress:
            raise InvalidRequest(f'Cannot update in-progress endpoint "{endpoint.arn}".')
        require_free(endpoint)
        return replace(endpoint, status=EndpointStatus.DELETING, modified_at=context.now())

    _changed(context, name(params, "EndpointName"), change)


# --- rules -----------------------------------------------------------------------------------------------------------


def find_endpoint(context: Context, endpoint_name: str) -> Endpoint:
    """The endpoint; refused in AWS's words when there is none."""
    try:
        return context.store.endpoint(context.region, endpoint_name)
    except ResourceNotFound:
        raise absent_endpoint(context, endpoint_name) from None


def absent_endpoint(context: Context, endpoint_name: str) -> InvalidRequest:
    """The refusal of an endpoint that is not there."""
    arn = arn_of(Kind.ENDPOINT, context.region, context.account, endpoint_name)
    return InvalidRequest(f'Could not find endpoint "{arn}".')


def require_settled(endpoint: Endpoint) -> None:
    """**Source:** the message as the service was seen to answer (sagemaker-python-sdk#101); a failed endpoint can only
    be deleted: botocore, DescribeEndpointOutput.EndpointStatus."""
    if endpoint.status.in_progress:
        raise InvalidRequest(f'Cannot update in-progress endpoint "{endpoint.arn}".')
    if endpoint.status in (EndpointStatus.FAILED, EndpointStatus.UPDATE_ROLLBACK_FAILED):
        raise InvalidRequest(f'Endpoint "{endpoint.arn}" is {endpoint.status}: it can only be deleted.')


def require_free(endpoint: Endpoint) -> None:
    """That no experiment governs it. Assumption A-0074."""
    if endpoint.experiment is not None:
        raise InvalidRequest(
            f'Endpoint "{endpoint.arn}" belongs to the inference experiment {endpoint.experiment}: stop the experiment '
            "first."
        )


def _changed(context: Context, endpoint_name: str, change: Callable[[Endpoint], Endpoint]) -> Endpoint:
    try:
        return context.store.change_endpoint(context.region, endpoint_name, change)
    except ResourceNotFound:
        raise absent_endpoint(context, endpoint_name) from None


def _retained(new: FleetSpec, old: FleetSpec, excluded: set[str]) -> FleetSpec:
    """What was set at run time is kept. **Source:** botocore, UpdateEndpointInput.RetainAllVariantProperties."""
    before = {variant.name: variant for variant in old.variants}

    def kept(variant: VariantSpec) -> VariantSpec:
        here = before.get(variant.name)
        if here is None:
            return variant
        count = variant.count if "DesiredInstanceCount" in excluded else here.count
        weight = variant.weight if "DesiredWeight" in excluded else here.weight
        return replace(variant, count=count, weight=weight)

    capture = new.capture if "DataCaptureConfig" in excluded else old.capture
    return replace(new, variants=tuple(map(kept, new.variants)), capture=capture)


def _sizes(
    endpoint: Endpoint, wanted: Sequence[Shape]
) -> tuple[dict[str, int], dict[str, float], dict[str, Serverless | None]]:
    spec = endpoint.fleet.spec
    known = {variant.name for variant in spec.variants}
    counts: dict[str, int] = {}
    weights: dict[str, float] = {}
    settings = {one.name: one.serverless for one in spec.variants}
    for one in wanted:
        variant = name(one, "VariantName")
        if variant not in known:
            raise InvalidRequest(f'The endpoint "{endpoint.arn}" has no production variant {variant}.')
        settings[variant] = updated_serverless(settings[variant], one, variant)
        if (count := integer(one, "DesiredInstanceCount")) is not None:
            counts[variant] = checked_count(count, "DesiredInstanceCount", variant)
        if (weight := number(one, "DesiredWeight")) is not None:
            weights[variant] = weight
    if sum(weights.get(variant.name, variant.weight) for variant in spec.variants) <= 0:
        raise InvalidRequest("The weight of at least one production variant must be above 0.")
    return counts, weights, settings


# --- shapes ----------------------------------------------------------------------------------------------------------


def _variants(endpoint: Endpoint, fleet: Fleet, servers: Sequence[Server], *, shadow: bool) -> list[Shape]:
    share = 1.0
    if endpoint.update is not None:
        share = endpoint.update.share if fleet is endpoint.update.fleet else 1.0 - endpoint.update.share
    return [
        {
            "VariantName": spec.name,
            "DeployedImages": _images(spec, endpoint),
            "CurrentWeight": spec.weight * share,
            "DesiredWeight": endpoint.weights.get(spec.name, spec.weight),
            "CurrentInstanceCount": sum(one.serves for one in _of(servers, fleet, spec, shadow=shadow)),
            "VariantStatus": _status(endpoint, fleet, _of(servers, fleet, spec, shadow=shadow)) or None,
            **_capacity(spec, endpoint.before),
        }
        for spec in (fleet.spec.shadows if shadow else fleet.spec.variants)
    ]


def _capacity(spec: VariantSpec, before: FleetSpec | None) -> Shape:
    if spec.serverless is None:
        return {"DesiredInstanceCount": spec.count, "RoutingConfig": {"RoutingStrategy": str(spec.routing)}}
    now = next((one.serverless for one in before.variants if one.name == spec.name), None) if before else None
    return {
        "CurrentServerlessConfig": serverless_shape(now or spec.serverless),
        "DesiredServerlessConfig": serverless_shape(spec.serverless),
    }


def _of(servers: Sequence[Server], fleet: Fleet, spec: VariantSpec, *, shadow: bool) -> list[Server]:
    wanted = (fleet.number, spec.name, shadow)
    return [one for one in servers if (one.fleet, one.variant.name, one.shadow) == wanted]


def _images(spec: VariantSpec, endpoint: Endpoint) -> list[Shape] | None:
    """Images are names here: what was asked for is what there is."""
    image = spec.source.image
    if image is None:
        return None
    return [{"SpecifiedImage": image, "ResolvedImage": image, "ResolutionTime": endpoint.created_at}]


def _status(endpoint: Endpoint, fleet: Fleet, servers: Sequence[Server]) -> list[Shape]:
    """One status a variant, with the reason of a server that does not serve."""
    status = None
    if endpoint.status is EndpointStatus.DELETING:
        status = "Deleting"
    elif endpoint.status is EndpointStatus.CREATING:
        status = "Creating"
    elif endpoint.update is not None and fleet is endpoint.update.fleet:
        status = "Creating" if endpoint.update.shifted_at is None else "Baking"
    elif endpoint.status.in_progress:
        status = "Updating"
    bad = next((one for one in servers if one.wanted and one.status is not ServerStatus.READY and one.reason), None)
    if status is None and bad is None:
        return []
    message = keep_end(f"{bad.variant.name}/{bad.index}: {bad.reason}", 1024) if bad is not None else None
    return [{"Status": status or "Updating", "StatusMessage": message, "StartTime": endpoint.modified_at}]


def _pending(endpoint: Endpoint, servers: Sequence[Server]) -> Shape | None:
    if endpoint.update is None:
        return None
    fleet = endpoint.update.fleet
    types = {spec.name: {"InstanceType": spec.instance_type.name} for spec in fleet.spec.every if not spec.serverless}

    def rows(shadow: bool) -> list[Shape]:
        shapes = _variants(endpoint, fleet, servers, shadow=shadow)
        return [
            {**types.get(name(row, "VariantName"), {}), **{k: v for k, v in row.items() if k != "RoutingConfig"}}
            for row in shapes
        ]

    return {
        "EndpointConfigName": fleet.spec.config_name,
        "ProductionVariants": rows(shadow=False),
        "ShadowProductionVariants": rows(shadow=True) or None,
        "StartTime": endpoint.update.began_at,
    }


def _capture(endpoint: Endpoint) -> Shape | None:
    capture = endpoint.fleet.spec.capture
    if capture is None:
        return None
    started = endpoint.status in _SERVING
    return {
        "EnableCapture": True,
        "CaptureStatus": "Started" if started else "Stopped",
        "CurrentSamplingPercentage": capture.percent,
        "DestinationS3Uri": capture.destination,
        "KmsKeyId": "",
    }
