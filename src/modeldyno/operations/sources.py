"""What a job or a model runs: a model's or a package's container, followed through to image, data and metadata."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from modeldyno.domain.errors import InputFault, InvalidRequest, ResourceNotFound, UnsupportedRequest
from modeldyno.domain.images import classify
from modeldyno.domain.model import ModelSource
from modeldyno.domain.names import arn_of, parse_arn
from modeldyno.domain.resource import Kind, Resource
from modeldyno.operations.context import Context
from modeldyno.operations.shapes import Shape, name, strings, struct, structs, text, texts
from modeldyno.operations.unsupported import EFFECTLESS, PACKAGE_CONTAINER, refuse_unsupported


@dataclass(frozen=True, slots=True)
class Source:
    """A deployable container and what its registration tells of it.

    `place` is where a missing field is to be told (``Model Package version 1``, ``ContainerConfig``). `notes` say which
    members change nothing.
    """

    place: str
    image: str | None = None
    model_data_url: str | None = None
    environment: dict[str, str] = field(default_factory=dict)
    domain: str | None = None
    task: str | None = None
    framework: str | None = None
    framework_version: str | None = None
    payload_url: str | None = None
    content_types: tuple[str, ...] = ()
    response_types: tuple[str, ...] = ()
    instance_types: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    data_input_config: str | None = None


def find_model(context: Context, model_name: str) -> Resource:
    """The model; refused in AWS's words when there is none."""
    try:
        return context.store.resource(Kind.MODEL, context.region, model_name)
    except ResourceNotFound:
        arn = arn_of(Kind.MODEL, context.region, context.account, model_name)
        raise InvalidRequest(f'Could not find model "{arn}".') from None


def find_package(context: Context, arn_or_name: str) -> Resource:
    """The package version (``GROUP/1``) or unversioned package, by name or by an ARN of any account."""
    package_name = local_name(context, Kind.PACKAGE, arn_or_name)
    try:
        return context.store.resource(Kind.PACKAGE, context.region, package_name)
    except ResourceNotFound:
        arn = arn_of(Kind.PACKAGE, context.region, context.account, package_name)
        raise InvalidRequest(f"ModelPackage {arn} does not exist.") from None


def local_name(context: Context, kind: Kind, arn_or_name: str) -> str:
    """The name in an ARN of this region and kind, of whatever account; a bare name as it stands.

    **Source:** the message for another region is what the service says (amazon-sagemaker-examples#1438).
    """
    if not arn_or_name.startswith("arn:"):
        return arn_or_name
    arn = parse_arn(arn_or_name)
    if arn is None or arn.type != kind:
        raise InvalidRequest(f"{arn_or_name} is not the ARN of a {kind}.")
    if arn.region != context.region:
        raise InvalidRequest(f"ARN should be scoped to correct region: {context.region}")
    return arn.name


def source_of_model(context: Context, model: Resource) -> Source:
    """What a model runs; of one made from a package, what the package runs."""
    container = container_of(model.document)
    package = text(container, "ModelPackageName")
    if package is not None:
        source = source_of_package(find_package(context, package), text(container, "InferenceSpecificationName"))
        environment = {**source.environment, **strings(container, "Environment")}
        return replace(source, place="ContainerConfig", environment=environment)
    return Source(
        place="ContainerConfig",
        image=text(container, "Image"),
        model_data_url=model_data_url(container),
        environment=strings(container, "Environment"),
    )


def overridden(source: Source, container: Shape) -> Source:
    """The source with what ContainerConfig tells otherwise.

    **Source:** "The fields specified in ContainerConfig override the corresponding fields in the model package"
    (botocore, RecommendationJobContainerConfig).
    """
    payload = struct(container, "PayloadConfig")
    return Source(
        place=source.place,
        image=source.image,
        model_data_url=source.model_data_url,
        environment=source.environment,
        domain=text(container, "Domain") or source.domain,
        task=text(container, "Task") or source.task,
        framework=text(container, "Framework") or source.framework,
        framework_version=text(container, "FrameworkVersion") or source.framework_version,
        payload_url=text(payload, "SamplePayloadUrl") or source.payload_url,
        content_types=texts(payload, "SupportedContentTypes") or source.content_types,
        response_types=texts(container, "SupportedResponseMIMETypes") or source.response_types,
        instance_types=tuple(dict.fromkeys(texts(container, "SupportedInstanceTypes") or source.instance_types)),
        notes=source.notes,
        data_input_config=text(container, "DataInputConfig") or source.data_input_config,
    )


def container_of(document: Shape) -> Shape:
    """The one container of a model's request; empty when it has none."""
    return struct(document, "PrimaryContainer") or next(iter(structs(document, "Containers")), {})


def source_of_package(package: Resource, specification_name: str | None = None) -> Source:
    """What a package runs: its own inference specification, or the additional one of that name.

    Raises:
        UnsupportedRequest: its container asks for what Dyno does not do.
        InvalidRequest: it has no such inference specification.
    """
    document = package.document
    specification = _specification(package, specification_name)
    containers = structs(specification, "Containers")
    if not containers:
        raise InvalidRequest(f"ModelPackage {package.arn} has no InferenceSpecification.")
    if len(containers) > 1:
        raise UnsupportedRequest(
            f"ModelPackage {package.arn} has {len(containers)} containers: inference pipelines and multi-container "
            "models are not supported."
        )
    container = containers[0]
    refuse_unsupported(PACKAGE_CONTAINER, container)
    label = f"version {package.version}" if package.version is not None else package.name
    return Source(
        place=f"Model Package {label}",
        image=text(container, "Image"),
        model_data_url=model_data_url(container),
        environment=strings(container, "Environment"),
        domain=text(document, "Domain"),
        task=text(document, "Task"),
        framework=text(container, "Framework"),
        framework_version=text(container, "FrameworkVersion"),
        payload_url=text(document, "SamplePayloadUrl"),
        content_types=texts(specification, "SupportedContentTypes"),
        response_types=texts(specification, "SupportedResponseMIMETypes"),
        instance_types=texts(specification, "SupportedRealtimeInferenceInstanceTypes"),
        notes=_effectless(container),
        data_input_config=text(struct(container, "ModelInput"), "DataInputConfig"),
    )


def _specification(package: Resource, specification_name: str | None) -> Shape:
    if specification_name is None:
        return struct(package.document, "InferenceSpecification")
    additional = structs(package.document, "AdditionalInferenceSpecifications")
    known = {name(each, "Name"): each for each in additional}
    if specification_name not in known:
        told = f"has {', '.join(known)}" if known else "has none"
        raise InvalidRequest(
            f"ModelPackage {package.arn} has no additional inference specification {specification_name}; it {told}."
        )
    return known[specification_name]


def model_source(context: Context, source: Source, model_name: str | None, package_arn: str | None) -> ModelSource:
    """What is deployed of a source.

    Raises:
        InvalidRequest: nothing here can run it; the message says what would do.
    """
    model = ModelSource(
        image=source.image,
        model_data_url=source.model_data_url,
        environment=source.environment,
        framework=source.framework,
        framework_version=source.framework_version,
        model_name=model_name,
        model_package_arn=package_arn,
    )
    try:
        classify(model, context.runtimes)
    except InputFault as fault:
        raise InvalidRequest(str(fault)) from None
    return model


def model_data_url(container: Shape) -> str | None:
    """The ``s3://`` tar.gz of a container, however it is told; None when it has none.

    Raises:
        InvalidRequest: told twice. UnsupportedRequest: not on s3.
    """
    source = struct(struct(container, "ModelDataSource"), "S3DataSource")
    url = text(container, "ModelDataUrl")
    if url and source:
        raise InvalidRequest("Provide only one of ModelDataUrl and ModelDataSource, not both.")
    if source:
        url = name(source, "S3Uri")
    if url:
        require_s3(url, "The model data URL")
    return url or None


def require_s3(url: str, what: str) -> None:
    """Refuse an object that is not at ``s3://bucket/key``."""
    if not url.startswith("s3://"):
        raise UnsupportedRequest(f"{what} {url} is not supported: objects are at s3://bucket/key.")
    if not url.removeprefix("s3://").partition("/")[2]:
        raise InvalidRequest(f"{what} {url} names a bucket, not an object: it has the form s3://bucket/key.")


def _effectless(container: Shape) -> tuple[str, ...]:
    return tuple(
        f"{path} of the model package has no effect: {why}."
        for path, why in EFFECTLESS[PACKAGE_CONTAINER].items()
        if path.partition(".")[0] in container
    )
