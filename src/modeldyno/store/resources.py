"""Queries: resources and their tags."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, bindparam, delete, exists, insert, select, update
from sqlalchemy.exc import IntegrityError

from modeldyno.domain.errors import Conflict, LimitExceeded, ResourceInUse, ResourceNotFound
from modeldyno.domain.resource import Kind, Query, Resource
from modeldyno.ports import Page
from modeldyno.store.codec import json_text, resource_of, resource_values, tags_of
from modeldyno.store.database import insert_into
from modeldyno.store.paging import cut, page_of
from modeldyno.store.queries import Queries
from modeldyno.store.tables import resources, tags

_OF_KIND = resources.c.kind == bindparam("kind")
_VERSIONED = {True: resources.c.version.is_not(None), False: resources.c.version.is_(None)}


class ResourceQueries(Queries):
    """Models, package groups, package versions."""

    def add_resource(self, resource: Resource, tags: dict[str, str] | None = None) -> None:
        """Add one; `ResourceInUse` when (kind, region, name) exists."""

        def work(connection: Connection) -> bool:
            _insert(connection, resource)
            if tags:
                put_tags(connection, resource.arn, tags)
            return True

        self._database.write(work, lambda connection: _landed(connection, resource) and True)

    def add_version(self, make: Callable[[int], Resource], kind: Kind, region: str, parent: str) -> Resource:
        """Add `make(n)` under the next version number of the group; numbers are not used twice while the group lives.
        `make` is called once a try. One with the client token of a version that is there is not added: that
        version is the answer."""
        made: list[Resource] = []

        def work(connection: Connection) -> Resource:
            group = _locked(connection, Kind.PACKAGE_GROUP, region, parent)
            number = group.last_version + 1
            resource = make(number)
            if (earlier := _made_with_its_token(connection, resource)) is not None:
                return earlier
            connection.execute(update(resources).where(resources.c.row == group.row).values(last_version=number))
            made[:] = [resource]
            _insert(connection, resource)
            return resource

        return self._database.write(work, lambda connection: _landed(connection, made[0]) if made else None)

    def resource(self, kind: Kind, region: str, name: str) -> Resource:
        """The one; `ResourceNotFound`."""
        row = self._database.read(lambda connection: connection.execute(_one(kind, region, name)).first())
        return resource_of(_found(row, kind, name))

    def update_resource(self, kind: Kind, region: str, name: str, change: Callable[[Resource], Resource]) -> Resource:
        """Replace it by `change(it)`, which is called once a try; `ResourceNotFound`."""

        def work(connection: Connection) -> Resource:
            row = _locked(connection, kind, region, name)
            changed = change(resource_of(row))
            connection.execute(update(resources).where(resources.c.row == row.row).values(resource_values(changed)))
            return changed

        return self._database.write(work)

    def remove_resource(self, kind: Kind, region: str, name: str) -> None:
        """Remove it and its tags; `ResourceNotFound`. A group with versions left: `Conflict`."""

        def work(connection: Connection) -> bool:
            row = _locked(connection, kind, region, name)
            if kind is Kind.PACKAGE_GROUP and connection.scalar(_has_versions(region, name)):
                raise Conflict(f"The {kind} {name} still has versions.")
            connection.execute(delete(resources).where(resources.c.row == row.row))
            connection.execute(delete(tags).where(tags.c.arn == row.arn))
            return True

        def landed(connection: Connection) -> bool | None:
            return True if connection.execute(_one(kind, region, name)).first() is None else None

        self._database.write(work, landed)

    def find_resources(self, kind: Kind, query: Query) -> Page:
        """One page."""
        values = {f"equals_{key}": value for key, value in query.equals.items()}
        conditions = [_equal(key) for key in query.equals]
        if query.versioned is not None:
            conditions.append(_VERSIONED[query.versioned])
        statement, bound = page_of(resources, query, _OF_KIND, *conditions, kind=kind.value, **values)
        rows = self._database.read(lambda connection: list(connection.execute(statement, bound)))
        shown, cursor = cut(rows, query)
        return Page(tuple(resource_of(row) for row in shown), cursor)


class TagQueries(Queries):
    """Tags of whatever has an ARN."""

    def set_tags(self, arn: str, tags: dict[str, str], limit: int = 50) -> dict[str, str]:
        """Add or overwrite tags; all tags after. More than `limit` in the end: `LimitExceeded`, nothing changed."""

        def work(connection: Connection) -> dict[str, str]:
            together = {**_locked_tags(connection, arn), **tags}
            if len(together) > limit:
                raise LimitExceeded(f"{arn} would have {len(together)} tags; {limit} are allowed.")
            put_tags(connection, arn, together)
            return dict(sorted(together.items()))

        return self._database.write(work)

    def tags(self, arn: str) -> dict[str, str]:
        """Its tags, sorted by key."""
        statement = select(tags.c.tags).where(tags.c.arn == arn)
        return tags_of(self._database.read(lambda connection: connection.scalar(statement)))

    def remove_tags(self, arn: str, keys: Iterable[str]) -> None:
        """Remove those that are there."""
        gone = set(keys)

        def work(connection: Connection) -> None:
            here = tags_of(connection.scalar(_tags_locked(arn)))
            if gone & here.keys():
                put_tags(connection, arn, {key: value for key, value in here.items() if key not in gone})

        self._database.write(work)


def put_tags(connection: Connection, arn: str, values: dict[str, str]) -> None:
    """Make these the tags of the ARN."""
    statement = insert_into(connection, tags).values(arn=arn, tags=json_text(values))
    connection.execute(statement.on_conflict_do_update(index_elements=["arn"], set_={"tags": statement.excluded.tags}))


def _locked_tags(connection: Connection, arn: str) -> dict[str, str]:
    """Its tags, with a lock on them; a row is made so that there is something to lock."""
    connection.execute(insert_into(connection, tags).values(arn=arn, tags="{}").on_conflict_do_nothing())
    return tags_of(connection.scalar(_tags_locked(arn)))


def _tags_locked(arn: str) -> Any:
    return select(tags.c.tags).where(tags.c.arn == arn).with_for_update()


def _one(kind: Kind, region: str, name: str) -> Any:
    return select(resources).where(
        resources.c.kind == kind.value, resources.c.region == region, resources.c.name == name
    )


def _locked(connection: Connection, kind: Kind, region: str, name: str) -> Row[Any]:
    return _found(connection.execute(_one(kind, region, name).with_for_update()).first(), kind, name)


def _found(row: Row[Any] | None, kind: Kind, name: str) -> Row[Any]:
    if row is None:
        raise ResourceNotFound(f"There is no {kind} {name}.")
    return row


def _insert(connection: Connection, resource: Resource) -> None:
    try:
        connection.execute(insert(resources).values(**resource_values(resource), last_version=0))
    except IntegrityError as error:
        raise ResourceInUse(f"The {resource.kind} {resource.name} already exists.") from error


def _landed(connection: Connection, resource: Resource) -> Resource | None:
    row = connection.execute(_one(resource.kind, resource.region, resource.name)).first()
    return resource if row is not None and resource_of(row) == resource else None


def _made_with_its_token(connection: Connection, resource: Resource) -> Resource | None:
    """A version of the same group that the same request made: clients repeat a request whose answer they lost."""
    token = resource.labels.get("client_token")
    if token is None:
        return None
    same = (resources.c.kind == resource.kind.value, resources.c.region == resource.region, _equal("client_token"))
    statement = select(resources).where(*same, resources.c.parent == resource.parent)
    row = connection.execute(statement, {"equals_client_token": token}).first()
    return None if row is None else resource_of(row)


def _has_versions(region: str, group: str) -> Any:
    return select(
        exists().where(
            resources.c.kind == Kind.PACKAGE.value, resources.c.region == region, resources.c.parent == group
        )
    )


@cache
def _equal(key: str) -> ColumnElement[bool]:
    """A filter by a column or a label."""
    column = resources.c[key] if key in ("status", "parent") else resources.c.labels[key].as_string()
    return column == bindparam(f"equals_{key}")
