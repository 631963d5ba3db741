"""Where the metrics of endpoints are kept: the part of `Store` that they need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from modeldyno.domain.metric import Minute, Series, Values


class MetricStore(Protocol):
    """Minutes of metrics, as several processes have seen them."""

    def put_minutes(self, minutes: Sequence[Minute]) -> None:
        """Keep what was seen; each replaces what its source told of the same minute before. Idempotent."""
        ...

    def metric_values(
        self, region: str, endpoint: str, variant: str, metric: str, begin: int, end: int, period: int
    ) -> dict[int, Values]:
        """The values of a metric (by name) from `begin` to before `end`, by the period that they are in: those of all
        sources together. Times are whole seconds since the Unix epoch; the first period begins at `begin`."""
        ...

    def metric_series(self, region: str) -> tuple[Series, ...]:
        """Every metric that there is of the region's endpoints, sorted by endpoint, variant and name."""
        ...

    def prune_minutes(self, before: float) -> None:
        """Forget the minutes that began before that time."""
        ...
