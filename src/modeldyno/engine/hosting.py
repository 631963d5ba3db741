"""Endpoints: rows say what should serve, this loop makes it so on this host.

1. `domain.rollout.step` says what comes next for each endpoint; what it says is written under the endpoint's lock.
2. Servers that are nobody's are taken, placed beside what runs, and started. Those of a former life of this worker are
   adopted when they still run.
3. A server that is no longer wanted is drained first: every front must have looked at the routes again, and have no
   request at it any more.
4. A server that ended after it was ready is started again, at once the first time, then after longer and longer pauses.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from modeldyno.domain.endpoint import Endpoint, EndpointStatus, Server, ServerStatus
from modeldyno.domain.errors import DynoError, HostCannot
from modeldyno.domain.host import Host, oversubscribed, place_beside
from modeldyno.domain.rollout import Step, step
from modeldyno.domain.trial import Placement
from modeldyno.engine.demand import HostDemand
from modeldyno.engine.experiments import Experiments
from modeldyno.engine.materials import Materials, ModelFiles
from modeldyno.engine.parts import Parts
from modeldyno.engine.server import ServerRun
from modeldyno.ports import Tag

_POLL_SECONDS = 0.1
# Where nothing is hosted: the host may be measuring.
_IDLE_SECONDS = 0.5
# The longest request, and a little: whoever has not answered by then does not.
_DRAIN_SECONDS = 65.0
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.5, 30.0
# One that served for so long has recovered: its next end is a first one again.
_RECOVERED_SECONDS = 60.0


class Hosting:
    """Endpoints of this host. `worker_id`: whose leases they are."""

    def __init__(self, parts: Parts, worker_id: str, host: Host) -> None:
        self._parts = parts
        self._store = parts.store
        self._id = worker_id
        self._host = host
        self._materials = Materials(parts.objects, parts.hosted_dir)
        self._experiments = Experiments(parts)
        self._demand = HostDemand(parts, host)
        self._running: dict[str, tuple[Server, asyncio.Task[None]]] = {}
        self._runs: dict[str, ServerRun] = {}
        self._known: dict[str, EndpointStatus] | None = None
        self._draining: dict[str, tuple[int, float]] = {}
        self._ending: dict[str, asyncio.Task[None]] = {}
        self._failures: dict[str, int] = {}
        self._busy = True  # a former life may have left files

    # --- life ---

    def tags(self) -> set[str]:
        """Of the servers that run here; nobody else may remove them."""
        return {str(self._tag(server)) for server, _ in self._running.values()}

    def runs(self, endpoint_id: str) -> list[ServerRun]:
        """The servers of an endpoint that run here, ready or not."""
        mine = [server.id for server, _ in list(self._running.values()) if server.endpoint_id == endpoint_id]
        return [self._runs[server_id] for server_id in mine if server_id in self._runs]

    def where(self, endpoint_id: str) -> list[Placement]:
        """The places of the servers of an endpoint that run here; none while they are being started again.

        Raises:
            HostCannot: they will not run here: the endpoint is gone, or has failed.
        """
        if self._known is not None and self._known.get(endpoint_id, EndpointStatus.FAILED) is EndpointStatus.FAILED:
            raise HostCannot("The endpoint is not in service any more: it has failed, or was deleted.")
        living = [server for server, _ in list(self._running.values()) if server.endpoint_id == endpoint_id]
        return [server.placement for server in living if server.placement is not None]

    async def held(self) -> set[str]:
        """Tags of servers that a former life of this worker may have left running."""
        servers = await asyncio.to_thread(self._store.servers)
        return {str(self._tag(one)) for one in servers if one.worker_id == self._id and _may_live(one)}

    async def begin(self) -> None:
        """Adopt what a former life left running, and give back what it had only begun."""
        for server in await asyncio.to_thread(self._store.servers):
            if server.worker_id != self._id:
                continue
            if _may_live(server):
                self._start(server, adopt=True)
            else:
                await self._give_back(server)

    async def run(self) -> None:
        """Converge until cancelled."""
        while True:
            try:
                await self._reconcile()
            except Exception as error:  # whatever it is, the next round may go well
                self._parts.note(f"{type(error).__name__}: {error}")
                await self._parts.clock.sleep(1.0)
            await self._parts.clock.sleep(_POLL_SECONDS if self._busy else _IDLE_SECONDS)

    async def end(self) -> None:
        """Stop every server of this host, cleanly; they are started again by the next life."""
        running = list(self._running.values())
        for _, task in running:
            task.cancel()
        await asyncio.gather(*(task for _, task in running), *self._ending.values(), return_exceptions=True)
        with contextlib.suppress(DynoError):
            for server, _ in running:
                await self._give_back(server)
            keys = {_files_key(server) for server in await asyncio.to_thread(self._store.servers)}
            await asyncio.to_thread(self._materials.keep_only, keys)

    # --- the loop ---

    async def _reconcile(self) -> None:
        waiting = await self._experiments.reconcile()
        endpoints = await asyncio.to_thread(self._store.endpoints)
        self._known = {endpoint.id: endpoint.status for endpoint in endpoints}
        was_busy, self._busy = self._busy, bool(endpoints or waiting or self._running)
        if not self._busy:
            if was_busy:
                await asyncio.to_thread(self._materials.keep_only, ())
            return
        servers = await asyncio.to_thread(self._store.servers)
        demand = await self._demand.of(endpoints, servers)
        for endpoint in endpoints:
            own = [one for one in servers if one.endpoint_id == endpoint.id]
            await self._step(endpoint, own, demand.get(endpoint.id, {}))
        servers = await asyncio.to_thread(self._store.servers)
        await self._take(servers)
        await self._drop(servers)
        await self._tell_sharing(servers)
        keys = {_files_key(server) for server in servers}
        await asyncio.to_thread(self._materials.keep_only, keys)

    async def _step(self, endpoint: Endpoint, servers: Sequence[Server], demand: Mapping[str, int]) -> None:
        now = self._parts.clock.now()
        if not _changes(endpoint, step(endpoint, servers, now, demand)):
            return
        made = await asyncio.to_thread(
            self._store.step_endpoint, endpoint.region, endpoint.name, lambda row, rows: step(row, rows, now, demand)
        )
        if made is not None and made.said and made.endpoint is not None:
            await asyncio.to_thread(self._store.tell, endpoint.arn, now, *made.said)

    async def _take(self, servers: Sequence[Server]) -> None:
        """Start what is wanted and nobody's."""
        now = self._parts.clock.now()
        for server in servers:
            if server.id in self._running or not server.wanted or not self._is_free(server, now):
                continue
            busy = [other.placement for other, _ in self._running.values() if other.placement is not None]
            claimed = await self._claim(server, busy, now)
            if claimed is not None:
                self._start(claimed)

    def _is_free(self, server: Server, now: float) -> bool:
        if server.status is ServerStatus.FAILED:
            return False
        if server.worker_id not in (None, self._id) and (server.lease_expires_at or 0.0) > now:
            return False
        return server.status is not ServerStatus.UNHEALTHY or now >= server.changed_at + self._pause(server.id)

    def _pause(self, server_id: str) -> float:
        failures = self._failures.get(server_id, 0)
        return 0.0 if failures <= 1 else min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2 ** (failures - 2))

    async def _claim(self, server: Server, busy: Sequence[Placement], now: float) -> Server | None:
        """Make it ours under the next attempt; None when somebody else was faster, or it has no place here."""
        try:
            placement = place_beside(server.variant.instance_type, self._host, busy)
        except HostCannot as refusal:
            status = ServerStatus.UNHEALTHY if server.was_ready else ServerStatus.FAILED
            self._failures[server.id] = self._failures.get(server.id, 1) + 1
            await self._change(server, status=status, reason=refusal.reason, changed_at=now)
            return None
        return await self._change(
            server,
            status=ServerStatus.STARTING,
            attempt=server.attempt + 1,
            worker_id=self._id,
            lease_expires_at=now + self._parts.options.lease_seconds,
            placement=placement,
            url=None,
            flags=_sharing({}, oversubscribed(placement, busy, self._host)),
            usage={},
            changed_at=now,
        )

    async def _tell_sharing(self, servers: Sequence[Server]) -> None:
        """Say of each server here what it shares with those that run now: others came later, or have gone."""
        here = {one.id: one.placement for one in servers if one.id in self._running and one.placement is not None}
        for server in servers:
            if server.id not in here:
                continue
            busy = [placement for name, placement in here.items() if name != server.id]
            flags = _sharing(server.flags, oversubscribed(here[server.id], busy, self._host))
            if flags != server.flags:
                await self._change(server, flags=flags)

    async def _change(self, server: Server, **changes: object) -> Server | None:
        def change(row: Server) -> Server:
            return replace(row, **changes)  # type: ignore[arg-type]

        return await asyncio.to_thread(self._store.change_server, server.id, server.attempt, change)

    async def _give_back(self, server: Server) -> None:
        await self._change(server, status=ServerStatus.PENDING, worker_id=None, url=None, placement=None, usage={})

    async def _drop(self, servers: Sequence[Server]) -> None:
        """End what is no longer wanted, once nobody uses it."""
        now = self._parts.clock.now()
        unwanted = [server for server in servers if not server.wanted]
        here = {server.id for server in servers}
        for gone in [server_id for server_id in self._running if server_id not in here]:
            self._end_soon(gone, None)
        for server in unwanted:
            if server.id in self._running:
                if server.id not in self._ending and await self._drained(server, now):
                    self._end_soon(server.id, server)
            elif server.worker_id is None or (server.lease_expires_at or 0.0) <= now or server.worker_id == self._id:
                await asyncio.to_thread(self._store.remove_server, server.id, server.attempt)

    async def _drained(self, server: Server, now: float) -> bool:
        if server.id not in self._draining:
            self._draining[server.id] = (await asyncio.to_thread(self._store.routes_version), now)
        version, since = self._draining[server.id]
        if now - since > _DRAIN_SECONDS or server.status is not ServerStatus.READY:
            return True
        if await asyncio.to_thread(self._store.fronts_behind, version, now):
            return False
        return server.id not in await asyncio.to_thread(self._store.busy_servers, now)

    def _end_soon(self, server_id: str, row: Server | None) -> None:
        """End it, and remove its row, beside everything else: a server may take its time, others wait for theirs."""
        if server_id not in self._ending:
            self._ending[server_id] = task = asyncio.create_task(self._end_one(server_id, row))
            task.add_done_callback(lambda _: self._ending.pop(server_id, None))

    async def _end_one(self, server_id: str, row: Server | None) -> None:
        if server_id in self._running:
            _, task = self._running[server_id]
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if row is not None:
            with contextlib.suppress(DynoError):  # the next round does it
                await asyncio.to_thread(self._store.remove_server, row.id, row.attempt)
        self._running.pop(server_id, None)
        self._runs.pop(server_id, None)
        self._draining.pop(server_id, None)
        self._failures.pop(server_id, None)

    # --- servers ---

    def _start(self, server: Server, *, adopt: bool = False) -> None:
        run = ServerRun(self._parts, server, self._tag(server), self._files_of(server), self._teller(server))
        self._runs[server.id] = run
        task = asyncio.create_task(run.run(adopt=adopt), name=str(self._tag(server)))
        began = self._parts.clock.monotonic()
        self._running[server.id] = (server, task)
        task.add_done_callback(lambda done: self._ended(server, done, began))

    def _ended(self, server: Server, task: asyncio.Task[None], began: float) -> None:
        if task.cancelled():
            return
        current = self._running.get(server.id)
        if current is not None and current[1] is task:
            del self._running[server.id]
            del self._runs[server.id]
        long = self._parts.clock.monotonic() - began > _RECOVERED_SECONDS
        self._failures[server.id] = 1 if long else self._failures.get(server.id, 0) + 1
        if (error := task.exception()) is not None:
            self._parts.note(f"server {server.id}: {type(error).__name__}: {error}")

    def _tag(self, server: Server) -> Tag:
        return Tag(self._store.installation, self._id, server.id, server.attempt)

    def _files_of(self, server: Server) -> Callable[[], Awaitable[ModelFiles]]:
        return lambda: self._materials.of_model(_files_key(server), server.variant.source)

    def _teller(self, server: Server) -> Callable[[str], Awaitable[None]]:
        async def tell(message: str) -> None:
            endpoints = await asyncio.to_thread(self._store.endpoints)
            arn = next((one.arn for one in endpoints if one.id == server.endpoint_id), None)
            if arn is not None:
                await asyncio.to_thread(self._store.tell, arn, self._parts.clock.now(), message)

        return tell


def _may_live(server: Server) -> bool:
    """Whether it was ready: such a one outlives its worker."""
    return server.status in (ServerStatus.READY, ServerStatus.UNHEALTHY) and server.url is not None


def _files_key(server: Server) -> str:
    """Instances of one variant of one fleet share their files."""
    return f"{server.endpoint_id}-{server.fleet}-{'s' if server.shadow else 'p'}-{server.variant.name}"


def _changes(endpoint: Endpoint, made: Step) -> bool:
    return made.endpoint != endpoint or bool(made.add) or bool(made.unwant)


def _sharing(flags: dict[str, str], words: str | None) -> dict[str, str]:
    """The flags with what a server shares, or without it where it shares nothing."""
    others = {name: text for name, text in flags.items() if name != "oversubscribed"}
    return {**others, "oversubscribed": words} if words else others
