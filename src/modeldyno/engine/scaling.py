"""Variants that are scaled by themselves: the metrics of the last minutes decide (`domain.target_tracking`), and the
endpoint's own loop carries it out."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import replace

from modeldyno.domain.endpoint import Endpoint, EndpointStatus, Server, VariantSpec
from modeldyno.domain.errors import ResourceNotFound
from modeldyno.domain.host import Host
from modeldyno.domain.metric import METRICS, MINUTE_SECONDS, figure, minute_of
from modeldyno.domain.rollout import resized
from modeldyno.domain.target_tracking import IN_MINUTES, Decision, ScalableTarget, decide
from modeldyno.engine.parts import Parts

_LOOK_SECONDS = 10.0
# A minute is whole once what fronts and servers tell every some seconds has come (`router.meter`, `engine.server`).
_LATE_SECONDS = 10.0
_UNKNOWN = 1_000_000  # instances: no bound where nothing is known
_ROUNDING = 1e-9  # what a quotient of floats may be below a whole number that is meant


class Scaler:
    """Looks at every scalable target. Several workers may do so at once: a change counts only where the variant still
    has as many instances as were seen."""

    def __init__(self, parts: Parts, host: Host) -> None:
        self._parts = parts
        self._store = parts.store
        self._host = host

    async def run(self) -> None:
        """Look for ever."""
        while True:
            await self._parts.clock.sleep(_LOOK_SECONDS)
            try:
                await asyncio.to_thread(self.look)
            except Exception as error:  # whatever it is, the next look may go well
                self._parts.note(f"scaling: {type(error).__name__}: {error}")

    def look(self) -> None:
        """Decide over every target once."""
        for target in self._store.scalable_targets():
            self._step(target)

    def _step(self, target: ScalableTarget) -> None:
        try:
            endpoint = self._store.endpoint(target.region, target.endpoint)
        except ResourceNotFound:  # Assumption A-0145: a target goes with its endpoint
            self._store.change_scaling(target.region, target.endpoint, target.variant, lambda _: None)
            return
        spec = next((one for one in endpoint.fleet.spec.variants if one.name == target.variant), None)
        if spec is None or not _is_settled(endpoint):
            return
        now = self._parts.clock.now()
        newest = minute_of(now - _LATE_SECONDS) - MINUTE_SECONDS
        if newest < max(endpoint.modified_at, target.out_at, target.in_at):
            return
        room = room_for(spec, endpoint, self._store.servers(), self._host)
        decision = decide(target, self._seen(target, newest), spec.count, room, now)
        if decision is not None:
            self._carry_out(target, endpoint, spec.count, decision, now)

    def _seen(self, target: ScalableTarget, newest: int) -> dict[str, list[float | None]]:
        """The metric of each policy, of the minutes up to the newest whole one."""
        minutes = [newest - MINUTE_SECONDS * back for back in range(IN_MINUTES - 1, -1, -1)]
        seen: dict[str, list[float | None]] = {}
        for policy in target.policies:
            metric = METRICS[policy.namespace, policy.metric]
            variant = target.region, target.endpoint, target.variant
            span = minutes[0], newest + MINUTE_SECONDS, MINUTE_SECONDS
            values = dict(self._store.metric_values(*variant, metric.name, *span))
            seen[policy.name] = [
                figure(metric, values[at], policy.statistic) if at in values else None for at in minutes
            ]
        return seen

    def _carry_out(
        self, target: ScalableTarget, endpoint: Endpoint, before: int, decision: Decision, now: float
    ) -> None:
        made = False

        def change(row: Endpoint) -> Endpoint:
            nonlocal made
            here = next((one for one in row.fleet.spec.variants if one.name == target.variant), None)
            made = row.id == endpoint.id and _is_settled(row) and here is not None and here.count == before
            return resized(row, {target.variant: decision.count}, {}, now) if made else row

        self._store.change_endpoint(endpoint.region, endpoint.name, change)
        if not made:
            return
        outwards = decision.count > before

        def scaled(row: ScalableTarget | None) -> ScalableTarget | None:
            if row is None:
                return None
            return replace(row, out_at=now) if outwards else replace(row, in_at=now)

        self._store.change_scaling(target.region, target.endpoint, target.variant, scaled)
        words = f"{target.variant} is scaled {'out' if outwards else 'in'} from {before} to {decision.count}"
        self._store.tell(endpoint.arn, now, f"{words}: {decision.why}.")


def _is_settled(endpoint: Endpoint) -> bool:
    """Whether its counts may be changed now. An experiment sets them itself."""
    return endpoint.status is EndpointStatus.IN_SERVICE and endpoint.experiment_id is None


def room_for(spec: VariantSpec, endpoint: Endpoint, servers: Sequence[Server], host: Host) -> int:
    """How many instances of a variant the host has cores and memory for, beside all other servers. Where the type's
    vCPUs or memory are not known, they do not count."""
    kind = spec.instance_type
    others = [
        one.variant.instance_type
        for one in servers
        if one.wanted and not (one.is_of(endpoint.fleet, spec, shadow=False) and one.endpoint_id == endpoint.id)
    ]
    rooms = [_UNKNOWN]
    if kind.vcpus:
        cores = len(host.cores) - sum(one.vcpus or 0.0 for one in others)
        rooms.append(math.floor(cores / kind.vcpus + _ROUNDING))
    if kind.memory_mib:
        rooms.append((host.memory_mib - sum(one.memory_mib or 0 for one in others)) // kind.memory_mib)
    return max(0, min(rooms))
