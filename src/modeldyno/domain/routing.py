"""Who answers a request, and whether it is mirrored.

Nothing is drawn by chance: a share is kept by counting, so that after n requests it differs from its part of them by
less than one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from modeldyno.domain.endpoint import CaptureSpec, Endpoint, EndpointStatus, Fleet, RoutingStrategy, Server, VariantSpec


@dataclass(frozen=True, slots=True)
class Choice:
    """A variant of one fleet that can answer. `share`: of the endpoint's requests. `servers`: (id, url) of those that
    serve now. `concurrency`: of a serverless one, the most requests at once; requests find or make their server. 0: it
    is none, or is not in service. `fleet`: its number."""

    variant: str
    share: float
    servers: tuple[tuple[str, str], ...]
    routing: RoutingStrategy = RoutingStrategy.LEAST_OUTSTANDING_REQUESTS
    concurrency: int = 0
    fleet: int = 0


@dataclass(frozen=True, slots=True)
class Mirror:
    """The shadow of an endpoint. `percent` of the requests, 0..100, are mirrored."""

    variant: str
    percent: float
    servers: tuple[tuple[str, str], ...]
    routing: RoutingStrategy = RoutingStrategy.LEAST_OUTSTANDING_REQUESTS


@dataclass(frozen=True, slots=True)
class Route:
    """How requests to one endpoint go, as the rows have it now. `serves`: it is in a status in which it answers."""

    endpoint_id: str
    region: str
    name: str
    serves: bool
    choices: tuple[Choice, ...]
    mirror: Mirror | None = None
    capture: CaptureSpec | None = None
    experiment_id: str | None = None


_NOT_LIVE = (EndpointStatus.CREATING, EndpointStatus.DELETING, EndpointStatus.FAILED)


def route_of(endpoint: Endpoint, servers: Sequence[Server]) -> Route:
    """The route of an endpoint."""
    shares = [(endpoint.fleet, 1.0)]
    if endpoint.update is not None:
        shares = [(endpoint.fleet, 1.0 - endpoint.update.share), (endpoint.update.fleet, endpoint.update.share)]
    live = endpoint.status not in _NOT_LIVE
    found = [choice for fleet, share in shares if share > 0 for choice in _choices(fleet, share, servers, live=live)]
    if not any(one.servers or one.concurrency for one in found):
        spared = [one for fleet, share in shares if share <= 0 for one in _choices(fleet, 1.0, servers, live=live)]
        found = spared if any(one.servers for one in spared) else found
    serving = {choice.variant for choice in found if choice.servers}
    # A part of the traffic whose fleet has lost its servers goes to the other fleet, while there are two.
    choices = tuple(one for one in found if one.servers or one.concurrency or one.variant not in serving)
    leading = max(shares, key=lambda pair: pair[1])[0]
    return Route(
        endpoint_id=endpoint.id,
        region=endpoint.region,
        name=endpoint.name,
        serves=bool(choices),
        choices=choices,
        mirror=_mirror(leading, servers, settled=endpoint.status is EndpointStatus.IN_SERVICE),
        capture=leading.spec.capture,
        experiment_id=endpoint.experiment_id,
    )


def _choices(fleet: Fleet, share: float, servers: Sequence[Server], *, live: bool) -> list[Choice]:
    total = sum(variant.weight for variant in fleet.spec.variants)
    found = []
    for variant in fleet.spec.variants:
        part = variant.weight / total if total > 0 else 0.0
        serving = _serving(servers, fleet, variant, shadow=False)
        if (
            variant.serverless is not None and not live
        ):  # the server that shows that it can be started is not to be asked
            serving = ()
        if serving or part > 0:
            most = variant.serverless.concurrency if variant.serverless is not None and live else 0
            found.append(Choice(variant.name, share * part, serving, variant.routing, most, fleet.number))
    return found


def _mirror(fleet: Fleet, servers: Sequence[Server], *, settled: bool) -> Mirror | None:
    """Assumption A-0070: a shadow's weight is a share of the production variant's. A shadow that is still being brought
    up is none yet; one that was lost later is one that does not answer."""
    shadow = next(iter(fleet.spec.shadows), None)
    if shadow is None:
        return None
    production = fleet.spec.variants[0].weight
    percent = min(100.0, 100.0 * shadow.weight / production) if production > 0 else 0.0
    serving = _serving(servers, fleet, shadow, shadow=True)
    return Mirror(shadow.name, percent, serving, shadow.routing) if serving or settled else None


def _serving(
    servers: Sequence[Server], fleet: Fleet, spec: VariantSpec, *, shadow: bool
) -> tuple[tuple[str, str], ...]:
    return tuple(
        (server.id, server.url)
        for server in servers
        if server.serves and server.url is not None and server.is_of(fleet, spec, shadow=shadow)
    )


@dataclass(slots=True)
class Turns:
    """Whose turn it is among shares: smooth weighted round robin, exact by counting."""

    _credit: dict[int, float] = field(default_factory=dict)

    def next(self, shares: Sequence[float]) -> int:
        """The index of the one whose turn it is. At least one share is above 0."""
        best, most = -1, float("-inf")
        total = 0.0
        for index, share in enumerate(shares):
            if share <= 0:
                continue
            total += share
            credit = self._credit.get(index, 0.0) + share
            self._credit[index] = credit
            if credit > most + 1e-12:
                best, most = index, credit
        self._credit[best] -= total
        return best


@dataclass(slots=True)
class Sampler:
    """Which requests are selected: exactly so many percent of them, spread evenly.

    After n requests since the percentage was set, the number selected is ``floor(n * percent / 100)``.
    """

    percent: float = 0.0
    _seen: int = 0

    def set(self, percent: float) -> None:
        """Another percentage begins to count anew; the same one changes nothing."""
        if percent != self.percent:
            self.percent, self._seen = percent, 0

    def selects(self) -> bool:
        """Whether the request that has just come is selected."""
        before = int(self._seen * self.percent / 100.0 + 1e-9)
        self._seen += 1
        return int(self._seen * self.percent / 100.0 + 1e-9) > before
