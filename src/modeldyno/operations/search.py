"""Search: resources by what their properties are, sorted and in pages. Assumptions A-0107, A-0108."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from modeldyno.domain.errors import UnsupportedRequest
from modeldyno.domain.resource import Kind, Query, Resource
from modeldyno.operations.context import Context
from modeldyno.operations.endpoints import endpoint_shape
from modeldyno.operations.models import model_shape
from modeldyno.operations.package_groups import group_shape
from modeldyno.operations.packages import package_shape
from modeldyno.operations.pagination import slice_page
from modeldyno.operations.search_expressions import Property, matcher, property_of, reads_tags
from modeldyno.operations.shapes import Shape, name, struct, text
from modeldyno.operations.tags import tag_shapes
from modeldyno.operations.unsupported import refuse_unsupported
from modeldyno.wire.service import service

_PAGE = 500  # resources read at once


@dataclass(frozen=True, slots=True)
class _Record:
    """A resource as Search tells it, without its tags. `modified_at`: what is sorted by where nothing else is asked.
    `within`: the member that the tags stand in; None: the record itself."""

    shape: Shape
    arn: str
    modified_at: float
    within: str | None = None

    def tagged(self, context: Context) -> _Record:
        """With its tags."""
        tags = {"Tags": tag_shapes(context.store.tags(self.arn))}
        shape = {**self.shape, **tags}
        if self.within is not None:
            shape = {**self.shape, self.within: {**struct(self.shape, self.within), **tags}}
        return replace(self, shape=shape)


def search(context: Context, params: Shape) -> Shape:
    """The resources that satisfy the expression, those changed last first unless asked otherwise.

    **Source:** botocore, SearchRequest: "The default is LastModifiedTime", "The default is Descending".
    """
    refuse_unsupported("Search", params)
    resource = name(params, "Resource")
    if resource not in RESOURCES:
        raise UnsupportedRequest(f"Resource {resource} is not supported: {', '.join(RESOURCES)} are searched.")
    wanted = matcher(resource, params)
    sort_by = text(params, "SortBy")
    order = property_of(resource, sort_by) if sort_by is not None else None
    if order is not None:
        order.require_scalar("SortBy")
    records = RESOURCES[resource](context)
    by_tags = reads_tags(params)
    if by_tags:
        records = (record.tagged(context) for record in records)
    found = [record for record in records if wanted(record.shape)]
    ordered = _sorted(found, order, descending=text(params, "SortOrder") != "Ascending")
    page, token = slice_page(context, "Search", params, ordered, keep=lambda record: True)
    return {
        "Results": [{resource: (record if by_tags else record.tagged(context)).shape} for record in page],
        "NextToken": token,
        "TotalHits": {"Value": len(found), "Relation": "EqualTo"},
    }


def _sorted(found: Sequence[_Record], order: Property | None, *, descending: bool) -> list[_Record]:
    """In order of a property, those without it at the end; ties in the order of creation."""
    if order is None:
        return sorted(found, key=lambda record: record.modified_at, reverse=descending)
    having: list[tuple[Any, _Record]] = []
    rest: list[_Record] = []
    for record in found:
        key = next(order.values(record.shape), None)
        if key is None:
            rest.append(record)
        else:
            having.append((key, record))
    return [record for _, record in sorted(having, key=lambda pair: pair[0], reverse=descending)] + rest


# --- what is searched ------------------------------------------------------------------------------------------------


def _all(context: Context, kind: Kind) -> Iterator[Resource]:
    asked = Query(context.region, descending=False, limit=_PAGE)
    while True:
        page = context.store.find_resources(kind, asked)
        yield from page.items
        if page.next is None:
            return
        asked = Query(context.region, descending=False, limit=_PAGE, after=page.next)


def _record(of: str, arn: str, shape: Shape, modified_at: float) -> _Record:
    """The members that a record of this shape has."""
    members = service().shapes[of].members
    told = {member: value for member, value in shape.items() if member in members and value is not None}
    return _Record(told, arn, modified_at)


def _groups(context: Context) -> Iterator[_Record]:
    for group in _all(context, Kind.PACKAGE_GROUP):
        yield _record("ModelPackageGroup", group.arn, group_shape(group), group.modified_at)


def _packages(context: Context) -> Iterator[_Record]:
    for package in _all(context, Kind.PACKAGE):
        yield _record("ModelPackage", package.arn, package_shape(package), package.modified_at)


def _endpoints(context: Context) -> Iterator[_Record]:
    servers = context.store.servers()
    for endpoint in context.store.endpoints():
        if endpoint.region == context.region:
            shape = endpoint_shape(endpoint, [one for one in servers if one.endpoint_id == endpoint.id])
            yield _record("Endpoint", endpoint.arn, shape, endpoint.modified_at)


def _models(context: Context) -> Iterator[_Record]:
    """As of AWS's model dashboard: the model, and the endpoints that serve it."""
    endpoints = [one for one in context.store.endpoints() if one.region == context.region]
    for model in _all(context, Kind.MODEL):
        record = _record("Model", model.arn, model_shape(model), model.modified_at)
        serving = [
            {
                "EndpointName": endpoint.name,
                "EndpointArn": endpoint.arn,
                "CreationTime": endpoint.created_at,
                "LastModifiedTime": endpoint.modified_at,
                "EndpointStatus": str(endpoint.status),
            }
            for endpoint in endpoints
            if any(variant.source.model_name == model.name for variant in endpoint.fleet.spec.every)
        ]
        yield _Record({"Model": record.shape, "Endpoints": serving}, model.arn, model.modified_at, "Model")


RESOURCES: dict[str, Callable[[Context], Iterator[_Record]]] = {
    "ModelPackageGroup": _groups,
    "ModelPackage": _packages,
    "Model": _models,
    "Endpoint": _endpoints,
}
"""By the wire's name."""
