"""Queries: metrics of endpoints by the minute, as several processes have seen them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, bindparam, delete, func, select

from modeldyno.domain.metric import Minute, Series, Values
from modeldyno.store.codec import values_bytes, values_of
from modeldyno.store.database import insert_into
from modeldyno.store.queries import Queries
from modeldyno.store.tables import metric_minutes, metric_series

# Read at once: a day of one variant, as one front saw it, is 1 to 4 MB.
_AT_ONCE_SECONDS = 86_400
_BETWEEN = (
    select(metric_minutes.c.minute, metric_minutes.c["values"])
    .where(
        metric_minutes.c.region == bindparam("region"),
        metric_minutes.c.endpoint == bindparam("endpoint"),
        metric_minutes.c.variant == bindparam("variant"),
        metric_minutes.c.minute >= bindparam("begin"),
        metric_minutes.c.minute < bindparam("end"),
    )
    .order_by(metric_minutes.c.minute)
)
_FIRST_AND_LAST = select(func.min(metric_minutes.c.minute), func.max(metric_minutes.c.minute)).where(
    metric_minutes.c.region == bindparam("region"),
    metric_minutes.c.endpoint == bindparam("endpoint"),
    metric_minutes.c.variant == bindparam("variant"),
)


class MetricQueries(Queries):
    """Minutes and series."""

    def put_minutes(self, minutes: Sequence[Minute]) -> None:
        """Keep what was seen; each replaces what its source told of the same minute before."""
        if minutes:
            self._database.write(lambda connection: _put(connection, minutes))

    def metric_values(
        self, region: str, endpoint: str, variant: str, metric: str, begin: int, end: int, period: int
    ) -> Iterator[tuple[int, Values]]:
        """The values of a metric from `begin` to before `end` by period, whose first begins at `begin`; in order, read
        as they are taken."""
        current: tuple[int, Values] | None = None
        for minute, data in self._minutes({"region": region, "endpoint": endpoint, "variant": variant}, begin, end):
            values = values_of(data, metric)
            if values is None:
                continue
            at = minute - (minute - begin) % period
            if current is not None and current[0] == at:
                current[1].merge(values)
                continue
            if current is not None:
                yield current
            current = at, values
        if current is not None:
            yield current

    def _minutes(self, key: dict[str, str | int], begin: int, end: int) -> Iterator[tuple[int, bytes]]:
        """The rows of a variant, a day at once."""
        first, last = self._database.read(lambda connection: connection.execute(_FIRST_AND_LAST, key).one())
        if first is None:
            return
        at, end = max(begin, first), min(end, last + 1)
        while at < end:
            bounds = key | {"begin": at, "end": min(end, at + _AT_ONCE_SECONDS)}
            rows = self._database.read(lambda connection, of=bounds: connection.execute(_BETWEEN, of).all())  # type: ignore[misc]
            yield from ((minute, data) for minute, data in rows)
            at += _AT_ONCE_SECONDS

    def metric_series(self, region: str) -> tuple[Series, ...]:
        """Every metric that there is of the region's endpoints, sorted."""
        columns = metric_series.c
        statement = (
            select(columns.endpoint, columns.variant, columns.metric, columns.last_minute)
            .where(columns.region == region)
            .order_by(columns.endpoint, columns.variant, columns.metric)
        )
        rows = self._database.read(lambda connection: connection.execute(statement).all())
        return tuple(Series(*row) for row in rows)

    def prune_minutes(self, before: float) -> None:
        """Forget the minutes that began before that time."""

        def work(connection: Connection) -> None:
            connection.execute(delete(metric_minutes).where(metric_minutes.c.minute < before))
            connection.execute(delete(metric_series).where(metric_series.c.last_minute < before))

        self._database.write(work)


def _put(connection: Connection, minutes: Sequence[Minute]) -> None:
    """In one order, so that two processes that do this at once wait for each other."""
    for one in sorted(minutes, key=lambda one: (one.region, one.endpoint, one.variant, one.at)):
        key = {"region": one.region, "endpoint": one.endpoint, "variant": one.variant}
        data = values_bytes(one.values)
        row = insert_into(connection, metric_minutes).values(**key, minute=one.at, source=one.source, values=data)
        connection.execute(
            row.on_conflict_do_update(
                index_elements=["region", "endpoint", "variant", "minute", "source"], set_={"values": data}
            )
        )
        for name in sorted(one.values):
            series = insert_into(connection, metric_series).values(**key, metric=name, last_minute=one.at)
            connection.execute(
                series.on_conflict_do_update(
                    index_elements=["region", "endpoint", "variant", "metric"],
                    set_={"last_minute": one.at},
                    where=metric_series.c.last_minute < one.at,
                )
            )
