"""What fronts wrote down of requests, as the worker of their host takes it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from modeldyno.domain.pair import Pair


class SpoolSource(Protocol):
    """Segments of pairs, by the life of the front that wrote them. A segment stays until it is removed."""

    def lives(self) -> tuple[str, ...]:
        """Every life that has left something."""
        ...

    def is_alive(self, life: str) -> bool:
        """Whether that front still writes."""
        ...

    def segments(self, life: str) -> tuple[str, ...]:
        """Segments that nobody writes any more, oldest first."""
        ...

    def pairs(self, life: str, segment: str) -> Iterator[Pair]:
        """The pairs of a segment, in order."""
        ...

    def age_seconds(self, life: str, segment: str, now: float) -> float:
        """How long ago it was written."""
        ...

    def remove(self, life: str, segment: str) -> None:
        """It has been taken."""
        ...

    def counts(self, life: str) -> dict[str, dict[str, int]]:
        """What that life has counted, by key (experiment, else endpoint) and name."""
        ...

    def forget(self, life: str) -> None:
        """Remove what is left of a life."""
        ...
