"""Pages of a list: which rows, in which order, and where the next one goes on.

A statement is built once for every form of question and kept; the values of a question are bound to it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Double, Row, Select, Table, Text, bindparam, func, select, tuple_

from modeldyno.domain.errors import InvalidRequest
from modeldyno.domain.resource import Cursor, Query

_SORTS = ("name", "created_at", "modified_at", "status")
_BOUNDS = ("name_contains", "created_after", "created_before", "modified_after", "modified_before")


def page_of(
    table: Table, query: Query, *conditions: ColumnElement[bool], **values: object
) -> tuple[Select[Any], dict[str, object]]:
    """One page and one row more, which tells whether there is a next page: the statement and its values.

    The next page begins after (sort value, row) of the last item: nothing shifts when items are added meanwhile.
    Names are searched case-sensitively, any character taken as it stands (Assumption: AWS does not say).
    `conditions` are kept by the caller (the same objects for the same form); `values` are of their parameters.

    Raises:
        InvalidRequest: the cursor is of a list sorted otherwise.
    """
    if query.sort_by not in _SORTS:
        raise ValueError(f"Lists cannot be sorted by {query.sort_by}")
    bounds = {name: value for name in _BOUNDS if (value := getattr(query, name)) is not None and value != ""}
    bound: dict[str, object] = {"region": query.region, "rows": query.limit + 1, **bounds, **values}
    if query.after is not None:
        bound["after_value"], bound["after_row"] = _position(query.after, query.sort_by)
    return _statement(table, query.sort_by, query.descending, query.after is not None, (*bounds,), conditions), bound


def cut(rows: list[Row[Any]], query: Query) -> tuple[list[Row[Any]], Cursor | None]:
    """The rows of the page, and the cursor of the next."""
    if len(rows) <= query.limit:
        return rows, None
    shown = rows[: query.limit]
    last = shown[-1]._mapping
    return shown, Cursor(last[query.sort_by], last["row"])


@lru_cache(maxsize=512)
def _statement(
    table: Table,
    sort_by: str,
    descending: bool,
    goes_on: bool,
    bounds: tuple[str, ...],
    conditions: tuple[ColumnElement[bool], ...],
) -> Select[Any]:
    column = table.c[sort_by]
    where = [table.c.region == bindparam("region"), *conditions, *(_bound(table, name) for name in bounds)]
    if goes_on:
        kind = Double() if sort_by.endswith("_at") else Text()
        place = tuple_(column, table.c.row)
        after = tuple_(bindparam("after_value", type_=kind), bindparam("after_row", type_=BigInteger()))
        where.append(place < after if descending else place > after)
    order = (column.desc(), table.c.row.desc()) if descending else (column, table.c.row)
    return select(table).where(*where).order_by(*order).limit(bindparam("rows"))


def _bound(table: Table, name: str) -> ColumnElement[bool]:
    if name == "name_contains":
        # Removing the text changes the name exactly when it is in it; LIKE has wildcards and, on SQLite, no case.
        return func.replace(table.c.name, bindparam(name, type_=Text()), "") != table.c.name
    column = table.c[f"{name.partition('_')[0]}_at"]
    return column > bindparam(name) if name.endswith("_after") else column < bindparam(name)


def _position(cursor: Cursor, sort_by: str) -> tuple[str | float, int]:
    wanted = (int, float) if sort_by.endswith("_at") else str
    if not isinstance(cursor.value, wanted):
        raise InvalidRequest("The page token does not belong to this list.")
    return cursor.value, cursor.row
