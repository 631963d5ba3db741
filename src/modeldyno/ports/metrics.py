"""Where the metrics of endpoints are kept, and what scales by them: the part of `Store` that they need."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from modeldyno.domain.metric import Minute, Series, Values
from modeldyno.domain.target_tracking import ScalableTarget


class MetricStore(Protocol):
    """Minutes of metrics, as several processes have seen them, and scalable targets."""

    def put_minutes(self, minutes: Sequence[Minute]) -> None:
        """Keep what was seen; each replaces what its source told of the same minute before. Idempotent."""
        ...

    def metric_values(
        self, region: str, endpoint: str, variant: str, metric: str, begin: int, end: int, period: int
    ) -> Iterator[tuple[int, Values]]:
        """The values of a metric (by name) from `begin` to before `end`, by when the period began that they are in:
        those of all sources together, in order, read as they are taken. Times are whole seconds since the Unix epoch;
        the first period begins at `begin`."""
        ...

    def metric_series(self, region: str) -> tuple[Series, ...]:
        """Every metric that there is of the region's endpoints, sorted by endpoint, variant and name."""
        ...

    def prune_minutes(self, before: float) -> None:
        """Forget the minutes that began before that time."""
        ...

    def change_scaling(
        self, region: str, endpoint: str, variant: str, change: Callable[[ScalableTarget | None], ScalableTarget | None]
    ) -> ScalableTarget | None:
        """Replace the target of a variant by `change(it)` atomically; None: there is none. What `change` raises ends
        the call. `Conflict` when another adds it at the same time."""
        ...

    def scalable_targets(self) -> tuple[ScalableTarget, ...]:
        """Every one of every region, by region, endpoint and variant."""
        ...
