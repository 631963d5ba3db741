"""How many servers of serverless variants this host starts: as many as fronts need, and its memory holds."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from modeldyno.domain.endpoint import Endpoint, Server, VariantSpec
from modeldyno.domain.host import Host
from modeldyno.domain.serverless import demand_key
from modeldyno.engine.parts import Parts


class HostDemand:
    """The demand as the host can meet it. Where its memory is short, requests wait for servers that are busy; the
    endpoint's story says so."""

    def __init__(self, parts: Parts, host: Host) -> None:
        self._parts = parts
        self._host = host
        self._short: set[str] = set()

    async def of(self, endpoints: Sequence[Endpoint], servers: Sequence[Server]) -> Mapping[str, Mapping[str, int]]:
        """By endpoint's id and variant."""
        serverless = [one for one in endpoints if any(fleet.spec.serverless for fleet in one.fleets)]
        if not serverless:
            return {}
        now = self._parts.clock.now()
        told = await asyncio.to_thread(self._parts.store.demand, now)
        found: dict[str, dict[str, int]] = {}
        for endpoint in serverless:
            for spec in (spec for fleet in endpoint.fleets for spec in fleet.spec.variants if spec.serverless):
                asked = told.get(demand_key(endpoint.id, spec.name), 0)
                held = min(asked, self._room(endpoint, spec, servers))
                await self._tell(endpoint, spec, asked, held, now)
                found.setdefault(endpoint.id, {})[spec.name] = held
        return found

    def _room(self, endpoint: Endpoint, spec: VariantSpec, servers: Sequence[Server]) -> int:
        """How many servers of the variant the memory holds beside all others; one at least."""
        size = spec.instance_type.memory_mib or 1
        own = (endpoint.id, spec.name)
        others = [one.placement for one in servers if (one.endpoint_id, one.variant.name) != own]
        taken = sum(placement.memory_bytes or 0 for placement in others if placement is not None) // 1024**2
        return max(1, (self._host.memory_mib - taken) // size)

    async def _tell(self, endpoint: Endpoint, spec: VariantSpec, asked: int, held: int, now: float) -> None:
        key = demand_key(endpoint.id, spec.name)
        if asked <= held:
            self._short.discard(key)
            return
        if key not in self._short:
            self._short.add(key)
            words = (
                f"{spec.name}: invocations need {asked} servers, the host's memory holds {held}: some invocations wait "
                "for a server that is free."
            )
            await asyncio.to_thread(self._parts.store.tell, endpoint.arn, now, words)
