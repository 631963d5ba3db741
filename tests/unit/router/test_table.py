"""A front's routes: who finds nobody in service looks again before the refusal."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from modeldyno.clock import SystemClock
from modeldyno.domain.endpoint import Endpoint, EndpointStatus, Server, ServerStatus
from modeldyno.domain.errors import ServiceError
from modeldyno.router.table import RouteTable
from tests.unit.domain.hosted import an_endpoint, variant


class Rows:
    """What a front asks of a store."""

    def __init__(self) -> None:
        self.version = 1
        self.ready = False
        self.away = False
        self.looks = 0

    def routes_version(self) -> int:
        self.looks += 1
        if self.away:
            raise ServiceError("The database is away.")
        return self.version

    def endpoints(self) -> list[Endpoint]:
        return [an_endpoint(status=EndpointStatus.IN_SERVICE)]

    def servers(self) -> list[Server]:
        made = Server("s", "e1", "us-east-1", "e", 1, variant(), 0)
        return [replace(made, status=ServerStatus.READY, url="http://127.0.0.1:9")] if self.ready else [made]

    def tell_front(self, *_: Any) -> None:
        pass


def routes(rows: Any) -> RouteTable:
    return RouteTable(rows, SystemClock(), "front", 1024, lambda text: None)


def serves(routes: RouteTable) -> bool:
    return any(choice.servers for choice in routes.targets["us-east-1", "e"].choices)


async def test_who_finds_nobody_sees_what_came_since_the_last_look() -> None:
    rows = Rows()
    made = routes(rows)
    await made.look()
    assert not serves(made)
    rows.ready, rows.version = True, 2
    found = await made.find("us-east-1", "e")
    assert found is made.targets["us-east-1", "e"]
    assert serves(made)


async def test_many_who_find_nobody_look_together() -> None:
    rows = Rows()
    made = routes(rows)
    await asyncio.gather(*(made.find("us-east-1", "none") for _ in range(100)))
    assert rows.looks < 10


async def test_a_store_that_is_away_leaves_the_routes_as_they_are() -> None:
    rows = Rows()
    made = routes(rows)
    await made.look()
    rows.away = True
    assert await made.find("us-east-1", "e") is made.targets["us-east-1", "e"]
    assert await made.find("us-east-1", "none") is None
