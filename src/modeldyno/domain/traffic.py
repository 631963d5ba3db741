"""Phases and stairs as load stages: how many users there are at any second.

The wire's `SpawnRate` is new users per **minute** (Source: botocore shape SpawnRate). `Stairs.DurationInSeconds` is
the **total** of all steps (Source: SageMaker developer guide, load test page; the shape's text contradicts it:
Assumption A-0003).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

MOST_USERS = 10_000
"""Users of a pattern at most. Chosen: each holds a connection and so a port of its own, of which Linux gives clients
28,232 (ip_local_port_range); and what a user costs is taken from the host that is measured."""


class Arrivals(StrEnum):
    """How open-loop arrivals follow each other: independently of each other, or evenly."""

    POISSON = "poisson"
    CONSTANT = "constant"


@dataclass(frozen=True, slots=True)
class Phase:
    """`initial_users` at the start, `spawn_per_minute` more each minute, for `duration_seconds`."""

    initial_users: int
    spawn_per_minute: int
    duration_seconds: int


@dataclass(frozen=True, slots=True)
class Stairs:
    """`steps` steps of `users_per_step` additional users each, `duration_seconds` in total."""

    duration_seconds: int
    steps: int
    users_per_step: int


@dataclass(frozen=True, slots=True)
class Traffic:
    """A traffic pattern: exactly one of `phases` (not empty) and `stairs` is set."""

    phases: tuple[Phase, ...] = ()
    stairs: Stairs | None = None

    @property
    def duration_seconds(self) -> int:
        """How long the whole pattern takes."""
        if self.stairs is not None:
            return self.stairs.duration_seconds
        return sum(phase.duration_seconds for phase in self.phases)

    @property
    def most_users(self) -> int:
        """The users at its highest point."""
        if self.stairs is not None:
            return self.stairs.steps * self.stairs.users_per_step
        return max(phase.initial_users + phase.spawn_per_minute * phase.duration_seconds // 60 for phase in self.phases)


@dataclass(frozen=True, slots=True)
class Stage:
    """A constant or linearly growing number of users for a time. Rates per second, times in seconds."""

    starts_at_seconds: float
    duration_seconds: float
    users: int
    spawn_per_second: float = 0.0

    def users_at(self, seconds: float) -> int:
        """Users `seconds` after the start of the pattern (which must lie in this stage)."""
        grown = self.spawn_per_second * (seconds - self.starts_at_seconds)
        return self.users + math.floor(grown + 1e-9)


def stages(traffic: Traffic) -> tuple[Stage, ...]:
    """The pattern as consecutive stages."""
    if traffic.stairs is not None:
        stairs = traffic.stairs
        length = stairs.duration_seconds / stairs.steps
        return tuple(Stage(step * length, length, stairs.users_per_step * (step + 1)) for step in range(stairs.steps))
    result: list[Stage] = []
    start = 0.0
    for phase in traffic.phases:
        result.append(Stage(start, phase.duration_seconds, phase.initial_users, phase.spawn_per_minute / 60))
        start += phase.duration_seconds
    return tuple(result)


def users_at(plan: Sequence[Stage], seconds: float) -> int | None:
    """Users `seconds` after the start, or None when the pattern is over."""
    for stage in plan:
        if seconds < stage.starts_at_seconds + stage.duration_seconds:
            return stage.users_at(max(seconds, stage.starts_at_seconds))
    return None
