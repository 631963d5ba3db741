"""Endpoint configurations: what an endpoint is to serve, by name."""

from __future__ import annotations

from modeldyno.domain.errors import InvalidRequest, ResourceInUse, ResourceNotFound, UnsupportedRequest
from modeldyno.domain.names import arn_of
from modeldyno.domain.resource import Kind, Resource
from modeldyno.operations.context import Context
from modeldyno.operations.fleets import checked_count, find_config, fleet_spec
from modeldyno.operations.pagination import at_or_after, query, write_token
from modeldyno.operations.serverless import check_serverless
from modeldyno.operations.shapes import Shape, integer, name, number, structs, without
from modeldyno.operations.sources import require_s3
from modeldyno.operations.tags import new_tags
from modeldyno.operations.unsupported import refuse_unsupported

_VARIANTS = ("ProductionVariants", "ShadowProductionVariants")


def create(context: Context, params: Shape) -> Shape:
    """Store a configuration. Its models must be there; nothing is deployed yet."""
    refuse_unsupported("CreateEndpointConfig", params, unenforced=context.accept_unenforced)
    tags = new_tags(params)
    _check(params)
    config_name = name(params, "EndpointConfigName")
    now = context.now()
    arn = arn_of(Kind.ENDPOINT_CONFIG, context.region, context.account, config_name)
    config = Resource(
        kind=Kind.ENDPOINT_CONFIG,
        region=context.region,
        name=config_name,
        arn=arn,
        status="InService",
        created_at=now,
        modified_at=now,
        document=without(params, "Tags"),
    )
    fleet_spec(context, config)  # refuses models that are not there or cannot be run
    try:
        context.store.add_resource(config, tags)
    except ResourceInUse:
        raise InvalidRequest(f'Cannot create already existing endpoint configuration "{arn}".') from None
    return {"EndpointConfigArn": arn}


def describe(context: Context, params: Shape) -> Shape:
    """The request as it was, with the weights that were not told."""
    config = find_config(context, name(params, "EndpointConfigName"))
    document = dict(config.document)
    for member in _VARIANTS:
        if member in document:
            document[member] = [{"InitialVariantWeight": 1.0, **variant} for variant in structs(document, member)]
    return {
        "EnableNetworkIsolation": False,
        **document,
        "EndpointConfigArn": config.arn,
        "CreationTime": config.created_at,
    }


def list_configs(context: Context, params: Shape) -> Shape:
    """Configurations of the region, newest first unless asked otherwise."""
    operation = "ListEndpointConfigs"
    refuse_unsupported(operation, params)
    asked = at_or_after(query(context, operation, params, order="Descending"))
    page = context.store.find_resources(Kind.ENDPOINT_CONFIG, asked)
    rows = [
        {"EndpointConfigName": it.name, "EndpointConfigArn": it.arn, "CreationTime": it.created_at} for it in page.items
    ]
    return {"EndpointConfigs": rows, "NextToken": write_token(context, operation, params, page.next)}


def delete(context: Context, params: Shape) -> None:
    """Remove the configuration; endpoints that were made of it go on with what they have."""
    config = find_config(context, name(params, "EndpointConfigName"))
    try:
        context.store.remove_resource(Kind.ENDPOINT_CONFIG, context.region, config.name)
    except ResourceNotFound:
        raise InvalidRequest(f'Could not find endpoint configuration "{config.arn}".') from None


def _check(params: Shape) -> None:
    """**Source:** the rules on shadows: botocore, CreateEndpointConfigInput.ShadowProductionVariants; what they
    exclude: SageMaker developer guide, *Shadow testing exclusions*."""
    production, shadows = (structs(params, member) for member in _VARIANTS)
    names = [name(variant, "VariantName") for variant in (*production, *shadows)]
    problems = [
        f"The variant name {one} is given more than once." for one in sorted(set(names)) if names.count(one) > 1
    ]
    for variant in (*production, *shadows):
        problems += _missing(variant)
        checked_count(
            integer(variant, "InitialInstanceCount") or 1, "InitialInstanceCount", name(variant, "VariantName")
        )
    if any("ServerlessConfig" in variant for variant in production):
        problems += check_serverless(params)
    if shadows and (len(production) > 1 or len(shadows) > 1):
        problems.append(
            f"With ShadowProductionVariants there is one production variant and one shadow variant; these are "
            f"{len(production)} and {len(shadows)}."
        )
    if sum(1.0 if (weight := number(one, "InitialVariantWeight")) is None else weight for one in production) <= 0:
        problems.append("The InitialVariantWeight of at least one production variant must be above 0.")
    if problems:
        raise InvalidRequest(problems)
    capture = params.get("DataCaptureConfig")
    if isinstance(capture, dict):
        destination = name(capture, "DestinationS3Uri")
        if not destination.startswith("s3://"):
            raise UnsupportedRequest(
                f"DestinationS3Uri {destination} is not supported: objects are at s3://bucket/key."
            )
        require_s3(f"{destination.rstrip('/')}/x", "The DestinationS3Uri")


def _missing(variant: Shape) -> list[str]:
    instances = () if "ServerlessConfig" in variant else ("InstanceType", "InitialInstanceCount")
    required = ("ModelName", *instances)
    return [
        f"{member} is required in the variant {name(variant, 'VariantName')}."
        for member in required
        if member not in variant
    ]
