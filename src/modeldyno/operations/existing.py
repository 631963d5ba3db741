"""The endpoint of a job that measures one that is there already: which may be measured, and which not.

**Source:** SageMaker developer guide, *Get an inference recommendation for an existing endpoint*: one endpoint a
job, one variant, real-time only, no multi-model endpoint. Assumptions A-0100, A-0101.
"""

from __future__ import annotations

from modeldyno.domain.endpoint import Endpoint, EndpointStatus
from modeldyno.domain.errors import InvalidRequest
from modeldyno.domain.job import ExistingEndpoint
from modeldyno.operations.context import Context
from modeldyno.operations.endpoints import find_endpoint
from modeldyno.operations.shapes import Shape, integer, struct, structs, text

_LEAST_TESTS = 2


def existing_endpoint(context: Context, config: Shape, problems: list[str], *, alone: bool) -> ExistingEndpoint | None:
    """The endpoint that an InputConfig names; None where it names none. What is wrong with it goes into `problems`.
    `alone`: the job measures nothing else."""
    asked = structs(config, "Endpoints")
    if not asked:
        return None
    endpoint_name = text(asked[0], "EndpointName")
    if endpoint_name is None:
        problems.append("Specify `EndpointName` in Endpoints. `EndpointName` is mandatory.")
        return None
    try:
        endpoint = find_endpoint(context, endpoint_name)
    except InvalidRequest as absent:
        problems.extend(absent.violations)
        return None
    found = [*_problems(endpoint), *([] if alone else _test_problems(config))]
    problems += found
    variant = endpoint.fleet.spec.variants[0]
    return ExistingEndpoint(
        name=endpoint.name,
        id=endpoint.id,
        variant=variant.name,
        instance_type=variant.instance_type,
        count=variant.count,
        environment=dict(variant.source.environment),
    )


def _problems(endpoint: Endpoint) -> list[str]:
    found = []
    spec = endpoint.fleet.spec
    if endpoint.status is not EndpointStatus.IN_SERVICE:
        found.append(f'Endpoint "{endpoint.arn}" is {endpoint.status}: only an endpoint that is InService is measured.')
    if len(spec.variants) > 1:
        names = ", ".join(variant.name for variant in spec.variants)
        found.append(f'Endpoint "{endpoint.arn}" has the variants {names}: only an endpoint with one is measured.')
    if spec.serverless:
        found.append(f'Endpoint "{endpoint.arn}" is serverless: only an endpoint with instances is measured.')
    if endpoint.experiment is not None:
        found.append(
            f'Endpoint "{endpoint.arn}" belongs to the inference experiment {endpoint.experiment}, whose verdict the '
            "load would spoil."
        )
    elif spec.shadows:
        names = ", ".join(variant.name for variant in spec.shadows)
        found.append(
            f'Endpoint "{endpoint.arn}" has the shadow variant {names}: only an endpoint with one variant is measured.'
        )
    return found


def _test_problems(config: Shape) -> list[str]:
    most = integer(struct(config, "ResourceLimit"), "MaxNumberOfTests")
    if most is None or most >= _LEAST_TESTS:
        return []
    return [f"MaxNumberOfTests is {most}, which the endpoint takes: at least {_LEAST_TESTS} are needed with Endpoints."]
