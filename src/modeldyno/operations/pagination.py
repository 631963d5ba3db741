"""Lists: filters, order and the tokens that lead from page to page.

1. A token is base64url of JSON: a fingerprint of the query and where the last page ended.
2. The fingerprint covers the operation, the installation, the region and every parameter but the page size, so a token
   of another list, region, filter or order is refused, not misread.
3. It is no secret: whoever forges one gets a page that the query itself would give.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from modeldyno.domain.errors import InvalidRequest
from modeldyno.domain.resource import Cursor, Query
from modeldyno.operations.context import Context
from modeldyno.operations.shapes import Shape, integer, seconds, text

Item = TypeVar("Item")

DEFAULT_PAGE = 10
"""Items of a page when MaxResults is absent. Assumption A-0011."""

_COLUMNS = {"Name": "name", "CreationTime": "created_at", "Status": "status"}
_LAST_ROW = 2**63 - 1


def query(
    context: Context,
    operation: str,
    params: Shape,
    *,
    order: str,
    equals: Mapping[str, str | None] | None = None,
    versioned: bool | None = None,
) -> Query:
    """What a list over the store asks for; `order` is the default SortOrder, None in `equals` means no filter."""
    sort_by = _COLUMNS[text(params, "SortBy") or "CreationTime"]
    return Query(
        region=context.region,
        name_contains=text(params, "NameContains") or None,
        created_after=seconds(params, "CreationTimeAfter"),
        created_before=seconds(params, "CreationTimeBefore"),
        modified_after=seconds(params, "LastModifiedTimeAfter"),
        modified_before=seconds(params, "LastModifiedTimeBefore"),
        equals={key: value for key, value in (equals or {}).items() if value is not None},
        versioned=versioned,
        sort_by=sort_by,
        descending=(text(params, "SortOrder") or order) == "Descending",
        after=read_token(context, operation, params, str if sort_by in ("name", "status") else float),
        limit=integer(params, "MaxResults") or DEFAULT_PAGE,
    )


def at_or_after(asked: Query) -> Query:
    """The question with bounds that take in the very moment they name. **Source:** "greater than or equal to the
    specified time" (botocore, ListModelsInput and other lists)."""

    def lowered(bound: float | None) -> float | None:
        return None if bound is None else math.nextafter(bound, -math.inf)

    return replace(asked, created_after=lowered(asked.created_after), modified_after=lowered(asked.modified_after))


def write_token(context: Context, operation: str, params: Shape, after: Cursor | None) -> str | None:
    """The NextToken that goes on after `after`; None on the last page."""
    if after is None:
        return None
    body = json.dumps([_fingerprint(context, operation, params), after.value, after.row])
    return base64.urlsafe_b64encode(body.encode()).decode().rstrip("=")


def read_token(context: Context, operation: str, params: Shape, value_type: type[str] | type[float]) -> Cursor | None:
    """Where the request's NextToken goes on; None when it has none.

    Raises:
        InvalidRequest: the token is not one that this very query was given.
    """
    token = text(params, "NextToken")
    if not token:
        return None
    try:
        fingerprint, value, row = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (ValueError, TypeError, RecursionError):
        raise _foreign() from None
    if fingerprint != _fingerprint(context, operation, params):
        raise _foreign()
    if not (isinstance(row, int) and 0 <= row <= _LAST_ROW):
        raise _foreign()
    if not isinstance(value, value_type) or (isinstance(value, float) and not math.isfinite(value)):
        raise _foreign()
    return Cursor(value, row)


def slice_page(
    context: Context, operation: str, params: Shape, items: Sequence[Item], keep: Callable[[Item], bool]
) -> tuple[list[Item], str | None]:
    """One page of a sequence that only grows at its end, of what `keep` lets through, and the token of the next."""
    after = read_token(context, operation, params, float)
    start = after.row + 1 if after else 0
    limit = integer(params, "MaxResults") or DEFAULT_PAGE
    places = [place for place in range(start, len(items)) if keep(items[place])]
    shown = places[:limit]
    cursor = Cursor(0.0, shown[-1]) if len(places) > limit else None
    return [items[place] for place in shown], write_token(context, operation, params, cursor)


def _fingerprint(context: Context, operation: str, params: Shape) -> str:
    asked = {key: value for key, value in params.items() if key not in ("NextToken", "MaxResults")}
    text_of = json.dumps([operation, context.store.installation, context.region, asked], sort_keys=True, default=str)
    return hashlib.sha256(text_of.encode()).hexdigest()[:16]


def _foreign() -> InvalidRequest:
    return InvalidRequest("The NextToken is not valid for this request.")
