"""Queries: experiments, how requests ended under them, and what their pairs have shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, Row, delete, exists, insert, select, update
from sqlalchemy.exc import IntegrityError

from modeldyno.domain.errors import ResourceInUse, ResourceNotFound
from modeldyno.domain.evidence import Evidence
from modeldyno.domain.experiment import Experiment
from modeldyno.domain.resource import Kind
from modeldyno.store.codec import (
    counts_of,
    evidence_bytes,
    evidence_of,
    experiment_of,
    experiment_values,
    json_text,
)
from modeldyno.store.database import insert_into
from modeldyno.store.queries import Queries
from modeldyno.store.resources import put_tags
from modeldyno.store.tables import events, evidence, resources, segments, tags, tallies

# A segment is taken once; its id is kept for as long as it could come again.
_KEPT_SECONDS = 30 * 86_400.0
_EXPERIMENTS = (
    select(resources).where(resources.c.kind == Kind.EXPERIMENT.value).order_by(resources.c.created_at, resources.c.row)
)


class ExperimentQueries(Queries):
    """Experiments and their evidence."""

    def add_experiment(self, experiment: Experiment, tags: dict[str, str] | None = None) -> None:
        """Add one; `ResourceInUse` when (region, name) exists."""

        def work(connection: Connection) -> bool:
            try:
                connection.execute(insert(resources).values(**experiment_values(experiment), last_version=0))
            except IntegrityError as error:
                raise ResourceInUse(f"The experiment {experiment.name} already exists.") from error
            if tags:
                put_tags(connection, experiment.arn, tags)
            return True

        def landed(connection: Connection) -> bool | None:
            row = connection.execute(_one(experiment.region, experiment.name)).first()
            return True if row is not None and experiment_of(row).id == experiment.id else None

        self._database.write(work, landed)

    def experiment(self, region: str, name: str) -> Experiment:
        """The one; `ResourceNotFound`."""
        row = self._database.read(lambda connection: connection.execute(_one(region, name)).first())
        return experiment_of(_found(row, name))

    def experiments(self) -> tuple[Experiment, ...]:
        """Every experiment of every region, oldest first."""
        return tuple(map(experiment_of, self._database.read(lambda connection: connection.execute(_EXPERIMENTS).all())))

    def change_experiment(self, region: str, name: str, change: Callable[[Experiment], Experiment]) -> Experiment:
        """Replace it by `change(it)` atomically; `ResourceNotFound`."""

        def work(connection: Connection) -> Experiment:
            row = _found(connection.execute(_one(region, name).with_for_update()).first(), name)
            changed = change(experiment_of(row))
            connection.execute(update(resources).where(resources.c.row == row.row).values(experiment_values(changed)))
            return changed

        return self._database.write(work)

    def remove_experiment(self, region: str, name: str) -> None:
        """Remove it with its tags, its story, its tallies and its evidence; `ResourceNotFound`."""

        def work(connection: Connection) -> bool:
            row = _found(connection.execute(_one(region, name).with_for_update()).first(), name)
            experiment = experiment_of(row)
            connection.execute(delete(resources).where(resources.c.row == row.row))
            connection.execute(delete(tags).where(tags.c.arn == row.arn))
            connection.execute(delete(events).where(events.c.arn == row.arn))
            connection.execute(delete(tallies).where(tallies.c.experiment == experiment.id))
            connection.execute(delete(evidence).where(evidence.c.experiment == experiment.id))
            return True

        def landed(connection: Connection) -> bool | None:
            return True if connection.execute(_one(region, name)).first() is None else None

        self._database.write(work, landed)

    def put_tally(self, experiment_id: str, front_life: str, counts: dict[str, int], *, ended: bool) -> None:
        """How the requests of one life of one front have ended so far. `ended`: that front is no more."""
        facts = {"counts": json_text(counts), "ended": ended}

        def work(connection: Connection) -> None:
            statement = insert_into(connection, tallies).values(
                experiment=experiment_id, front_life=front_life, **facts
            )
            keys = ["experiment", "front_life"]
            connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=facts))

        self._database.write(work)

    def tallies(self, experiment_id: str) -> dict[str, tuple[dict[str, int], bool]]:
        """By life of a front: the counts, and whether it has ended."""
        statement = select(tallies).where(tallies.c.experiment == experiment_id).order_by(tallies.c.front_life)
        rows = self._database.read(lambda connection: connection.execute(statement).all())
        return {row.front_life: (counts_of(row.counts), row.ended) for row in rows}

    def add_evidence(
        self, segment_id: str, changes: dict[str, Callable[[Evidence | None], Evidence]], now: float
    ) -> bool:
        """Take one segment of pairs into the evidence of experiments, all or nothing; False when it has been taken."""

        def work(connection: Connection) -> bool:
            if connection.scalar(select(exists().where(segments.c.id == segment_id))):
                return False
            connection.execute(insert(segments).values(id=segment_id, taken_at=now))
            connection.execute(delete(segments).where(segments.c.taken_at < now - _KEPT_SECONDS))
            for experiment_id in sorted(changes):
                _change_evidence(connection, experiment_id, changes[experiment_id], now)
            return True

        def landed(connection: Connection) -> bool | None:
            return connection.scalar(select(exists().where(segments.c.id == segment_id))) or None

        return self._database.write(work, landed)

    def evidence(self, experiment_id: str) -> Evidence | None:
        """What the pairs have shown so far; None: nothing yet."""
        statement = select(evidence.c.evidence).where(evidence.c.experiment == experiment_id)
        return evidence_of(self._database.read(lambda connection: connection.scalar(statement)))


def _one(region: str, name: str) -> Any:
    return select(resources).where(
        resources.c.kind == Kind.EXPERIMENT.value, resources.c.region == region, resources.c.name == name
    )


def _found(row: Row[Any] | None, name: str) -> Row[Any]:
    if row is None:
        raise ResourceNotFound(f"There is no inference experiment {name}.")
    return row


def _change_evidence(
    connection: Connection, experiment_id: str, change: Callable[[Evidence | None], Evidence], now: float
) -> None:
    """Under a lock; a row is made first, so that there is something to lock."""
    empty = insert_into(connection, evidence).values(experiment=experiment_id, evidence=b"", modified_at=now)
    connection.execute(empty.on_conflict_do_nothing())
    mine = evidence.c.experiment == experiment_id
    before = evidence_of(connection.scalar(select(evidence.c.evidence).where(mine).with_for_update()))
    after = evidence_bytes(change(before))
    connection.execute(update(evidence).where(mine).values(evidence=after, modified_at=now))
