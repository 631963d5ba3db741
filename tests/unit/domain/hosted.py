"""Examples of endpoints, their servers, pairs and experiments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from modeldyno.domain.catalog import InstanceType
from modeldyno.domain.endpoint import Endpoint, EndpointStatus, Fleet, FleetSpec, Server, ServerStatus, VariantSpec
from modeldyno.domain.experiment import Experiment, ExperimentStatus
from modeldyno.domain.model import ModelSource
from modeldyno.domain.pair import Outcome, Pair, Side
from modeldyno.domain.rollout import Step, step


def variant(name: str = "main", count: int = 1, weight: float = 1.0, image: str = "acme/a:1") -> VariantSpec:
    return VariantSpec(name, ModelSource(image, None), InstanceType("local.one", 1.0, 512), count, weight)


def fleet_spec(*variants: VariantSpec, shadows: Sequence[VariantSpec] = (), config: str = "config") -> FleetSpec:
    return FleetSpec(config, variants or (variant(),), tuple(shadows))


def an_endpoint(spec: FleetSpec | None = None, status: EndpointStatus = EndpointStatus.CREATING) -> Endpoint:
    arn = "arn:aws:sagemaker:us-east-1:000000000000:endpoint/e"
    return Endpoint("e1", "us-east-1", "e", arn, status, Fleet(1, spec or fleet_spec()), 1.0, 1.0)


class World:
    """Rows of one endpoint, carried out as the store does, with servers that do as they are told."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint: Endpoint | None = endpoint
        self.servers: dict[str, Server] = {}
        self.said: list[str] = []
        self.now = 100.0

    def turn(self, *, ready: bool = True) -> World:
        """Steps until nothing changes; `ready`: new servers come up at once, unwanted ones go."""
        for _ in range(50):
            if self.endpoint is None:
                return self
            made = step(self.endpoint, tuple(self.servers.values()), self.now)
            if made == Step(self.endpoint):
                return self
            self._carry_out(made, ready)
        raise AssertionError("it never settles")

    def _carry_out(self, made: Step, ready: bool) -> None:
        self.endpoint = made.endpoint
        self.said += made.said
        for server in made.add:
            state = ServerStatus.READY if ready else ServerStatus.PENDING
            self.servers[server.id] = replace(server, status=state, url="http://127.0.0.1:1" if ready else None)
        for server_id in made.unwant:
            if ready:
                del self.servers[server_id]
            else:
                self.servers[server_id] = replace(self.servers[server_id], wanted=False)

    def come_up(self) -> World:
        """Every wanted server is ready, unwanted ones are gone."""
        self.servers = {
            name: replace(server, status=ServerStatus.READY, url="http://127.0.0.1:1", was_ready=True)
            for name, server in self.servers.items()
            if server.wanted
        }
        return self

    def fail(self, fleet: int, reason: str = "exited with status 1") -> World:
        """Every server of a fleet failed."""
        for name, server in self.servers.items():
            if server.fleet == fleet:
                self.servers[name] = replace(server, status=ServerStatus.FAILED, url=None, reason=reason)
        return self

    def serving(self, fleet: int | None = None) -> list[str]:
        """Variants that serve, one entry a server."""
        return sorted(
            server.variant.name
            for server in self.servers.values()
            if server.serves and (fleet is None or server.fleet == fleet)
        )

    @property
    def alive(self) -> Endpoint:
        assert self.endpoint is not None
        return self.endpoint


def an_experiment(**changes: object) -> Experiment:
    spec = fleet_spec(variant("main"), shadows=(variant("shadow", weight=0.5, image="acme/b:1"),), config="x-1")
    made = Experiment(
        id="x1",
        region="us-east-1",
        name="x",
        arn="arn:aws:sagemaker:us-east-1:000000000000:inference-experiment/x",
        status=ExperimentStatus.CREATING,
        endpoint_name="e",
        endpoint_arn="arn:aws:sagemaker:us-east-1:000000000000:endpoint/e",
        production="main",
        shadow="shadow",
        percent=50,
        fleet=spec,
        starts_at=100.0,
        ends_at=1000.0,
        created_at=1.0,
        modified_at=1.0,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def a_pair(
    production: bytes = b"[1]",
    shadow: bytes | None = b"[1]",
    *,
    at: float = 0.0,
    production_ms: float = 5.0,
    shadow_ms: float = 5.0,
    production_status: int = 200,
    shadow_status: int = 200,
    again: bytes | None = None,
    content_type: str = "application/json",
) -> Pair:
    def side(name: str, status: int, body: bytes, milliseconds: float) -> Side:
        return Side(name, status, content_type, body, int(milliseconds * 1e6))

    good = production_status == 200 and shadow_status == 200
    return Pair(
        key="x1",
        region="us-east-1",
        endpoint="e",
        event_id=f"event-{at}",
        at=at,
        content_type=content_type,
        body=b"in",
        production=side("main", production_status, production, production_ms),
        shadow=None if shadow is None else side("shadow", shadow_status, shadow, shadow_ms),
        outcome=Outcome.COMPARED if good else Outcome.SHADOW_ERROR,
        again=None if again is None else side("main", 200, again, production_ms),
    )
