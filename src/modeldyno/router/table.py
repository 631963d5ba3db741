"""The routes as this front has them: looked at again whenever the store's version of them has grown.

A front tells the store by which version it goes and which servers it still has requests at, so that a change can be
waited for and a server is not ended under a request.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from modeldyno.domain.endpoint import RoutingStrategy
from modeldyno.domain.errors import DynoError
from modeldyno.domain.routing import Choice, Mirror, Route, Sampler, Turns, route_of
from modeldyno.domain.serverless import IDLE_SECONDS, LIMIT_BYTES, demand_key
from modeldyno.ports import Clock, Store
from modeldyno.router.serverless import Pool
from modeldyno.router.upstream import Upstream

POLL_SECONDS = 0.05
# Where there is no endpoint, nobody waits for a change: the host may be measuring.
_IDLE_SECONDS = 0.5
_LEASE_SECONDS = 5.0
# Routes that change while they are read are read again; after so many times the old ones go on until the next look.
_TRIES = 10
# A server that takes no connection is passed over for so long, unless every other does the same.
_SHUNNED_SECONDS = 1.0
# The oldest are forgotten then: their requests go to any server, as those of an unknown session do.
_MOST_SESSIONS = 10_000


@dataclass(slots=True)
class Target:
    """An endpoint as requests go to it: the route, and what has to be remembered between two of them."""

    route: Route
    choices: tuple[Choice, ...]
    shares: tuple[float, ...]
    turns: Turns = field(default_factory=Turns)
    sampler: Sampler = field(default_factory=Sampler)
    captures: Sampler = field(default_factory=Sampler)
    upstreams: dict[str, Upstream] = field(default_factory=dict)
    shunned: dict[str, float] = field(default_factory=dict)
    sessions: OrderedDict[bytes, str] = field(default_factory=OrderedDict)
    pools: dict[str, Pool] = field(default_factory=dict)

    def choose(self, variant: str | None) -> Choice | None:
        """Who answers: the named variant, or whose turn it is. None: there is no such variant."""
        if variant is None:
            if len(self.choices) == 1:
                return self.choices[0]
            return self.choices[self.turns.next(self.shares)]
        named = [index for index, choice in enumerate(self.choices) if choice.variant == variant]
        if len(named) > 1:
            return self.choices[named[self.turns.next([self.shares[index] for index in named])]]
        return self.choices[named[0]] if named else None

    def upstream(self, of: Choice | Mirror, now: float, passed_over: frozenset[str] = frozenset()) -> Upstream | None:
        """The server that is to answer; None: there is none (left). One that has left the route meanwhile is none."""
        servers = of.servers
        if len(servers) == 1 and not passed_over:
            return self.upstreams.get(servers[0][0])
        known = (self.upstreams.get(name) for name, _ in servers if name not in passed_over)
        open_to = [one for one in known if one is not None]
        good = [one for one in open_to if self.shunned.get(one.server_id, 0.0) <= now] or open_to
        if not good:
            return None
        if of.routing is RoutingStrategy.RANDOM:
            return random.choice(good)
        return min(good, key=lambda one: one.in_flight)

    def of_variant(self, of: Choice) -> list[Upstream] | None:
        """Its servers as the route has them now, in order; None: the variant, or its fleet, is in the route no more."""
        now = [one for one in self.choices if (one.variant, one.fleet) == (of.variant, of.fleet)]
        now = now or [one for one in self.choices if one.variant == of.variant and one.concurrency]
        if not now:
            return None
        known = (self.upstreams.get(name) for name, _ in now[0].servers)
        return [one for one in known if one is not None]

    def of_session(self, session_id: bytes | None, of: Choice) -> Upstream | None:
        """The server that holds a session, where it still serves."""
        holder = self.sessions.get(session_id) if session_id is not None else None
        if holder is None:
            return None
        return self.upstreams.get(holder) if holder in {name for name, _ in of.servers} else None

    def remember(self, upstream: Upstream, opened: bytes | None, closed: bytes | None) -> None:
        """A server has opened (``ID; Expires=...``) or closed a session: its requests go there while it is open."""
        if opened is not None:
            self.sessions[opened.partition(b";")[0].strip()] = upstream.server_id
            if len(self.sessions) > _MOST_SESSIONS:
                self.sessions.popitem(last=False)
        if closed is not None:
            self.sessions.pop(closed.strip(), None)

    def shun(self, upstream: Upstream, now: float) -> None:
        """Pass it over for a while."""
        self.shunned[upstream.server_id] = now + _SHUNNED_SECONDS


class RouteTable:
    """Routes by (region, name). `front_id`: of this life of this front. `idle_seconds`: for which a server of a
    serverless variant is still needed after it was used."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        front_id: str,
        limit_bytes: int,
        note: Callable[[str], None],
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self._store = store
        self._clock = clock
        self._front_id = front_id
        self._limit_bytes = limit_bytes
        self._note = note
        self._idle_seconds = idle_seconds
        self._version = -1
        self._told: tuple[int, frozenset[str], dict[str, int]] = (-1, frozenset(), {})
        self._told_at = 0.0
        self._looking = asyncio.Lock()
        self._looked_at = 0.0
        self._leaving: dict[str, Upstream] = {}
        self.targets: dict[tuple[str, str], Target] = {}

    async def run(self) -> None:
        """Look for ever; a store that is away leaves the routes as they are."""
        away = False
        while True:
            try:
                await self.look()
                away = False
            except Exception as error:  # whatever it is: without this task the routes would stay as they are for ever
                if not away:
                    self._note(f"the routes cannot be read, those known go on: {error}")
                away = True
            await asyncio.sleep(POLL_SECONDS if self.targets or self._leaving else _IDLE_SECONDS)

    async def find(self, region: str, name: str) -> Target | None:
        """The endpoint. One that is not known, or has nobody in service, is looked for in the store before it is
        refused: what a caller was told to be in service can be some moments newer than our routes."""
        target = self.targets.get((region, name))
        if target is not None and any(choice.servers or choice.concurrency for choice in target.choices):
            return target
        await self.look_again()
        return self.targets.get((region, name))

    async def look_again(self) -> None:
        """See what came since the last look; many who ask at once look together."""
        with contextlib.suppress(DynoError):  # the store may be away
            await self.look(since=self._clock.monotonic())

    async def look(self, since: float | None = None) -> None:
        """Read the routes when they are newer than ours, and tell the store what we go by. `since`: not again, where a
        look began after that time meanwhile."""
        async with self._looking:
            if since is None or self._looked_at < since:
                self._looked_at = self._clock.monotonic()
                await self._look()

    async def _look(self) -> None:
        for _ in range(_TRIES):
            version = await asyncio.to_thread(self._store.routes_version)
            if version == self._version:
                break
            if (routes := await asyncio.to_thread(self._read, version)) is not None:
                self._take(routes)
                self._version = version
        for gone in [name for name, upstream in self._leaving.items() if not upstream.in_flight]:
            self._leaving.pop(gone).close()
        now = self._clock.monotonic()
        news = (self._version, frozenset(self._leaving), self._demand(now))
        if news != self._told or now - self._told_at > _LEASE_SECONDS / 3:
            expires_at = self._clock.now() + _LEASE_SECONDS
            version, busy, demand = news
            await asyncio.to_thread(self._store.tell_front, self._front_id, version, busy, expires_at, demand)
            self._told, self._told_at = news, now

    def _demand(self, now: float) -> dict[str, int]:
        needed = {
            demand_key(target.route.endpoint_id, variant): pool.servers(now)
            for target in self.targets.values()
            for variant, pool in target.pools.items()
        }
        return {key: servers for key, servers in needed.items() if servers}

    def pool(self, target: Target, variant: str) -> Pool:
        """The requests at a serverless variant."""
        return target.pools.setdefault(variant, Pool(self._idle_seconds))

    async def end(self) -> None:
        """Be no front any more."""
        await asyncio.to_thread(self._store.remove_front, self._front_id)

    def _read(self, version: int) -> list[Route] | None:
        """The routes of that version; None where they changed while they were read, so that what was read of endpoints
        and of servers may not belong together."""
        servers, endpoints = self._store.servers(), self._store.endpoints()
        if self._store.routes_version() != version:
            return None
        return [
            route_of(endpoint, [one for one in servers if one.endpoint_id == endpoint.id]) for endpoint in endpoints
        ]

    def _take(self, routes: list[Route]) -> None:
        """Go by these from now on. What is remembered of an endpoint stays while it is the same one."""
        fresh: dict[tuple[str, str], Target] = {}
        known = {target.route.endpoint_id: target for target in self.targets.values()}
        for route in routes:
            target = known.get(route.endpoint_id)
            shares = tuple(choice.share for choice in route.choices)
            if target is None:
                target = Target(route, route.choices, shares)
            elif shares != target.shares:
                target.turns = Turns()
            target.route, target.choices, target.shares = route, route.choices, shares
            target.sampler.set(route.mirror.percent if route.mirror is not None else 0.0)
            target.captures.set(float(route.capture.percent) if route.capture is not None else 0.0)
            self._connect(target, route)
            _wake(target)
            fresh[route.region, route.name] = target
        for target in known.values():
            if all(target is not other for other in fresh.values()):
                target.route = replace(target.route, mirror=None, capture=None)  # what waits for its shadow is given up
                target.choices = ()
                self._connect(target, None)
                _wake(target)
        self.targets = fresh

    def _connect(self, target: Target, route: Route | None) -> None:
        """Have an upstream for each server of the route; those of servers that left are kept until they are idle."""
        wanted: dict[str, str] = {}
        for of in (*route.choices, *((route.mirror,) if route.mirror else ())) if route is not None else ():
            wanted.update(of.servers)
        limit = LIMIT_BYTES if any(choice.concurrency for choice in target.choices) else self._limit_bytes
        for name in [name for name, one in target.upstreams.items() if wanted.get(name) != one.url]:
            upstream = target.upstreams.pop(name)
            upstream.close()
            if upstream.in_flight:
                self._leaving[name] = upstream
        for name, url in wanted.items():
            if name not in target.upstreams:
                target.upstreams[name] = Upstream(name, url, limit)


def _wake(target: Target) -> None:
    for pool in target.pools.values():
        pool.wake()
