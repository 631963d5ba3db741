"""Queries: endpoints, their servers, and the fronts that route to them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, bindparam, delete, exists, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from modeldyno.domain.endpoint import Endpoint, Server
from modeldyno.domain.errors import ResourceInUse, ResourceNotFound
from modeldyno.domain.resource import Kind
from modeldyno.domain.rollout import Step
from modeldyno.ports import Event
from modeldyno.store.codec import counts_of, endpoint_of, endpoint_values, json_text, plain, server_of, server_values
from modeldyno.store.database import insert_into
from modeldyno.store.queries import Queries
from modeldyno.store.resources import put_tags
from modeldyno.store.tables import counters, events, evidence, fronts, resources, servers, tags, tallies

_ROUTES = "routes"
_ENDPOINTS = (
    select(resources).where(resources.c.kind == Kind.ENDPOINT.value).order_by(resources.c.created_at, resources.c.row)
)
_OF_ENDPOINT = select(servers).where(servers.c.endpoint_id == bindparam("endpoint_id")).order_by(servers.c.id)


class EndpointQueries(Queries):
    """Endpoints and their servers."""

    def add_endpoint(self, endpoint: Endpoint, tags: dict[str, str] | None = None) -> None:
        """Add one; `ResourceInUse` when (region, name) exists."""

        def work(connection: Connection) -> bool:
            try:
                connection.execute(insert(resources).values(**endpoint_values(endpoint), last_version=0))
            except IntegrityError as error:
                raise ResourceInUse(f"The endpoint {endpoint.name} already exists.") from error
            if tags:
                put_tags(connection, endpoint.arn, tags)
            raise_routes(connection)
            return True

        def landed(connection: Connection) -> bool | None:
            row = connection.execute(_one(endpoint.region, endpoint.name)).first()
            return True if row is not None and endpoint_of(row).id == endpoint.id else None

        self._database.write(work, landed)

    def endpoint(self, region: str, name: str) -> Endpoint:
        """The one; `ResourceNotFound`."""
        row = self._database.read(lambda connection: connection.execute(_one(region, name)).first())
        return endpoint_of(_found(row, name))

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Every endpoint of every region, oldest first."""
        return tuple(map(endpoint_of, self._database.read(lambda connection: connection.execute(_ENDPOINTS).all())))

    def change_endpoint(self, region: str, name: str, change: Callable[[Endpoint], Endpoint]) -> Endpoint:
        """Replace it by `change(it)` atomically; `ResourceNotFound`."""

        def work(connection: Connection) -> Endpoint:
            row = _found(connection.execute(_one(region, name).with_for_update()).first(), name)
            changed = change(endpoint_of(row))
            _write(connection, row, changed)
            raise_routes(connection)
            return changed

        return self._database.write(work)

    def step_endpoint(self, region: str, name: str, step: Callable[[Endpoint, Sequence[Server]], Step]) -> Step | None:
        """Carry out a step on the endpoint and its servers atomically; None when there is no such endpoint."""

        def work(connection: Connection) -> Step | None:
            row = connection.execute(_one(region, name).with_for_update()).first()
            if row is None:
                return None
            before = endpoint_of(row)
            rows = connection.execute(_OF_ENDPOINT.with_for_update(), {"endpoint_id": before.id}).all()
            made = step(before, tuple(map(server_of, rows)))
            _carry_out(connection, row, made, {one.id: server_of(one) for one in rows})
            return made

        return self._database.write(work)

    def servers(self) -> tuple[Server, ...]:
        """Every hosted server, in order of their ids."""
        statement = select(servers).order_by(servers.c.id)
        return tuple(map(server_of, self._database.read(lambda connection: connection.execute(statement).all())))

    def change_server(self, server_id: str, attempt: int, change: Callable[[Server], Server]) -> Server | None:
        """Replace the row by `change(row)` where its attempt is the caller's; None where it is not, or is gone."""

        def work(connection: Connection) -> Server | None:
            locked = select(servers).where(servers.c.id == server_id, servers.c.attempt == attempt).with_for_update()
            row = connection.execute(locked).first()
            if row is None:
                return None
            before = server_of(row)
            after = change(before)
            connection.execute(update(servers).where(servers.c.id == server_id).values(server_values(after)))
            if (before.serves, before.url) != (after.serves, after.url):
                raise_routes(connection)
            return after

        return self._database.write(work)

    def remove_server(self, server_id: str, attempt: int) -> bool:
        """Remove the row where its attempt is the caller's; whether it was."""
        statement = delete(servers).where(servers.c.id == server_id, servers.c.attempt == attempt)
        return self._database.write(lambda connection: connection.execute(statement).rowcount == 1)


class FrontQueries(Queries):
    """Who routes by what, and the stories."""

    def routes_version(self) -> int:
        """Grows with every change that requests may go by."""
        statement = select(counters.c.value).where(counters.c.name == _ROUTES)
        return int(self._database.read(lambda connection: connection.scalar(statement)) or 0)

    def tell_front(
        self, front_id: str, version: int, busy: Collection[str], expires_at: float, demand: Mapping[str, int]
    ) -> None:
        """A front goes by the routes of that version and still has requests at the servers `busy`; `demand`: how many
        servers its requests need, by serverless variant."""
        facts = {
            "routes_version": version,
            "lease_expires_at": expires_at,
            "busy": json_text(sorted(busy)),
            "demand": json_text(demand),
        }

        def work(connection: Connection) -> None:
            statement = insert_into(connection, fronts).values(id=front_id, **facts)
            connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=facts))
            connection.execute(delete(fronts).where(fronts.c.lease_expires_at < expires_at - _FORGOTTEN_SECONDS))

        self._database.write(work)

    def fronts_behind(self, version: int, now: float) -> int:
        """How many living fronts go by routes older than that."""
        behind = (fronts.c.routes_version < version, fronts.c.lease_expires_at > now)
        statement = select(func.count()).select_from(fronts).where(*behind)
        return int(self._database.read(lambda connection: connection.scalar(statement)) or 0)

    def busy_servers(self, now: float) -> frozenset[str]:
        """Servers that some living front still has requests at."""
        statement = select(fronts.c.busy).where(fronts.c.lease_expires_at > now)
        lists = self._database.read(lambda connection: connection.scalars(statement).all())
        return frozenset(name for text in lists for name in msgspec.json.decode(text, type=list[str]))

    def demand(self, now: float) -> dict[str, int]:
        """How many servers all living fronts together need, by serverless variant."""
        statement = select(fronts.c.demand).where(fronts.c.lease_expires_at > now)
        total: dict[str, int] = {}
        for text in self._database.read(lambda connection: connection.scalars(statement).all()):
            for key, servers_needed in counts_of(text).items():
                total[key] = total.get(key, 0) + servers_needed
        return total

    def remove_front(self, front_id: str) -> None:
        """A front ends."""
        self._database.write(lambda connection: connection.execute(delete(fronts).where(fronts.c.id == front_id)))

    def tell(self, arn: str, at: float, *messages: str) -> None:
        """Append to the story of an ARN."""
        rows = [{"arn": arn, "at": at, "message": plain(message)} for message in messages]
        if rows:
            self._database.write(lambda connection: connection.execute(insert(events), rows))

    def story(self, arn: str) -> tuple[Event, ...]:
        """The story in order."""
        statement = select(events.c.at, events.c.message).where(events.c.arn == arn).order_by(events.c.row)
        rows = self._database.read(lambda connection: connection.execute(statement).all())
        return tuple(Event(row.at, row.message) for row in rows)


# A front that was killed leaves its row; it is of no more use once its lease is long over.
_FORGOTTEN_SECONDS = 3600.0


def raise_routes(connection: Connection) -> None:
    """Let every front look again."""
    connection.execute(update(counters).where(counters.c.name == _ROUTES).values(value=counters.c.value + 1))


def _carry_out(connection: Connection, row: Row[Any], made: Step, here: dict[str, Server]) -> None:
    if made.endpoint is None:
        gone = endpoint_of(row).id
        connection.execute(delete(servers).where(servers.c.endpoint_id == gone))
        connection.execute(delete(resources).where(resources.c.row == row.row))
        connection.execute(delete(tags).where(tags.c.arn == row.arn))
        connection.execute(delete(events).where(events.c.arn == row.arn))
        connection.execute(delete(tallies).where(tallies.c.experiment == gone))
        connection.execute(delete(evidence).where(evidence.c.experiment == gone))
    else:
        _write(connection, row, made.endpoint)
    for server in made.add:
        there = select(exists().where(servers.c.id == server.id))
        if not connection.scalar(there):
            connection.execute(insert(servers).values(id=server.id, **server_values(server)))
    for server_id in made.unwant:
        unwanted = server_values(replace(here[server_id], wanted=False))
        connection.execute(update(servers).where(servers.c.id == server_id).values(unwanted))
    raise_routes(connection)


def _write(connection: Connection, row: Row[Any], endpoint: Endpoint) -> None:
    connection.execute(update(resources).where(resources.c.row == row.row).values(endpoint_values(endpoint)))


def _one(region: str, name: str) -> Any:
    return select(resources).where(
        resources.c.kind == Kind.ENDPOINT.value, resources.c.region == region, resources.c.name == name
    )


def _found(row: Row[Any] | None, name: str) -> Row[Any]:
    if row is None:
        raise ResourceNotFound(f"There is no endpoint {name}.")
    return row
