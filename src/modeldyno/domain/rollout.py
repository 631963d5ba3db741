"""The next step of an endpoint towards what it should be. Pure: rows in, rows out.

1. Every fleet of an endpoint should have its servers; what is missing is added, what is too many is no longer wanted.
2. A new endpoint is in service when every server of its fleet is ready; it has failed when one of them has.
3. An update brings a whole new fleet up beside the old one, then moves the traffic: all at once, or first a canary, or
   in steps, with a wait after each. A rolling update moves it batch by batch; once a batch has baked, as many old
   servers go and the next batch comes up.
4. A server of the new fleet that fails, or an update that takes too long, moves all traffic back to the old fleet; of
   a rolling update once the old fleet is whole again.
5. An endpoint that is deleted has no servers, and then it is gone.
6. Every change ends, if need be by its limit of time: an endpoint at work can be neither updated nor deleted.

**Source:** SageMaker developer guide, *Blue/Green deployments* and *Rolling deployments*.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from modeldyno.domain.endpoint import (
    Endpoint,
    EndpointStatus,
    Fleet,
    FleetSpec,
    Rollout,
    RolloutKind,
    Server,
    ServerStatus,
    Update,
    VariantSpec,
    server_id,
)
from modeldyno.domain.serverless import Serverless, servers_wanted

_LIMIT_SECONDS = Rollout().limit_seconds
_NO_DEMAND: Mapping[str, int] = {}
_AS_IT_IS: Mapping[str, Serverless | None] = {}


@dataclass(frozen=True, slots=True)
class Step:
    """What to write: the endpoint (None: it is gone), servers to add, ids of those no longer wanted."""

    endpoint: Endpoint | None
    add: tuple[Server, ...] = ()
    unwant: tuple[str, ...] = ()
    said: tuple[str, ...] = ()


def step(endpoint: Endpoint, servers: Sequence[Server], now: float, demand: Mapping[str, int] = _NO_DEMAND) -> Step:
    """The next step. `servers`: every row of the endpoint. `demand`: how many servers invocations need, by serverless
    variant. Repeated until nothing changes."""
    if endpoint.status is EndpointStatus.DELETING:
        return _deleted(endpoint, servers)
    if endpoint.status is EndpointStatus.FAILED:
        return Step(endpoint, unwant=_all(servers))
    moved, said = endpoint, ""
    if endpoint.status is EndpointStatus.CREATING:
        moved, said = _created(endpoint, servers, now)
    elif endpoint.update is not None:
        moved, said = _updated(endpoint, endpoint.update, servers, now)
    elif endpoint.status is EndpointStatus.UPDATING:
        moved, said = _resized(endpoint, servers, now)
    if moved.status is EndpointStatus.FAILED:
        return Step(moved, unwant=_all(servers), said=(said,))
    return _peopled(moved, servers, now, said, demand)


def change_to(endpoint: Endpoint, spec: FleetSpec, rollout: Rollout, now: float) -> Endpoint:
    """The endpoint on its way to serve `spec`: in place where its production variants stay as they are, else by a new
    fleet."""
    fleet = endpoint.fleet
    if spec.variants != fleet.spec.variants:
        return update_to(endpoint, spec, Update(fleet, rollout, now), now)
    return replace(
        endpoint,
        status=EndpointStatus.UPDATING,
        fleet=Fleet(fleet.number, spec),
        before=fleet.spec,
        failure_reason=None,
        modified_at=now,
    )


def resized(
    endpoint: Endpoint,
    counts: Mapping[str, int],
    weights: Mapping[str, float],
    now: float,
    serverless: Mapping[str, Serverless | None] = _AS_IT_IS,
) -> Endpoint:
    """The endpoint on its way to other numbers of instances (bounds of serverless variants), then to other weights, by
    the names of its production variants."""
    spec = endpoint.fleet.spec
    variants = tuple(
        replace(one, count=counts.get(one.name, one.count), serverless=serverless.get(one.name, one.serverless))
        for one in spec.variants
    )
    return replace(
        endpoint,
        status=EndpointStatus.UPDATING,
        fleet=Fleet(endpoint.fleet.number, replace(spec, variants=variants)),
        before=spec,
        weights=dict(weights),
        failure_reason=None,
        modified_at=now,
    )


def update_to(endpoint: Endpoint, spec: FleetSpec, update: Update, now: float) -> Endpoint:
    """The endpoint with an update under way. `update.fleet` is numbered here."""
    number = max(fleet.number for fleet in endpoint.fleets) + 1
    begun = replace(update, fleet=Fleet(number, spec), began_at=now)
    return replace(endpoint, status=EndpointStatus.UPDATING, update=begun, failure_reason=None, modified_at=now)


# --- the cases -------------------------------------------------------------------------------------------------------


def _deleted(endpoint: Endpoint, servers: Sequence[Server]) -> Step:
    return Step(endpoint, unwant=_all(servers)) if servers else Step(None)


def _created(endpoint: Endpoint, servers: Sequence[Server], now: float) -> tuple[Endpoint, str]:
    reason = _why_not(servers, endpoint.fleet, endpoint.created_at, now)
    if reason:
        changed = replace(endpoint, status=EndpointStatus.FAILED, failure_reason=reason, modified_at=now)
        return changed, f"Failed: {reason}"
    if _ready(servers, endpoint.fleet, 1.0, proven=False):
        return replace(endpoint, status=EndpointStatus.IN_SERVICE, modified_at=now), "In service."
    return endpoint, ""


def _resized(endpoint: Endpoint, servers: Sequence[Server], now: float) -> tuple[Endpoint, str]:
    """The fleet was changed in place: counts, shadows, and weights once all of it is ready."""
    reason = _why_not(servers, endpoint.fleet, endpoint.modified_at, now)
    if reason:
        fleet = Fleet(endpoint.fleet.number, endpoint.before or endpoint.fleet.spec)
        return _settled(endpoint, fleet, reason, now), f"The change is taken back: {reason}"
    if not _ready(servers, endpoint.fleet, 1.0):
        return endpoint, ""
    fleet = Fleet(endpoint.fleet.number, with_weights(endpoint.fleet.spec, endpoint.weights))
    return _settled(endpoint, fleet, None, now), "The change is in effect."


def _settled(endpoint: Endpoint, fleet: Fleet, reason: str | None, now: float) -> Endpoint:
    return replace(
        endpoint,
        status=EndpointStatus.IN_SERVICE,
        fleet=fleet,
        before=None,
        weights={},
        failure_reason=reason,
        modified_at=now,
    )


def _updated(endpoint: Endpoint, update: Update, servers: Sequence[Server], now: float) -> tuple[Endpoint, str]:
    if endpoint.status is EndpointStatus.ROLLING_BACK:
        return _rolled_back(endpoint, update, servers, now)
    failed = _failed(servers, update.fleet, lost=update.shifted_at is not None)
    if failed is not None:
        return _back(endpoint, update, _why(failed), now)
    if now > update.began_at + update.rollout.limit_seconds:
        return _back(endpoint, update, f"The update took over {update.rollout.limit_seconds:g} seconds.", now)
    if update.share >= 1.0:
        return _finished(endpoint, update, now)
    next_share = _next_share(update)
    proven = endpoint.has_proven(update.fleet)
    if not _baked(update, now) or not _ready(servers, update.fleet, needed_share(update), proven=proven):
        return endpoint, ""
    moved = replace(update, share=next_share, shifted_at=now)
    percent = f"{100 * next_share:.0f}% of the traffic goes to the new fleet."
    return replace(endpoint, update=moved, modified_at=now), percent


def _finished(endpoint: Endpoint, update: Update, now: float) -> tuple[Endpoint, str]:
    """All traffic is on the new fleet; after the last wait the old one goes."""
    assert update.shifted_at is not None
    if now < update.shifted_at + update.rollout.bake_seconds + update.rollout.termination_seconds:
        return endpoint, ""
    changed = replace(
        endpoint,
        status=EndpointStatus.IN_SERVICE,
        fleet=update.fleet,
        update=None,
        failure_reason=None,
        modified_at=now,
    )
    return changed, "The update is complete."


def _back(endpoint: Endpoint, update: Update, reason: str, now: float) -> tuple[Endpoint, str]:
    share = update.share if update.rollout.kind is RolloutKind.ROLLING else 0.0
    back = replace(update, share=share, shifted_at=now, reason=reason)
    changed = replace(endpoint, status=EndpointStatus.ROLLING_BACK, update=back, failure_reason=reason, modified_at=now)
    return changed, f"Rolling back: {reason}"


def _rolled_back(endpoint: Endpoint, update: Update, servers: Sequence[Server], now: float) -> tuple[Endpoint, str]:
    """The old fleet must be whole again (a rolling update has taken of it) before the new one goes."""
    late = now > (update.shifted_at or now) + _LIMIT_SECONDS
    if late or _failed(servers, endpoint.fleet) is not None:
        lost = _serves(servers, update.fleet) and not _serves(servers, endpoint.fleet)
        fleet = update.fleet if lost else endpoint.fleet
        failed = EndpointStatus.UPDATE_ROLLBACK_FAILED
        changed = replace(endpoint, status=failed, fleet=fleet, update=None, modified_at=now)
        return changed, "The old fleet could not be brought back whole."
    if not _ready(servers, endpoint.fleet, 1.0):
        return endpoint, ""
    changed = replace(endpoint, status=EndpointStatus.IN_SERVICE, update=None, modified_at=now)
    return changed, "Rolled back."


# --- how many servers ------------------------------------------------------------------------------------------------


def needed_share(update: Update) -> float:
    """The part of the new fleet that must be ready before the next shift: all of it, but in a rolling update."""
    return _next_share(update) if update.rollout.kind is RolloutKind.ROLLING else 1.0


def counts(
    endpoint: Endpoint, fleet: Fleet, now: float, demand: Mapping[str, int] = _NO_DEMAND
) -> dict[tuple[str, bool], int]:
    """How many servers each variant (name, is a shadow) of a fleet should have now."""
    share = 1.0
    update = endpoint.update
    if update is not None and update.rollout.kind is RolloutKind.ROLLING:
        baked = _baked(update, now)
        if fleet is update.fleet:
            share = needed_share(update) if baked and update.reason is None else update.share
        elif update.reason is None:
            share = 1.0 - (update.share if baked and update.share < 1.0 else _share_before(update))
    specs = [(variant, False) for variant in fleet.spec.variants] + [(shadow, True) for shadow in fleet.spec.shadows]
    proven = endpoint.has_proven(fleet)
    return {(spec.name, shadow): _count(spec, share, demand.get(spec.name, 0), proven=proven) for spec, shadow in specs}


def _count(spec: VariantSpec, share: float, demand: int, *, proven: bool) -> int:
    if spec.serverless is not None:
        return servers_wanted(spec.serverless, demand, proven=proven)
    return _part(spec.count, share)


def _part(count: int, share: float) -> int:
    return math.ceil(count * share - 1e-9)


def _baked(update: Update, now: float) -> bool:
    """Whether the wait after the last shift is over."""
    return update.shifted_at is None or now >= update.shifted_at + update.rollout.bake_seconds


def _batch(update: Update) -> float:
    """The part of the traffic that one shift moves."""
    first = update.rollout.first
    return 1.0 if first is None else first.share_of(sum(variant.count for variant in update.fleet.spec.variants))


def _share_before(update: Update) -> float:
    """Of the traffic of a rolling update, before the last shift."""
    batch = _batch(update)
    return batch * max(0, math.ceil(update.share / batch - 1e-9) - 1)


def _next_share(update: Update) -> float:
    """Of the traffic, after the next shift."""
    kind = update.rollout.kind
    if kind is RolloutKind.ALL_AT_ONCE or (kind is RolloutKind.CANARY and update.share > 0.0):
        return 1.0
    return min(1.0, update.share + _batch(update))


def _peopled(endpoint: Endpoint, servers: Sequence[Server], now: float, said: str, demand: Mapping[str, int]) -> Step:
    """Servers that are missing, and those that are too many."""
    here = {server.id: server for server in servers}
    add: list[Server] = []
    kept: set[str] = set()
    for fleet in endpoint.fleets:
        wanted, proven = counts(endpoint, fleet, now, demand), endpoint.has_proven(fleet)
        variants = [(spec, False) for spec in fleet.spec.variants] + [(spec, True) for spec in fleet.spec.shadows]
        for spec, shadow in variants:
            ids = _chosen(endpoint, fleet, spec, wanted[spec.name, shadow], here, shadow=shadow)
            kept.update(ids)
            add += [
                Server(
                    id=name,
                    endpoint_id=endpoint.id,
                    region=endpoint.region,
                    endpoint_name=endpoint.name,
                    fleet=fleet.number,
                    variant=spec,
                    index=index,
                    shadow=shadow,
                    changed_at=now,
                    was_ready=spec.serverless is not None and proven,  # others like it were
                )
                for name, index in ids.items()
                if name not in here
            ]
    unwant = tuple(server.id for server in servers if server.wanted and server.id not in kept)
    return Step(endpoint, tuple(add), unwant, (said,) if said else ())


def _chosen(
    endpoint: Endpoint, fleet: Fleet, spec: VariantSpec, count: int, here: dict[str, Server], *, shadow: bool
) -> dict[str, int]:
    """The ids that a variant's servers should have, with their indices: those that serve first, then others that are
    there, then free ones. An id that is being removed is not used again before it is gone."""
    named = (fleet.number, spec.name, shadow)
    own = [one for one in here.values() if (one.fleet, one.variant.name, one.shadow) == named]
    staying = [one for one in own if one.wanted and one.is_of(fleet, spec, shadow=shadow)]
    taken = {one.index for one in own}
    chosen = [one.index for one in sorted(staying, key=lambda one: (not one.serves, one.index))][:count]
    free = (index for index in range(count + len(taken)) if index not in taken)
    chosen += [index for index, _ in zip(free, range(count - len(chosen)), strict=False)]
    return {server_id(endpoint.id, fleet.number, spec.name, index, shadow=shadow): index for index in chosen}


def _all(servers: Sequence[Server]) -> tuple[str, ...]:
    return tuple(server.id for server in servers if server.wanted)


# --- where they stand ------------------------------------------------------------------------------------------------


def _ready(servers: Sequence[Server], fleet: Fleet, share: float, *, proven: bool = True) -> bool:
    """Whether so large a part of each variant serves. `proven`: the fleet has come up before."""
    specs = [(variant, False) for variant in fleet.spec.variants] + [(shadow, True) for shadow in fleet.spec.shadows]
    return all(
        sum(server.serves for server in _of(servers, fleet, spec, shadow=shadow))
        >= _count(spec, share, 0, proven=proven)
        for spec, shadow in specs
    )


def _of(servers: Sequence[Server], fleet: Fleet, spec: VariantSpec, *, shadow: bool) -> list[Server]:
    return [server for server in servers if server.is_of(fleet, spec, shadow=shadow)]


def _serves(servers: Sequence[Server], fleet: Fleet) -> bool:
    """Whether a server of each production variant does."""
    return all(any(one.serves for one in _of(servers, fleet, spec, shadow=False)) for spec in fleet.spec.variants)


def _failed(servers: Sequence[Server], fleet: Fleet, *, lost: bool = False) -> Server | None:
    """A server of the fleet that never came up; with `lost` also one that was ready and is not any more."""
    bad = {ServerStatus.FAILED, ServerStatus.UNHEALTHY} if lost else {ServerStatus.FAILED}
    found = (server for server in servers if server.fleet == fleet.number and server.wanted and server.status in bad)
    return next(found, None)


def _why_not(servers: Sequence[Server], fleet: Fleet, since: float, now: float) -> str:
    """Why a fleet will not be whole; empty while it may be."""
    failed = _failed(servers, fleet)
    if failed is not None:
        return _why(failed)
    return f"It was not whole within {_LIMIT_SECONDS:g} seconds." if now > since + _LIMIT_SECONDS else ""


def _why(server: Server) -> str:
    what = "shadow variant" if server.shadow else "production variant"
    return f"The {what} {server.variant.name} could not be started: {server.reason or 'no reason is known'}"


def with_weights(spec: FleetSpec, weights: dict[str, float]) -> FleetSpec:
    """The fleet with other weights of the named variants."""
    variants = tuple(replace(one, weight=weights.get(one.name, one.weight)) for one in spec.variants)
    return replace(spec, variants=variants)
