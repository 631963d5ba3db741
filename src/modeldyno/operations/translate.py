"""A recommendation request becomes a `JobSpec`: what it asks for, completed from its model or package, and checked.

All rules that the service model cannot hold are here. What is wrong is told together, not one by one.

Assumptions A-0010, A-0013 to A-0016, A-0018 to A-0020 and A-0172.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from modeldyno.domain.errors import InvalidRequest
from modeldyno.domain.job import Candidate, CompilationOrder, JobSpec, JobType, LatencyThreshold, StoppingRules
from modeldyno.domain.model import PayloadSource
from modeldyno.domain.serverless import type_name
from modeldyno.domain.traffic import MOST_USERS, Phase, Stairs, Traffic
from modeldyno.domain.units import parse_percentile
from modeldyno.operations.context import Context
from modeldyno.operations.existing import existing_endpoint
from modeldyno.operations.limits import check_documented, check_jumps
from modeldyno.operations.serverless import serverless_of
from modeldyno.operations.shapes import Shape, integer, name, struct, structs, text, texts
from modeldyno.operations.sources import (
    Source,
    find_model,
    find_package,
    model_source,
    overridden,
    require_s3,
    source_of_model,
    source_of_package,
)
from modeldyno.operations.specifications import additional_specifications
from modeldyno.operations.unsupported import EFFECTLESS

_VARIABLE = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
"""Source: botocore shape EnvironmentKey."""


@dataclass(frozen=True, slots=True)
class Translation:
    """The job, and what of the request changes nothing."""

    spec: JobSpec
    notes: tuple[str, ...]


def job_spec(context: Context, params: Shape) -> Translation:
    """What a CreateInferenceRecommendationsJob request asks for.

    Raises:
        InvalidRequest: with every rule that it breaks.
        UnsupportedRequest: its model or package needs what Dyno does not do.
    """
    if context.documented_limits:
        check_documented(params)
    config = struct(params, "InputConfig")
    model_name, package_arn = text(config, "ModelName"), text(config, "ModelPackageVersionArn")
    source, registered_arn = _source(context, model_name, package_arn)
    source = overridden(source, struct(config, "ContainerConfig"))
    job_type = JobType(name(params, "JobType"))
    problems = [*_missing(source), *_type_problems(context, job_type, config, source)]
    traffic = _traffic(struct(config, "TrafficPattern"), problems)
    problems += _traffic_problems(traffic, integer(config, "JobDurationInSeconds"))
    rules = _rules(struct(params, "StoppingConditions"), problems)
    candidates = _candidates(config, source, problems) if job_type is JobType.ADVANCED else ()
    alone = job_type is JobType.ADVANCED and not candidates
    endpoint = existing_endpoint(context, config, problems, alone=alone)
    names = {one.specification for one in candidates if one.specification is not None}
    sent = next(iter(source.content_types), None)
    specifications = additional_specifications(context, config, names, sent, problems)
    if problems:
        raise InvalidRequest(problems)
    if context.documented_limits and traffic:
        check_jumps(traffic.phases)
    limits = struct(config, "ResourceLimit")
    spec = JobSpec(
        job_type=job_type,
        model=model_source(context, source, model_name, registered_arn),
        payload=_payload(source),
        rules=rules,
        supported_instance_types=source.instance_types,
        candidates=candidates,
        traffic=traffic,
        max_tests=integer(limits, "MaxNumberOfTests"),
        max_parallel=integer(limits, "MaxParallelOfTests") or 1,
        duration_seconds=integer(config, "JobDurationInSeconds"),
        seed=context.entropy.seed(),
        endpoint=endpoint,
        specifications=specifications,
        compilation=_compilation(context, struct(params, "OutputConfig"), source),
        serverless=_endpoint_type(config) == "Serverless" and job_type is JobType.DEFAULT,
    )
    return Translation(spec, (*source.notes, *_effectless(config, spec)))


def _source(context: Context, model_name: str | None, package_arn: str | None) -> tuple[Source, str | None]:
    if model_name and package_arn:
        raise InvalidRequest("Provide only one of model package ARN or model name, not both.")
    if model_name:
        return source_of_model(context, find_model(context, model_name)), None
    if package_arn:
        package = find_package(context, package_arn)
        return source_of_package(package), package.arn
    raise InvalidRequest("Provide either a model package ARN or a model name.")


def _missing(source: Source) -> list[str]:
    """**Source:** the message for Domain and Framework is the developer guide's (troubleshooting), the rest like it."""
    fields = {
        "Domain": source.domain,
        "Task": source.task,
        "Framework": source.framework,
        "SamplePayloadUrl": source.payload_url,
        "SupportedContentTypes": source.content_types,
    }
    problems = [
        f"Specify `{field}` in the {source.place}. `{field}` is a mandatory parameter for the job."
        for field, value in fields.items()
        if not value
    ]
    if len(source.content_types) > 1:
        problems.append(
            f"The payload is sent as one content type, and {', '.join(source.content_types)} are given: specify the "
            "one in ContainerConfig.PayloadConfig.SupportedContentTypes."
        )
    return problems


def _type_problems(context: Context, job_type: JobType, config: Shape, source: Source) -> list[str]:
    given = [text(item, "InstanceType") for item in structs(config, "EndpointConfigurations")]
    problems = [
        f"The instance type {kind} is not known; instance types of your own stand under [instances] in dyno.toml."
        for kind in dict.fromkeys([*source.instance_types, *given])
        if kind is not None and kind not in context.catalogue
    ]
    if job_type is JobType.DEFAULT:
        problems += [
            f"{member} is only for Advanced jobs: a Default job chooses its own."
            for member in ("EndpointConfigurations", "TrafficPattern")
            if member in config
        ]
    elif "TrafficPattern" not in config:
        problems.append("Specify `TrafficPattern`. `TrafficPattern` is a mandatory parameter for an Advanced job.")
    return problems


def _traffic(pattern: Shape, problems: list[str]) -> Traffic | None:
    if not pattern:
        return None
    kind = text(pattern, "TrafficType") or "PHASES"
    wanted, other = ("Stairs", "Phases") if kind == "STAIRS" else ("Phases", "Stairs")
    if other in pattern:
        problems.append(f"The TrafficPattern has {other}, but its TrafficType is {kind}.")
    if wanted not in pattern:
        problems.append(f"Specify `{wanted}` in the TrafficPattern. `{wanted}` is mandatory for TrafficType {kind}.")
        return None
    if kind == "STAIRS":
        stairs = struct(pattern, "Stairs")
        found = _integers(stairs, "Stairs", ("DurationInSeconds", "NumberOfSteps", "UsersPerStep"), problems)
        return Traffic(stairs=Stairs(*found)) if found else None
    members = ("InitialNumberOfUsers", "SpawnRate", "DurationInSeconds")
    phases = [
        _integers({"SpawnRate": 0, **phase}, f"phase {place}", members, problems)  # Assumption A-0160
        for place, phase in enumerate(structs(pattern, "Phases"), 1)
    ]
    return Traffic(phases=tuple(Phase(*phase) for phase in phases if phase)) if all(phases) else None


def _traffic_problems(traffic: Traffic | None, duration: int | None) -> list[str]:
    problems: list[str] = []
    if traffic and duration is not None and traffic.duration_seconds > duration:
        problems.append("Total Traffic duration (across) should not be more than Job duration.")
    if traffic and traffic.most_users > MOST_USERS:
        problems.append(f"The TrafficPattern rises to {traffic.most_users} users; Dyno simulates {MOST_USERS} at most.")
    return problems


def _integers(of: Shape, what: str, members: tuple[str, str, str], problems: list[str]) -> tuple[int, int, int] | None:
    for member in members:
        if member not in of:
            problems.append(f"Specify `{member}` in {what} of the TrafficPattern. `{member}` is mandatory.")
    first, second, third = (integer(of, member) for member in members)
    return (first, second, third) if first is not None and second is not None and third is not None else None


def _rules(conditions: Shape, problems: list[str]) -> StoppingRules:
    target = integer(conditions, "MaxInvocations")
    if target is not None and target < 1:
        problems.append(f"StoppingConditions.MaxInvocations is {target}; it must be at least 1 a minute.")
    threshold = None
    for given in structs(conditions, "ModelLatencyThresholds"):
        percentile = parse_percentile(text(given, "Percentile") or "")
        limit_ms = integer(given, "ValueInMilliseconds")
        if percentile is None:
            told = text(given, "Percentile")
            problems.append(
                f"The Percentile {told!r} of ModelLatencyThresholds is not understood: P95, P99 or the like."
            )
        if limit_ms is None or limit_ms < 1:
            problems.append(f"The ValueInMilliseconds {limit_ms} of ModelLatencyThresholds must be at least 1.")
        elif percentile is not None:
            threshold = LatencyThreshold(percentile, limit_ms)
    return StoppingRules(target, threshold, text(conditions, "FlatInvocations") != "Continue")


def _candidates(config: Shape, source: Source, problems: list[str]) -> tuple[Candidate, ...]:
    configurations = structs(config, "EndpointConfigurations")
    if not configurations:
        if not source.instance_types and "Endpoints" not in config:
            problems.append(
                "Specify `EndpointConfigurations`. `EndpointConfigurations` (or SupportedInstanceTypes) is a mandatory "
                "parameter for an Advanced job."
            )
        return tuple(Candidate(kind) for kind in source.instance_types)
    found = []
    for place, configuration in enumerate(configurations, 1):
        kind = text(configuration, "InstanceType")
        serverless = serverless_of(configuration, f"EndpointConfiguration {place}", problems)
        if (kind is None) == ("ServerlessConfig" not in configuration):
            problems.append(
                f"Specify `InstanceType` in EndpointConfiguration {place}, or ServerlessConfig; one of them, not both."
            )
            continue
        name_of_type = kind if serverless is None else type_name(serverless.memory_mb)
        ranges = struct(configuration, "EnvironmentParameterRanges")
        tried = _ranges(structs(ranges, "CategoricalParameterRanges"), place, problems)
        if name_of_type is not None:
            asked = text(configuration, "InferenceSpecificationName")
            found.append(Candidate(name_of_type, tried, asked, serverless))
    return tuple(found)


def _ranges(parameters: list[Shape], place: int, problems: list[str]) -> dict[str, tuple[str, ...]]:
    ranges: dict[str, tuple[str, ...]] = {}
    for parameter in parameters:
        variable = name(parameter, "Name")
        if not _VARIABLE.fullmatch(variable):
            problems.append(f"The parameter {variable!r} of EndpointConfiguration {place} cannot be a variable's name.")
        if variable in ranges:
            problems.append(f"The parameter {variable!r} of EndpointConfiguration {place} is given twice.")
        ranges[variable] = tuple(dict.fromkeys(texts(parameter, "Value")))
    return ranges


def _payload(source: Source) -> PayloadSource:
    url = source.payload_url or ""
    require_s3(url, "The SamplePayloadUrl")
    return PayloadSource(url, source.content_types[0], next(iter(source.response_types), None))


def _compilation(context: Context, output: Shape, source: Source) -> CompilationOrder | None:
    """What was asked for of compiling; None: nothing. Assumption A-0172: the place where the artifacts go by default.

    **Source:** models with a DataInputConfig are compiled (developer guide, inference-recommender-neo-compilation).
    """
    url = text(struct(output, "CompiledOutputConfig"), "S3OutputUri")
    if url is None and source.data_input_config is None:
        return None
    if url is not None and not url.startswith("s3://"):
        raise InvalidRequest(
            f"OutputConfig.CompiledOutputConfig.S3OutputUri {url} is not of the form s3://bucket/prefix."
        )
    return CompilationOrder(source.data_input_config, url or f"s3://sagemaker-{context.region}-{context.account}")


def _endpoint_type(config: Shape) -> str | None:
    """Real-time endpoints where nobody asks for another type. Assumption A-0124."""
    return text(struct(config, "ContainerConfig"), "SupportedEndpointType")


def _effectless(config: Shape, spec: JobSpec) -> tuple[str, ...]:
    member, why = next(iter(EFFECTLESS["CreateInferenceRecommendationsJob"].items()))
    given = "NearestModelName" in struct(config, "ContainerConfig")
    notes = [f"{member} has no effect: {why}."] if given else []
    if spec.serverless and spec.supported_instance_types:
        notes.append("SupportedInstanceTypes has no effect: serverless endpoints have no instance types.")
    return tuple(notes)
