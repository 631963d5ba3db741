"""Model packages: versions of a group, or packages that stand alone."""

from __future__ import annotations

from dataclasses import replace

from modeldyno.domain.errors import InvalidRequest, ResourceInUse, ResourceNotFound, UnsupportedRequest
from modeldyno.domain.names import arn_of
from modeldyno.domain.resource import Kind, Query, Resource
from modeldyno.operations.context import Context
from modeldyno.operations.package_groups import absent_group, find_group
from modeldyno.operations.pagination import query, write_token
from modeldyno.operations.shapes import Shape, name, strings, struct, structs, text, texts, without
from modeldyno.operations.sources import find_package
from modeldyno.operations.tags import new_tags
from modeldyno.operations.unsupported import refuse_unsupported

MAX_METADATA = 50
"""Source: botocore shape CustomerMetadataMap."""
MAX_SPECIFICATIONS = 15
"""Source: botocore, UpdateModelPackageInput.AdditionalInferenceSpecificationsToAdd."""
_REPLACED = (
    "ModelApprovalStatus",
    "ModelPackageRegistrationType",
    "ApprovalDescription",
    "InferenceSpecification",
    "SourceUri",
    "ModelCard",
    "ModelLifeCycle",
)


def create(context: Context, params: Shape) -> Shape:
    """Store a package; the same ClientToken gives the same package again (Assumption A-0029).

    **Source:** both messages: getmoto/moto#7165, as the service was seen to answer.
    """
    refuse_unsupported("CreateModelPackage", params, unenforced=context.accept_unenforced)
    group, alone = text(params, "ModelPackageGroupName"), text(params, "ModelPackageName")
    if group and alone:
        raise InvalidRequest(
            "Both ModelPackageName and ModelPackageGroupName are provided in the input. Cannot determine which one to "
            "use."
        )
    if not group and not alone:
        raise InvalidRequest("Missing ARN.")
    _check_source(params)
    if group and "Tags" in params:
        raise InvalidRequest("Tags cannot be given with ModelPackageGroupName: a version has the tags of its group.")
    tags = new_tags(params)
    earlier = _made_with(context, text(params, "ClientToken"))
    if earlier is not None:
        return {"ModelPackageArn": earlier.arn}
    if group:
        return {"ModelPackageArn": _add_version(context, params, find_group(context, group)).arn}
    package = _package(context, params, alone or "")
    try:
        context.store.add_resource(package, tags)
    except ResourceInUse:
        raise InvalidRequest(f"Model Package already exists: {package.arn}") from None
    return {"ModelPackageArn": package.arn}


def describe(context: Context, params: Shape) -> Shape:
    """The request as it was, and what updates made of it."""
    described = package_shape(find_package(context, name(params, "ModelPackageName")))
    if text(params, "IncludedData") == "MetadataOnly" and "ModelCard" in described:
        described["ModelCard"] = without(struct(described, "ModelCard"), "ModelCardContent")
    return described


def package_shape(package: Resource) -> Shape:
    """A package as it was sent and updated, and where it stands. A version has no ModelPackageName.

    **Source:** SageMaker Python SDK 3, ``sagemaker/core/tools/constants.py``: it is "not applicable to versioned model
    packages". Where there is one, ``ModelPackage.refresh()`` asks for it instead of the ARN.
    """
    document = without(package.document, "ClientToken", "ModelPackageName", "ModelPackageGroupName")
    return {
        "CertifyForMarketplace": False,
        **document,
        "ModelPackageName": package.name if package.parent is None else None,
        "ModelPackageGroupName": package.parent,
        "ModelPackageVersion": package.version,
        "ModelPackageArn": package.arn,
        "CreationTime": package.created_at,
        "LastModifiedTime": package.modified_at if package.modified_at != package.created_at else None,
        "ModelPackageStatus": package.status,
        "ModelPackageStatusDetails": {"ValidationStatuses": [], "ImageScanStatuses": []},
    }


def update(context: Context, params: Shape) -> Shape:
    """Change a package's approval, metadata and specifications; the same ClientToken changes it once."""
    refuse_unsupported("UpdateModelPackage", params)
    _check_source(params)
    package = find_package(context, name(params, "ModelPackageArn"))
    now = context.now()
    try:
        context.store.update_resource(
            Kind.PACKAGE, context.region, package.name, lambda found: _changed(found, params, now)
        )
    except ResourceNotFound:
        raise InvalidRequest(f"ModelPackage {package.arn} does not exist.") from None
    return {"ModelPackageArn": package.arn}


def list_packages(context: Context, params: Shape) -> Shape:
    """Packages of the region, oldest first unless asked otherwise: those that stand alone, or a group's versions."""
    operation = "ListModelPackages"
    refuse_unsupported(operation, params)
    page = context.store.find_resources(Kind.PACKAGE, _query(context, operation, params))
    return {
        "ModelPackageSummaryList": [_summary(package) for package in page.items],
        "NextToken": write_token(context, operation, params, page.next),
    }


def delete(context: Context, params: Shape) -> None:
    """Remove the package; its version number is not used again."""
    package = find_package(context, name(params, "ModelPackageName"))
    try:
        context.store.remove_resource(Kind.PACKAGE, context.region, package.name)
    except ResourceNotFound:
        raise InvalidRequest(f"ModelPackage {package.arn} does not exist.") from None


def _check_source(params: Shape) -> None:
    source = text(params, "SourceUri")
    if source and source.startswith("arn:"):
        raise UnsupportedRequest(f"SourceUri {source} is not supported: packages are not copied from other resources.")


def _made_with(context: Context, client_token: str | None) -> Resource | None:
    if not client_token:
        return None
    made = Query(region=context.region, equals={"client_token": client_token}, limit=1)
    return next(iter(context.store.find_resources(Kind.PACKAGE, made).items), None)


def _add_version(context: Context, params: Shape, group: Resource) -> Resource:
    def make(version: int) -> Resource:
        package = _package(context, params, f"{group.name}/{version}", "PendingManualApproval")
        return replace(package, parent=group.name, version=version)

    try:
        return context.store.add_version(make, Kind.PACKAGE, context.region, group.name)
    except ResourceNotFound:
        raise absent_group(group.arn) from None


def _package(context: Context, params: Shape, package_name: str, approval: str | None = None) -> Resource:
    now = context.now()
    document = without(params, "Tags")
    if approval is not None:
        document = {"ModelApprovalStatus": approval, **document}
    return Resource(
        kind=Kind.PACKAGE,
        region=context.region,
        name=package_name,
        arn=arn_of(Kind.PACKAGE, context.region, context.account, package_name),
        status="Completed",
        created_at=now,
        modified_at=now,
        document=document,
        labels=_labels(document),
    )


def _labels(document: Shape) -> dict[str, str]:
    labels = {"approval": text(document, "ModelApprovalStatus"), "client_token": text(document, "ClientToken")}
    return {key: value for key, value in labels.items() if value}


def _changed(package: Resource, params: Shape, now: float) -> Resource:
    token = text(params, "ClientToken")
    if token and package.labels.get("update_token") == token:
        return package
    document = {**package.document, **{member: params[member] for member in _REPLACED if member in params}}
    document["CustomerMetadataProperties"] = _metadata(document, params) or None
    added = structs(params, "AdditionalInferenceSpecificationsToAdd")
    document["AdditionalInferenceSpecifications"] = _specifications(document, added) or None
    document = {member: value for member, value in document.items() if value is not None}
    labels = {**_labels(document), **({"update_token": token} if token else {})}
    return replace(package, document=document, labels=labels, modified_at=now)


def _metadata(document: Shape, params: Shape) -> dict[str, str]:
    gone = texts(params, "CustomerMetadataPropertiesToRemove")
    kept = {key: value for key, value in strings(document, "CustomerMetadataProperties").items() if key not in gone}
    together = {**kept, **strings(params, "CustomerMetadataProperties")}
    if len(together) > MAX_METADATA:
        raise InvalidRequest(
            f"The package would have {len(together)} CustomerMetadataProperties; {MAX_METADATA} are allowed."
        )
    return together


def _specifications(document: Shape, added: list[Shape]) -> list[Shape]:
    together = [*structs(document, "AdditionalInferenceSpecifications"), *added]
    names = [name(specification, "Name") for specification in together]
    if len(names) > MAX_SPECIFICATIONS:
        raise InvalidRequest(
            f"The package would have {len(names)} AdditionalInferenceSpecifications; {MAX_SPECIFICATIONS} are allowed."
        )
    twice = sorted({each for each in names if names.count(each) > 1})
    if added and twice:
        raise InvalidRequest(f"AdditionalInferenceSpecifications has {', '.join(twice)} more than once.")
    return together


def _query(context: Context, operation: str, params: Shape) -> Query:
    """**Source:** without a ModelPackageType only unversioned packages are listed (botocore, ListModelPackagesInput); a
    group's name alone asks for its versions: Assumption A-0026."""
    group = text(params, "ModelPackageGroupName")
    kind = text(params, "ModelPackageType") or ("Versioned" if group else "Unversioned")
    equals = {
        "parent": find_group(context, group).name if group else None,
        "approval": text(params, "ModelApprovalStatus"),
    }
    versioned = {"Versioned": True, "Unversioned": False, "Both": None}[kind]
    return query(context, operation, params, order="Ascending", equals=equals, versioned=versioned)


def _summary(package: Resource) -> Shape:
    document = package.document
    return {
        "ModelPackageName": package.name if package.parent is None else None,
        "ModelPackageGroupName": package.parent,
        "ModelPackageVersion": package.version,
        "ModelPackageArn": package.arn,
        "ModelPackageDescription": text(document, "ModelPackageDescription"),
        "CreationTime": package.created_at,
        "ModelPackageStatus": package.status,
        "ModelApprovalStatus": text(document, "ModelApprovalStatus"),
        "ModelLifeCycle": document.get("ModelLifeCycle"),
        "ModelPackageRegistrationType": text(document, "ModelPackageRegistrationType"),
    }
