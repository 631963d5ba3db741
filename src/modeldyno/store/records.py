"""Queries: windows and log lines, which grow while a job runs and are pruned when it is old."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from modeldyno.domain.job import JobStatus
from modeldyno.domain.measurement import Window
from modeldyno.domain.trial import TrialStatus
from modeldyno.ports import LogLine
from modeldyno.store.codec import plain, window_bytes, window_of
from modeldyno.store.database import insert_into
from modeldyno.store.queries import Queries
from modeldyno.store.tables import jobs, log_lines, trials, windows

_ENDED = [status.value for status in JobStatus if status.ended]
# Jobs pruned in one transaction: short enough to keep no other writer waiting.
_JOBS_AT_ONCE = 20

_LATEST = select(trials.c.attempt).where(trials.c.id == bindparam("trial_id")).scalar_subquery()
_WINDOWS = (
    select(windows.c.window)
    .where(windows.c.trial_id == bindparam("trial_id"), windows.c.sequence > bindparam("after"))
    .order_by(windows.c.sequence)
)
_OF_LATEST = _WINDOWS.where(windows.c.attempt == _LATEST)
_OF_ATTEMPT = _WINDOWS.where(windows.c.attempt == bindparam("attempt"))
_HELD = (
    select(trials.c.id)
    .where(
        trials.c.id == bindparam("trial_id"),
        trials.c.attempt == bindparam("attempt"),
        trials.c.status == TrialStatus.IN_PROGRESS.value,
    )
    .with_for_update(read=True)
)


class RecordQueries(Queries):
    """What was seen, second by second, and what was said about it."""

    def add_window(self, trial_id: str, attempt: int, window: Window) -> bool:
        """Store a window; False when the attempt is not current (nothing is written). Idempotent by sequence."""

        def work(connection: Connection) -> bool:
            if connection.execute(_HELD, {"trial_id": trial_id, "attempt": attempt}).first() is None:
                return False
            connection.execute(
                insert_into(connection, windows)
                .values(trial_id=trial_id, attempt=attempt, sequence=window.sequence, window=window_bytes(window))
                .on_conflict_do_nothing()
            )
            return True

        return self._database.write(work)

    def windows(self, trial_id: str, attempt: int | None = None, after: int = -1) -> tuple[Window, ...]:
        """Windows of a trial's attempt (None: the latest) with a sequence above `after`, in order."""
        statement = _OF_LATEST if attempt is None else _OF_ATTEMPT
        key: dict[str, Any] = {"trial_id": trial_id, "after": after}
        if attempt is not None:
            key["attempt"] = attempt
        rows = self._database.read(lambda connection: connection.scalars(statement, key).all())
        return tuple(window_of(data) for data in rows)

    def log(self, job_id: str, lines: Sequence[LogLine]) -> None:
        """Append to the job's story. A job that is gone has none: nothing is written."""

        def work(connection: Connection) -> None:
            there = select(jobs.c.row).where(jobs.c.id == job_id).with_for_update(read=True, key_share=True)
            if lines and connection.execute(there).first() is not None:
                put_story(connection, job_id, lines)

        self._database.write(work)

    def log_lines(self, job_id: str, trial_index: int | None = None) -> tuple[LogLine, ...]:
        """The story in order; with `trial_index`, of that trial only."""
        statement = select(log_lines).where(log_lines.c.job_id == job_id).order_by(log_lines.c.row)
        if trial_index is not None:
            statement = statement.where(log_lines.c.trial_index == trial_index)
        rows = self._database.read(lambda connection: list(connection.execute(statement)))
        return tuple(LogLine(row.at, row.message, row.trial_index) for row in rows)

    def prune(self, before: float) -> int:
        """Remove windows and log lines of jobs that ended before that time; how many jobs. Done in several
        transactions, each of which is complete for its jobs."""
        pruned = 0
        while count := self._database.write(lambda connection: _prune_some(connection, before)):
            pruned += count
        return pruned


def put_story(connection: Connection, job_id: str, lines: Sequence[LogLine]) -> None:
    """Append to the story of a job that is there, within a transaction."""
    rows = [
        {"job_id": job_id, "trial_index": line.trial_index, "at": line.at, "message": plain(line.message)}
        for line in lines
    ]
    if rows:
        connection.execute(insert(log_lines), rows)


def _prune_some(connection: Connection, before: float) -> int:
    old = select(jobs.c.id).where(jobs.c.status.in_(_ENDED), jobs.c.completed_at < before, jobs.c.pruned.is_(False))
    ids = connection.scalars(old.limit(_JOBS_AT_ONCE).with_for_update(key_share=True)).all()
    of_them = select(trials.c.id).where(trials.c.job_id.in_(ids))
    connection.execute(delete(windows).where(windows.c.trial_id.in_(of_them)))
    connection.execute(delete(log_lines).where(log_lines.c.job_id.in_(ids)))
    connection.execute(update(jobs).where(jobs.c.id.in_(ids)).values(pruned=True))
    return len(ids)
