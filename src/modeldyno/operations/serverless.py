"""ServerlessConfig of requests: its rules, and what it becomes."""

from __future__ import annotations

from collections.abc import Iterator

from modeldyno.domain.endpoint import Endpoint, FleetSpec, Rollout, RolloutKind
from modeldyno.domain.errors import InvalidRequest
from modeldyno.domain.serverless import MEMORY_SIZES_MB, Serverless
from modeldyno.operations.shapes import Shape, integer, name, struct, structs

_OF_INSTANCES = (
    "InstanceType",
    "InitialInstanceCount",
    "RoutingConfig",
    "ManagedInstanceScaling",
)


def serverless_shape(serverless: Serverless) -> Shape:
    """A ServerlessConfig."""
    shape: Shape = {"MemorySizeInMB": serverless.memory_mb, "MaxConcurrency": serverless.concurrency}
    return {**shape, "ProvisionedConcurrency": serverless.provisioned} if serverless.provisioned else shape


def check_serverless(params: Shape) -> Iterator[str]:
    """What is wrong with an endpoint configuration that has a serverless variant.

    **Source:** SageMaker developer guide, *Serverless Inference*, feature exclusions; of shadows: *Shadow testing
    exclusions*.
    """
    production = structs(params, "ProductionVariants")
    if len(production) > 1:
        yield f"Serverless inference does not support multiple production variants; these are {len(production)}."
    if "ShadowProductionVariants" in params:
        yield "Serverless inference does not support ShadowProductionVariants."
    for member in ("DataCaptureConfig", "VpcConfig", "EnableNetworkIsolation"):
        if params.get(member):
            yield f"Serverless inference does not support {member}."
    for variant in production:
        if "ServerlessConfig" in variant:
            yield from _of_variant(variant)


def _of_variant(variant: Shape) -> Iterator[str]:
    place = f"the variant {name(variant, 'VariantName')}"
    for member in _OF_INSTANCES:
        if member in variant:
            yield f"{member} cannot be given with ServerlessConfig in {place}: it has no instances."
    problems: list[str] = []
    serverless_of(variant, place, problems)
    yield from problems


def check_update(endpoint: Endpoint, spec: FleetSpec, rollout: Rollout) -> None:
    """Refuse an update of an endpoint to a fleet that it cannot have.

    **Source:** developer guide, *Serverless Inference*: "you cannot convert your instance-based, real-time endpoint to
    a serverless endpoint"; *Deployment guardrails exclusions*: no rolling deployments of serverless endpoints.
    """
    if spec.serverless and not endpoint.fleet.spec.serverless:
        raise InvalidRequest(f'Endpoint "{endpoint.arn}" has instances: it cannot be updated to a serverless endpoint.')
    if rollout.kind is RolloutKind.ROLLING and (spec.serverless or endpoint.fleet.spec.serverless):
        raise InvalidRequest("RollingUpdatePolicy is not supported with serverless inference.")


def updated_serverless(serverless: Serverless | None, wanted: Shape, variant: str) -> Serverless | None:
    """A variant's configuration after an update of its weights and capacities.

    Raises:
        InvalidRequest: the update is of instances and the variant serverless, or the other way round.
    """
    if serverless is None:
        if "ServerlessUpdateConfig" in wanted:
            raise InvalidRequest(f"ServerlessUpdateConfig cannot be given: the variant {variant} has instances.")
        return None
    if "DesiredInstanceCount" in wanted:
        raise InvalidRequest(f"DesiredInstanceCount cannot be given: the variant {variant} is serverless.")
    given = struct(wanted, "ServerlessUpdateConfig")
    config = {"MemorySizeInMB": serverless.memory_mb, "MaxConcurrency": serverless.concurrency, **given}
    if serverless.provisioned and "ProvisionedConcurrency" not in given:
        config["ProvisionedConcurrency"] = serverless.provisioned
    problems: list[str] = []
    changed = serverless_of(
        {"ServerlessUpdateConfig": config}, f"the variant {variant}", problems, "ServerlessUpdateConfig"
    )
    if problems:
        raise InvalidRequest(problems)
    return changed


def serverless_of(of: Shape, place: str, problems: list[str], member: str = "ServerlessConfig") -> Serverless | None:
    """The ServerlessConfig in `of`; None where there is none, or it breaks a rule, which is added to `problems`.

    **Source:** botocore, ProductionVariantServerlessConfig: memory "in 1 GB increments", provisioned concurrency "less
    than or equal to MaxConcurrency".
    """
    if member not in of:
        return None
    config = struct(of, member)
    memory, most = integer(config, "MemorySizeInMB") or 0, integer(config, "MaxConcurrency") or 0
    provisioned = integer(config, "ProvisionedConcurrency") or 0
    found = []
    if memory not in MEMORY_SIZES_MB:
        sizes = ", ".join(map(str, MEMORY_SIZES_MB))
        found.append(f"MemorySizeInMB {memory} of {place} is not allowed: it must be one of {sizes}.")
    if provisioned > most:
        found.append(
            f"ProvisionedConcurrency {provisioned} of {place} is not allowed: the most is its MaxConcurrency, {most}."
        )
    problems += found
    return None if found else Serverless(memory, most, provisioned)
