"""Pages of a list: which rows, in which order, and where the next one goes on."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Row, Select, Table, func, select, tuple_

from modeldyno.domain.errors import InvalidRequest
from modeldyno.domain.resource import Cursor, Query

_SORTS = ("name", "created_at", "modified_at", "status")


def page_of(table: Table, query: Query, *conditions: ColumnElement[bool]) -> Select[Any]:
    """One page and one row more, which tells whether there is a next page.

    The next page begins after (sort value, row) of the last item: nothing shifts when items are added meanwhile.
    Names are searched case-sensitively, any character taken as it stands (Assumption: AWS does not say).

    Raises:
        InvalidRequest: the cursor is of a list sorted otherwise.
    """
    if query.sort_by not in _SORTS:
        raise ValueError(f"Lists cannot be sorted by {query.sort_by}")
    column = table.c[query.sort_by]
    place = tuple_(column, table.c.row)
    statement = select(table).where(table.c.region == query.region, *conditions, *_bounds(table, query))
    if query.after is not None:
        after = tuple_(*_position(query.after, query.sort_by))
        statement = statement.where(place < after if query.descending else place > after)
    order = (column.desc(), table.c.row.desc()) if query.descending else (column, table.c.row)
    return statement.order_by(*order).limit(query.limit + 1)


def cut(rows: list[Row[Any]], query: Query) -> tuple[list[Row[Any]], Cursor | None]:
    """The rows of the page, and the cursor of the next."""
    if len(rows) <= query.limit:
        return rows, None
    shown = rows[: query.limit]
    last = shown[-1]._mapping
    return shown, Cursor(last[query.sort_by], last["row"])


def _position(cursor: Cursor, sort_by: str) -> tuple[str | float, int]:
    wanted = (int, float) if sort_by.endswith("_at") else str
    if not isinstance(cursor.value, wanted):
        raise InvalidRequest("The page token does not belong to this list.")
    return cursor.value, cursor.row


def _bounds(table: Table, query: Query) -> list[ColumnElement[bool]]:
    name, created, modified = table.c.name, table.c.created_at, table.c.modified_at
    asked = (
        # Removing the text changes the name exactly when it is in it; LIKE has wildcards and, on SQLite, no case.
        (query.name_contains or None, lambda text: func.replace(name, text, "") != name),
        (query.created_after, lambda at: created > at),
        (query.created_before, lambda at: created < at),
        (query.modified_after, lambda at: modified > at),
        (query.modified_before, lambda at: modified < at),
    )
    return [condition(value) for value, condition in asked if value is not None]
