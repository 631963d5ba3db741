"""Queries: jobs, as the API sees them and as a worker plans and ends them.

Whatever decides over a job first locks its row: a claim, an end and a stop of one job come one after another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, bindparam, delete, exists, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from modeldyno.domain.errors import Conflict, ResourceInUse, ResourceNotFound
from modeldyno.domain.job import Job, JobStatus
from modeldyno.domain.resource import Query
from modeldyno.domain.trial import Trial, TrialSpec, TrialStatus
from modeldyno.ports import JobPage, LogLine
from modeldyno.store.codec import job_of, job_values, json_text, plain_or_none, trial_of
from modeldyno.store.paging import cut, page_of
from modeldyno.store.queries import Queries
from modeldyno.store.records import put_story
from modeldyno.store.resources import put_tags
from modeldyno.store.tables import jobs, tags, trials

_BY_NAME = select(jobs).where(jobs.c.region == bindparam("region"), jobs.c.name == bindparam("name"))
_LOCKED_BY_NAME = _BY_NAME.with_for_update(key_share=True)
_LOCKED_BY_ID = select(jobs).where(jobs.c.id == bindparam("id")).with_for_update(key_share=True)
_OF_JOB = select(trials).where(trials.c.job_id == bindparam("job_id")).order_by(trials.c.trial_index)
_TRIALS = _OF_JOB.where(trials.c.run_off.is_(False))
_RUN_OFF = _OF_JOB.where(trials.c.run_off.is_(True))
_FILTERS = {
    name: jobs.c[name] == bindparam(f"equals_{name}")
    for name in ("status", "model_name", "model_package_arn", "model_key")
}


class JobQueries(Queries):
    """Jobs and their trials."""

    def add_job(self, job: Job, tags: dict[str, str] | None = None) -> None:
        """Add a PENDING job; `ResourceInUse` when (region, name) exists."""

        def work(connection: Connection) -> bool:
            try:
                connection.execute(insert(jobs).values(job_values(job)))
            except IntegrityError as error:
                raise ResourceInUse(f"The job {job.name} already exists.") from error
            if tags:
                put_tags(connection, job.arn, tags)
            return True

        self._database.write(
            work, lambda connection: connection.scalar(select(exists().where(jobs.c.id == job.id))) or None
        )

    def job(self, region: str, name: str) -> Job:
        """The job; `ResourceNotFound`."""
        key = {"region": region, "name": name}
        return job_of(_found(self._database.read(lambda connection: connection.execute(_BY_NAME, key).first()), name))

    def find_jobs(self, query: Query) -> JobPage:
        """One page; `equals` knows ``status``, ``model_name``, ``model_package_arn``, ``model_key``."""
        values = {f"equals_{key}": value for key, value in query.equals.items()}
        statement, bound = page_of(jobs, query, *(_FILTERS[key] for key in query.equals), **values)
        rows = self._database.read(lambda connection: list(connection.execute(statement, bound)))
        shown, cursor = cut(rows, query)
        return JobPage(tuple(job_of(row) for row in shown), cursor)

    def request_stop(self, region: str, name: str, now: float) -> Job:
        """Set the stop flag and STOPPING, of a PENDING job too; `Conflict` when the job has ended. A job that is
        stopping already is returned unchanged."""

        def work(connection: Connection) -> Job:
            row = _found(connection.execute(_LOCKED_BY_NAME, {"region": region, "name": name}).first(), name)
            if JobStatus(row.status).ended:
                raise Conflict(f"The job {name} has ended: it is {row.status}.")
            if row.status == JobStatus.STOPPING:
                return job_of(row)
            _set(connection, row, status=JobStatus.STOPPING.value, stop_requested=True, modified_at=now)
            return job_of(connection.execute(select(jobs).where(jobs.c.row == row.row)).one())

        return self._database.write(work)

    def remove_job(self, region: str, name: str) -> None:
        """Remove an ended job with its trials, windows, log and tags; `Conflict` when it has not ended."""
        key = {"region": region, "name": name}

        def work(connection: Connection) -> bool:
            row = _found(connection.execute(_LOCKED_BY_NAME, key).first(), name)
            if not JobStatus(row.status).ended:
                raise Conflict(f"The job {name} has not ended: it is {row.status}.")
            connection.execute(delete(tags).where(tags.c.arn == row.arn))
            connection.execute(delete(jobs).where(jobs.c.row == row.row))  # the rest goes with it
            return True

        def landed(connection: Connection) -> bool | None:
            return True if connection.execute(_BY_NAME, key).first() is None else None

        self._database.write(work, landed)

    def trials(self, job_id: str) -> tuple[Trial, ...]:
        """Its trials in order of index; its run-off is none of them."""
        rows = self._database.read(lambda connection: list(connection.execute(_TRIALS, {"job_id": job_id})))
        return tuple(trial_of(row) for row in rows)

    def run_off(self, job_id: str) -> Trial | None:
        """Its run-off, as the row that is claimed and ended like a trial; None: it has none (yet)."""
        row = self._database.read(lambda connection: connection.execute(_RUN_OFF, {"job_id": job_id}).first())
        return None if row is None else trial_of(row)

    def unplanned_jobs(self) -> tuple[Job, ...]:
        """Jobs PENDING, oldest first."""
        return self._in_status(JobStatus.PENDING)

    def active_jobs(self) -> tuple[Job, ...]:
        """Jobs IN_PROGRESS or STOPPING, oldest first."""
        return self._in_status(JobStatus.IN_PROGRESS, JobStatus.STOPPING)

    def ended_jobs(self, since: float) -> tuple[Job, ...]:
        """Jobs that ended at that time or later, oldest first."""
        return self._in_status(*(status for status in JobStatus if status.ended), since=since)

    def plan_job(self, job_id: str, trials: Sequence[TrialSpec], notes: Sequence[str], now: float) -> bool:
        """Store the trials and go PENDING -> IN_PROGRESS; False when somebody else did (or it was stopped). A trial's
        id is ``JOB_ID-INDEX``."""

        def work(connection: Connection) -> bool:
            row = connection.execute(_LOCKED_BY_ID, {"id": job_id}).first()
            if row is None or row.status != JobStatus.PENDING:
                return False
            _set(
                connection,
                row,
                status=JobStatus.IN_PROGRESS.value,
                started_at=now,
                modified_at=now,
                plan_notes=json_text(notes),
            )
            if trials:
                connection.execute(_INSERT_TRIAL, [_trial_values(job_id, spec) for spec in trials])
            return True

        return self._database.write(work)

    def extend_job(self, job_id: str, trials: Sequence[TrialSpec], now: float) -> bool:
        """Append trials to a job that is IN_PROGRESS and not stopping; their indices follow those that are there. False
        (nothing is written) when the job is not, or when somebody else has appended meanwhile."""

        def work(connection: Connection) -> bool:
            row = connection.execute(_LOCKED_BY_ID, {"id": job_id}).first()
            if row is None or row.status != JobStatus.IN_PROGRESS or row.stop_requested:
                return False
            last = connection.scalar(_LAST, {"job_id": job_id})
            first = 0 if last is None else last + 1
            if not trials or [spec.index for spec in trials] != list(range(first, first + len(trials))):
                return False
            connection.execute(_INSERT_TRIAL, [_trial_values(job_id, spec) for spec in trials])
            _set(connection, row, modified_at=now)
            return True

        return self._database.write(work)

    def finish_job(
        self,
        job_id: str,
        status: JobStatus,
        now: float,
        failure_reason: str | None = None,
        notes: Sequence[str] = (),
        story: Sequence[str] = (),
    ) -> bool:
        """End the job, with `notes` after those of its plan and `story` as the last of its log lines: every trial that
        is still PENDING becomes STOPPED, and so does one whose lease has expired (its worker is dead or has fenced
        itself). False (nothing is written) when the job had ended, or when a trial is still running."""

        def work(connection: Connection) -> bool:
            row = connection.execute(_LOCKED_BY_ID, {"id": job_id}).first()
            if row is None or JobStatus(row.status).ended or connection.scalar(_running(job_id, now)):
                return False
            connection.execute(_unfinished(job_id), {"status": TrialStatus.STOPPED.value, "ended_at": now})
            _set(
                connection,
                row,
                status=status.value,
                completed_at=now,
                modified_at=now,
                failure_reason=plain_or_none(failure_reason),
                plan_notes=json_text((*job_of(row).plan_notes, *notes)),
            )
            put_story(connection, job_id, [LogLine(now, message) for message in story])
            return True

        def landed(connection: Connection) -> bool | None:
            mine = and_(jobs.c.id == job_id, jobs.c.status == status.value, jobs.c.completed_at == now)
            return connection.scalar(select(exists().where(mine))) or None

        return self._database.write(work, landed)

    def _in_status(self, *statuses: JobStatus, since: float | None = None) -> tuple[Job, ...]:
        wanted = select(jobs).where(jobs.c.status.in_([status.value for status in statuses]))
        wanted = wanted if since is None else wanted.where(jobs.c.completed_at >= since)
        statement = wanted.order_by(jobs.c.created_at, jobs.c.row)
        return tuple(job_of(row) for row in self._database.read(lambda connection: list(connection.execute(statement))))


_INSERT_TRIAL = insert(trials)
_LAST = select(trials.c.trial_index).where(trials.c.job_id == bindparam("job_id")).order_by(trials.c.trial_index.desc())


def claimable(now: float) -> ColumnElement[bool]:
    """A trial that nobody runs: PENDING, or IN_PROGRESS under a lease that has expired."""
    expired = and_(trials.c.status == TrialStatus.IN_PROGRESS.value, trials.c.lease_expires_at <= now)
    return or_(trials.c.status == TrialStatus.PENDING.value, expired)


def live(now: float) -> ColumnElement[bool]:
    """A trial that a worker runs: IN_PROGRESS under a lease."""
    return and_(trials.c.status == TrialStatus.IN_PROGRESS.value, trials.c.lease_expires_at > now)


def _running(job_id: str, now: float) -> Any:
    return select(exists().where(trials.c.job_id == job_id, live(now)))


def _unfinished(job_id: str) -> Any:
    open_statuses = [TrialStatus.PENDING.value, TrialStatus.IN_PROGRESS.value]
    chosen = update(trials).where(trials.c.job_id == job_id, trials.c.status.in_(open_statuses))
    return chosen.values(lease_expires_at=None, placement=None)


def _trial_values(job_id: str, spec: TrialSpec) -> dict[str, object]:
    return {
        "id": f"{job_id}-{spec.index}",
        "job_id": job_id,
        "trial_index": spec.index,
        "status": TrialStatus.PENDING.value,
        "attempt": 0,
        "spec": json_text(spec),
        "log_tail": "",
        "run_off": bool(spec.contenders),
    }


def _set(connection: Connection, row: Row[Any], **values: object) -> None:
    connection.execute(update(jobs).where(jobs.c.row == row.row).values(**values))


def _found(row: Row[Any] | None, name: str) -> Row[Any]:
    if row is None:
        raise ResourceNotFound(f"There is no job {name}.")
    return row
