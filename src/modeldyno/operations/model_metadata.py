"""ListModelMetadata: the models that this installation knows the domain, task and framework of.

AWS lists the models that it has benchmarked. That list is not published, and nothing is made up here: what is listed is
what packages and jobs of this installation name as `NearestModelName`, with all that they tell of it (Assumption
A-0109).
"""

from __future__ import annotations

from collections.abc import Iterator

from modeldyno.domain.resource import Kind, Query
from modeldyno.operations.context import Context
from modeldyno.operations.pagination import slice_page
from modeldyno.operations.shapes import Shape, name, struct, structs, text
from modeldyno.operations.unsupported import refuse_unsupported

_OPERATION = "ListModelMetadata"
_MEMBERS = ("Domain", "Framework", "Task", "Model", "FrameworkVersion")
_MOST = 1000  # chosen: of packages and of jobs, the latest; more hardly name other models


def list_metadata(context: Context, params: Shape) -> Shape:
    """Each model once, in order of its members. **Source:** "Filter names and values are case-sensitive" (botocore)."""
    refuse_unsupported(_OPERATION, params)
    filters = [
        (name(one, "Name"), name(one, "Value")) for one in structs(struct(params, "SearchExpression"), "Filters")
    ]
    known = sorted({row for row in (*_of_packages(context), *_of_jobs(context)) if all(row)})
    rows = [dict(zip(_MEMBERS, row, strict=True)) for row in known]
    page, token = slice_page(
        context, _OPERATION, params, rows, keep=lambda row: all(row[member] == value for member, value in filters)
    )
    return {"ModelMetadataSummaries": page, "NextToken": token}


def _of_packages(context: Context) -> Iterator[tuple[str, ...]]:
    for package in context.store.find_resources(Kind.PACKAGE, Query(context.region, limit=_MOST)).items:
        document = package.document
        for container in structs(struct(document, "InferenceSpecification"), "Containers"):
            yield _row({**container, "Domain": document.get("Domain"), "Task": document.get("Task")})


def _of_jobs(context: Context) -> Iterator[tuple[str, ...]]:
    for job in context.store.find_jobs(Query(context.region, limit=_MOST)).items:
        yield _row(struct(struct(job.document, "InputConfig"), "ContainerConfig"))


def _row(told: Shape) -> tuple[str, ...]:
    members = ("Domain", "Framework", "Task", "NearestModelName", "FrameworkVersion")
    return tuple(text(told, member) or "" for member in members)
