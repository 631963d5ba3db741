"""Queries: what scales a variant by itself."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from modeldyno.domain.errors import Conflict
from modeldyno.domain.target_tracking import ScalableTarget
from modeldyno.store.codec import json_text, scalable_target_of
from modeldyno.store.queries import Queries
from modeldyno.store.tables import scalable_targets


class ScalingQueries(Queries):
    """Scalable targets with their policies."""

    def change_scaling(
        self, region: str, endpoint: str, variant: str, change: Callable[[ScalableTarget | None], ScalableTarget | None]
    ) -> ScalableTarget | None:
        """Replace the target of a variant by `change(it)` atomically; None: there is none."""
        columns = scalable_targets.c
        mine = (columns.region == region, columns.endpoint == endpoint, columns.variant == variant)

        def work(connection: Connection) -> ScalableTarget | None:
            text = connection.scalar(select(columns.target).where(*mine).with_for_update())
            before = None if text is None else scalable_target_of(text)
            after = change(before)
            if after == before:
                return after
            if after is None:
                connection.execute(delete(scalable_targets).where(*mine))
            elif before is not None:
                connection.execute(update(scalable_targets).where(*mine).values(target=json_text(after)))
            else:
                row = {"region": region, "endpoint": endpoint, "variant": variant, "target": json_text(after)}
                try:
                    connection.execute(insert(scalable_targets).values(row))
                except IntegrityError as error:
                    raise Conflict(f"Somebody else registers {after.resource_id} just now.") from error
            return after

        return self._database.write(work)

    def scalable_targets(self) -> tuple[ScalableTarget, ...]:
        """Every one of every region, by region, endpoint and variant."""
        columns = scalable_targets.c
        statement = select(columns.target).order_by(columns.region, columns.endpoint, columns.variant)
        texts = self._database.read(lambda connection: connection.scalars(statement).all())
        return tuple(map(scalable_target_of, texts))
