"""Models: a container to deploy, by name."""

from __future__ import annotations

from modeldyno.domain.errors import InvalidRequest, ResourceInUse, ResourceNotFound, UnsupportedRequest
from modeldyno.domain.names import arn_of
from modeldyno.domain.resource import Kind, Resource
from modeldyno.operations.context import Context
from modeldyno.operations.deployments import deployment_recommendation
from modeldyno.operations.pagination import at_or_after, query, write_token
from modeldyno.operations.shapes import Shape, name, strings, struct, structs, text, without
from modeldyno.operations.sources import (
    container_of,
    find_model,
    find_package,
    model_data_url,
    source_of_package,
)
from modeldyno.operations.tags import new_tags
from modeldyno.operations.unsupported import refuse_unsupported


def create(context: Context, params: Shape) -> Shape:
    """Store a model. Nothing is fetched or started yet."""
    refuse_unsupported("CreateModel", params, unenforced=context.accept_unenforced)
    tags = new_tags(params)
    _check_container(context, params)
    model_name = name(params, "ModelName")
    now = context.now()
    arn = arn_of(Kind.MODEL, context.region, context.account, model_name)
    model = Resource(
        kind=Kind.MODEL,
        region=context.region,
        name=model_name,
        arn=arn,
        status="InService",
        created_at=now,
        modified_at=now,
        document=without(params, "Tags"),
    )
    try:
        context.store.add_resource(model, tags)
    except ResourceInUse:
        raise InvalidRequest(f'Cannot create already existing model "{arn}".') from None
    return {"ModelArn": arn}


def describe(context: Context, params: Shape) -> Shape:
    """The request as it was, and where it would run best as far as it was measured here."""
    model = find_model(context, name(params, "ModelName"))
    return {**model_shape(model), "DeploymentRecommendation": deployment_recommendation(context, model)}


def model_shape(model: Resource) -> Shape:
    """A model as it was sent, with what is the same for all."""
    document = dict(model.document)
    if "PrimaryContainer" in document:
        document["PrimaryContainer"] = _container_shape(struct(document, "PrimaryContainer"))
    if "Containers" in document:
        document["Containers"] = [_container_shape(container) for container in structs(document, "Containers")]
    return {
        "EnableNetworkIsolation": False,
        **document,
        "ModelArn": model.arn,
        "CreationTime": model.created_at,
    }


def list_models(context: Context, params: Shape) -> Shape:
    """Models of the region, newest first unless asked otherwise."""
    refuse_unsupported("ListModels", params)
    asked = at_or_after(query(context, "ListModels", params, order="Descending"))
    page = context.store.find_resources(Kind.MODEL, asked)
    rows = [{"ModelName": it.name, "ModelArn": it.arn, "CreationTime": it.created_at} for it in page.items]
    return {"Models": rows, "NextToken": write_token(context, "ListModels", params, page.next)}


def delete(context: Context, params: Shape) -> None:
    """Remove the model; jobs that were made of it have what they need."""
    model = find_model(context, name(params, "ModelName"))
    try:
        context.store.remove_resource(Kind.MODEL, context.region, model.name)
    except ResourceNotFound:
        raise InvalidRequest(f'Could not find model "{model.arn}".') from None


def _container_shape(container: Shape) -> Shape:
    """Assumption A-0024."""
    return {"Mode": "SingleModel", "Environment": {}, **container}


def _check_container(context: Context, params: Shape) -> None:
    containers = structs(params, "Containers")
    if "PrimaryContainer" in params and containers:
        raise InvalidRequest("Provide only one of PrimaryContainer and Containers, not both.")
    if len(containers) > 1:
        raise UnsupportedRequest(
            f"Containers with {len(containers)} members is not supported: inference pipelines and multi-container "
            "models cannot be run."
        )
    if "PrimaryContainer" not in params and not containers:
        raise InvalidRequest("Provide either PrimaryContainer or Containers.")
    container = container_of(params)
    package = text(container, "ModelPackageName")
    if package is None and "InferenceSpecificationName" in container:
        raise InvalidRequest("InferenceSpecificationName names a specification of a package: provide ModelPackageName.")
    if package is not None:
        _check_package(context, container, find_package(context, package))
    elif "Image" not in container:
        raise InvalidRequest("Provide either Image or ModelPackageName in the container.")
    else:
        model_data_url(container)


def _check_package(context: Context, container: Shape, package: Resource) -> None:
    """**Source:** both messages' rules: sagemaker-python-sdk#3301 (environments); botocore, CreateModelPackageInput
    (the version "must be set to Approved to deploy the model"). Assumption A-0023."""
    for member in ("Image", "ModelDataUrl", "ModelDataSource"):
        if member in container:
            raise InvalidRequest(f"Provide only one of ModelPackageName and {member}, not both.")
    approval = text(package.document, "ModelApprovalStatus")
    if package.version is not None and approval != "Approved":
        raise InvalidRequest(f"ModelPackage {package.arn} is {approval}: a model is made of an Approved version only.")
    source = source_of_package(package, text(container, "InferenceSpecificationName"))
    theirs, ours = source.environment, strings(container, "Environment")
    if theirs and ours:
        raise InvalidRequest(
            f"Environment variable map cannot be specified both at Model Package {_told(theirs)} "
            f"and Model {_told(ours)}."
        )


def _told(environment: dict[str, str]) -> str:
    return "{" + ", ".join(f"{key}={value}" for key, value in environment.items()) + "}"
