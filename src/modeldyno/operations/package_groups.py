"""Model package groups: what versions belong to."""

from __future__ import annotations

from modeldyno.domain.errors import Conflict, InvalidRequest, ResourceInUse, ResourceNotFound
from modeldyno.domain.names import arn_of
from modeldyno.domain.resource import Kind, Resource
from modeldyno.operations.context import Context
from modeldyno.operations.pagination import query, write_token
from modeldyno.operations.shapes import Shape, name, text, without
from modeldyno.operations.sources import local_name
from modeldyno.operations.tags import new_tags
from modeldyno.operations.unsupported import refuse_unsupported


def create(context: Context, params: Shape) -> Shape:
    """Store an empty group."""
    refuse_unsupported("CreateModelPackageGroup", params)
    tags = new_tags(params)
    group_name = name(params, "ModelPackageGroupName")
    now = context.now()
    arn = arn_of(Kind.PACKAGE_GROUP, context.region, context.account, group_name)
    group = Resource(
        kind=Kind.PACKAGE_GROUP,
        region=context.region,
        name=group_name,
        arn=arn,
        status="Completed",
        created_at=now,
        modified_at=now,
        document=without(params, "Tags"),
    )
    try:
        context.store.add_resource(group, tags)
    except ResourceInUse:
        raise InvalidRequest(f"Model Package Group already exists: {arn}") from None
    return {"ModelPackageGroupArn": arn}


def describe(context: Context, params: Shape) -> Shape:
    """The group. Nobody is known to have created it: requests are not authenticated."""
    return group_shape(find_group(context, name(params, "ModelPackageGroupName")))


def group_shape(group: Resource) -> Shape:
    """A group; nobody is known to have created it."""
    return {**_summary(group), "CreatedBy": {}}


def list_groups(context: Context, params: Shape) -> Shape:
    """Groups of the region, oldest first unless asked otherwise."""
    operation = "ListModelPackageGroups"
    refuse_unsupported(operation, params)
    page = context.store.find_resources(Kind.PACKAGE_GROUP, query(context, operation, params, order="Ascending"))
    return {
        "ModelPackageGroupSummaryList": [_summary(group) for group in page.items],
        "NextToken": write_token(context, operation, params, page.next),
    }


def delete(context: Context, params: Shape) -> None:
    """Remove an empty group."""
    group = find_group(context, name(params, "ModelPackageGroupName"))
    try:
        context.store.remove_resource(Kind.PACKAGE_GROUP, context.region, group.name)
    except Conflict:
        raise Conflict(
            f"Model Package Group {group.arn} cannot be deleted because it still contains Model Packages."
        ) from None
    except ResourceNotFound:
        raise absent_group(group.arn) from None


def find_group(context: Context, arn_or_name: str) -> Resource:
    """The group, by name or by an ARN of any account."""
    group_name = local_name(context, Kind.PACKAGE_GROUP, arn_or_name)
    try:
        return context.store.resource(Kind.PACKAGE_GROUP, context.region, group_name)
    except ResourceNotFound:
        raise absent_group(arn_of(Kind.PACKAGE_GROUP, context.region, context.account, group_name)) from None


def absent_group(arn: str) -> InvalidRequest:
    """There is no such group."""
    return InvalidRequest(f"ModelPackageGroup {arn} does not exist.")


def _summary(group: Resource) -> Shape:
    return {
        "ModelPackageGroupName": group.name,
        "ModelPackageGroupArn": group.arn,
        "ModelPackageGroupDescription": text(group.document, "ModelPackageGroupDescription"),
        "CreationTime": group.created_at,
        "ModelPackageGroupStatus": group.status,
    }
