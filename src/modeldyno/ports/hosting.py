"""Where the facts on endpoints and experiments are kept: the part of `Store` that hosting needs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from modeldyno.domain.endpoint import Endpoint, Server
from modeldyno.domain.evidence import Evidence
from modeldyno.domain.experiment import Experiment
from modeldyno.domain.rollout import Step


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the story of whatever has an ARN. `at`: seconds since the Unix epoch."""

    at: float
    message: str


class HostingStore(Protocol):
    """Endpoints, their servers, the fronts that route to them, and experiments. One transaction a method.

    Every change that requests may go by raises the routes' version, in the same transaction.
    """

    # endpoints
    def add_endpoint(self, endpoint: Endpoint, tags: dict[str, str] | None = None) -> None:
        """Add one; `ResourceInUse` when (region, name) exists."""
        ...

    def endpoint(self, region: str, name: str) -> Endpoint:
        """The one; `ResourceNotFound`."""
        ...

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Every endpoint of every region, oldest first."""
        ...

    def change_endpoint(self, region: str, name: str, change: Callable[[Endpoint], Endpoint]) -> Endpoint:
        """Replace it by `change(it)` atomically (called once a try; what it raises ends the call);
        `ResourceNotFound`."""
        ...

    def step_endpoint(self, region: str, name: str, step: Callable[[Endpoint, Sequence[Server]], Step]) -> Step | None:
        """Carry out a step on the endpoint and its servers atomically; None when there is no such endpoint. One that is
        gone takes its tags with it."""
        ...

    # servers
    def servers(self) -> tuple[Server, ...]:
        """Every hosted server, in order of their ids."""
        ...

    def change_server(self, server_id: str, attempt: int, change: Callable[[Server], Server]) -> Server | None:
        """Replace the row by `change(row)` where its attempt is the caller's; None where it is not, or is gone."""
        ...

    def remove_server(self, server_id: str, attempt: int) -> bool:
        """Remove the row where its attempt is the caller's; whether it was."""
        ...

    # fronts
    def routes_version(self) -> int:
        """Grows with every change that requests may go by."""
        ...

    def tell_front(
        self, front_id: str, version: int, busy: Collection[str], expires_at: float, demand: Mapping[str, int]
    ) -> None:
        """A front goes by the routes of that version and still has requests at the servers `busy`. `demand`: how many
        servers its requests need, by serverless variant (`domain.serverless.demand_key`)."""
        ...

    def fronts_behind(self, version: int, now: float) -> int:
        """How many living fronts go by routes older than that."""
        ...

    def busy_servers(self, now: float) -> frozenset[str]:
        """Servers that some living front still has requests at."""
        ...

    def demand(self, now: float) -> dict[str, int]:
        """How many servers all living fronts together need, by serverless variant."""
        ...

    def remove_front(self, front_id: str) -> None:
        """A front ends."""
        ...

    # stories
    def tell(self, arn: str, at: float, *messages: str) -> None:
        """Append to the story of an ARN."""
        ...

    def story(self, arn: str) -> tuple[Event, ...]:
        """The story in order."""
        ...

    # experiments
    def add_experiment(self, experiment: Experiment, tags: dict[str, str] | None = None) -> None:
        """Add one; `ResourceInUse` when (region, name) exists."""
        ...

    def experiment(self, region: str, name: str) -> Experiment:
        """The one; `ResourceNotFound`."""
        ...

    def experiments(self) -> tuple[Experiment, ...]:
        """Every experiment of every region, oldest first."""
        ...

    def change_experiment(self, region: str, name: str, change: Callable[[Experiment], Experiment]) -> Experiment:
        """Replace it by `change(it)` atomically; `ResourceNotFound`."""
        ...

    def remove_experiment(self, region: str, name: str) -> None:
        """Remove it with its tags, its story, its tallies and its evidence; `ResourceNotFound`."""
        ...

    # what an experiment has shown
    def put_tally(self, experiment_id: str, front_life: str, counts: dict[str, int], *, ended: bool) -> None:
        """How the requests of one life of one front have ended so far. `ended`: that front is no more."""
        ...

    def tallies(self, experiment_id: str) -> dict[str, tuple[dict[str, int], bool]]:
        """By life of a front: the counts, and whether it has ended."""
        ...

    def add_evidence(
        self, segment_id: str, changes: dict[str, Callable[[Evidence | None], Evidence]], now: float
    ) -> bool:
        """Take one segment of pairs into the evidence of experiments (by id), all or nothing; False when it has been
        taken before."""
        ...

    def evidence(self, experiment_id: str) -> Evidence | None:
        """What the pairs have shown so far; None: nothing yet."""
        ...
