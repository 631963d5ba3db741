"""Queries: who runs which trial, under which attempt, and for how long.

A trial is a worker's own while it is IN_PROGRESS under that worker's attempt number; every write asks for both.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, delete, exists, func, or_, select, tuple_, update

from modeldyno.domain.errors import HostCannot
from modeldyno.domain.host import Host
from modeldyno.domain.job import JobStatus
from modeldyno.domain.run_off import RunOff
from modeldyno.domain.trial import Placement, TrialResult, TrialStatus
from modeldyno.ports import Claim, Place
from modeldyno.store.codec import job_of, json_text, placement_of, plain, plain_or_none, trial_of
from modeldyno.store.database import insert_into
from modeldyno.store.jobs import claimable, live
from modeldyno.store.queries import Queries
from modeldyno.store.tables import installation, jobs, servers, trials, windows, workers

_RUNNING = TrialStatus.IN_PROGRESS.value
_NOBODYS = {"worker_id": None, "lease_expires_at": None, "placement": None}
_TRIAL_AND_JOB = (
    select(trials.c.status, trials.c.attempt, jobs.c.stop_requested, jobs.c.status.label("job_status"))
    .join(jobs, jobs.c.id == trials.c.job_id)
    .where(trials.c.id == bindparam("trial_id"))
)
_JOB_OF_TRIAL = (
    select(jobs.c.id)
    .join(trials, trials.c.job_id == jobs.c.id)
    .where(trials.c.id == bindparam("trial_id"))
    .with_for_update(of=jobs, key_share=True)
)


class LeaseQueries(Queries):
    """Workers, their claims and how those end."""

    def heartbeat(self, worker_id: str, host: Host, now: float, lease_seconds: float) -> None:
        """Register or renew the worker, and every lease it holds, to `now + lease_seconds`."""
        until = now + lease_seconds
        facts = {"host": json_text(host), "seen_at": now, "lease_expires_at": until}

        def work(connection: Connection) -> None:
            statement = insert_into(connection, workers).values(id=worker_id, **facts)
            connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=facts))
            connection.execute(update(trials).where(_held_by(worker_id)).values(lease_expires_at=until))
            connection.execute(update(servers).where(servers.c.worker_id == worker_id).values(lease_expires_at=until))

        self._database.write(work)

    def claim_trial(self, worker_id: str, place: Place, now: float, lease_seconds: float) -> Claim | None:
        """The next trial for this worker, in one transaction; `ports.Store.claim_trial` has the rules.

        Claims of all workers come one after another (each locks the row of `installation`), so that no trial is claimed
        twice and `max_parallel` holds across workers.
        """
        made: list[Claim] = []

        def work(connection: Connection) -> Claim | None:
            connection.execute(select(installation.c.id).with_for_update())
            made.clear()
            claim = _claim(connection, worker_id, place, now, now + lease_seconds)
            if claim is not None:
                made.append(claim)
            return claim

        def landed(connection: Connection) -> Claim | None:
            if not made:
                return None
            mine = and_(_current(made[0].trial.id, made[0].trial.attempt), trials.c.worker_id == worker_id)
            return made[0] if connection.scalar(select(exists().where(mine))) else None

        return self._database.write(work, landed)

    def stop_wanted(self, trial_id: str, attempt: int) -> bool:
        """Whether the trial's job is to stop, or the attempt is no longer the caller's."""
        row = self._database.read(lambda connection: connection.execute(_TRIAL_AND_JOB, {"trial_id": trial_id}).first())
        if row is None or row.attempt != attempt or row.status != _RUNNING:
            return True
        return bool(row.stop_requested) or row.job_status != JobStatus.IN_PROGRESS

    def finish_trial(
        self,
        trial_id: str,
        attempt: int,
        status: TrialStatus,
        now: float,
        *,
        result: TrialResult | None = None,
        failure_reason: str | None = None,
        log_tail: str = "",
        run_off: RunOff | None = None,
    ) -> bool:
        """End the trial; False when the attempt is not current. `run_off`: how it ended, where it is one; its job
        tells it from now on."""
        ended = {
            "status": status.value,
            "ended_at": now,
            "lease_expires_at": None,
            "result": json_text(result) if result is not None else None,
            "failure_reason": plain_or_none(failure_reason),
            "log_tail": plain(log_tail),
        }
        mine = and_(trials.c.id == trial_id, trials.c.attempt == attempt, trials.c.status == status.value)
        same = select(exists().where(mine, trials.c.ended_at == now))

        def work(connection: Connection) -> bool:
            if run_off is None:
                return _change(connection, trial_id, attempt, ended)
            job = connection.scalar(_JOB_OF_TRIAL, {"trial_id": trial_id})  # locked before its trial, as everywhere
            changed = _change(connection, trial_id, attempt, ended)
            if changed:
                connection.execute(update(jobs).where(jobs.c.id == job).values(run_off=json_text(run_off)))
            return changed

        return self._database.write(work, lambda connection: connection.scalar(same) or None)

    def release_trial(self, trial_id: str, attempt: int) -> bool:
        """Give an unfinished trial back (PENDING again). False when the attempt is not current."""
        return self._database.write(lambda connection: _change(connection, trial_id, attempt, _GIVEN_BACK))

    def release_worker(self, worker_id: str) -> int:
        """Give back every trial that the worker holds; how many."""
        statement = update(trials).where(_held_by(worker_id)).values(_GIVEN_BACK)
        return self._database.write(lambda connection: connection.execute(statement).rowcount)


_GIVEN_BACK = {"status": TrialStatus.PENDING.value, "started_at": None, **_NOBODYS}


def _current(trial_id: str, attempt: int) -> Any:
    return and_(trials.c.id == trial_id, trials.c.attempt == attempt, trials.c.status == _RUNNING)


def _held_by(worker_id: str) -> Any:
    return and_(trials.c.worker_id == worker_id, trials.c.status == _RUNNING)


def _change(connection: Connection, trial_id: str, attempt: int, values: dict[str, Any]) -> bool:
    return connection.execute(update(trials).where(_current(trial_id, attempt)).values(values)).rowcount == 1


def _claim(connection: Connection, worker_id: str, place: Place, now: float, until: float) -> Claim | None:
    """Oldest job first, then index. A trial without room now ends the search: it waits, and nothing younger overtakes
    it."""
    busy = _placements(connection, worker_id, now)
    for job in _open_jobs(connection, now):
        for row in connection.execute(_claimable_trials(job.id, now)).all():
            try:
                placement = place(trial_of(row), busy)
            except HostCannot as refusal:
                _refuse(connection, row, worker_id, refusal, now)
                continue
            if placement is None:
                return None
            if _take(connection, row, worker_id, placement, now, until):
                taken = connection.execute(select(trials).where(trials.c.id == row.id)).one()
                return Claim(job_of(job), trial_of(taken))
    return None


def _placements(connection: Connection, worker_id: str, now: float) -> tuple[Placement, ...]:
    rows = connection.scalars(select(trials.c.placement).where(trials.c.worker_id == worker_id, live(now)))
    return tuple(placement for text in rows if (placement := placement_of(text)) is not None)


def _open_jobs(connection: Connection, now: float) -> Iterator[Row[Any]]:
    """Jobs that may start a trial, oldest first, each locked and looked at again under the lock."""
    mine = trials.c.job_id == jobs.c.id
    running = select(func.count()).select_from(trials).where(mine, live(now)).scalar_subquery()
    may_start = and_(
        jobs.c.status == JobStatus.IN_PROGRESS.value,
        jobs.c.stop_requested.is_(False),
        or_(jobs.c.duration_seconds.is_(None), jobs.c.started_at + jobs.c.duration_seconds > now),
        exists().where(mine, claimable(now)),
        running < jobs.c.max_parallel,
    )
    place = tuple_(jobs.c.created_at, jobs.c.row)
    first = select(jobs.c.created_at, jobs.c.row).where(may_start).order_by(jobs.c.created_at, jobs.c.row).limit(1)
    found = connection.execute(first).first()
    while found is not None:
        locked = select(jobs).where(jobs.c.row == found.row, may_start).with_for_update(of=jobs, key_share=True)
        if (job := connection.execute(locked).first()) is not None:
            yield job
        found = connection.execute(first.where(place > tuple_(found.created_at, found.row))).first()


def _claimable_trials(job_id: str, now: float) -> Any:
    return select(trials).where(trials.c.job_id == job_id, claimable(now)).order_by(trials.c.trial_index)


def _take(
    connection: Connection, row: Row[Any], worker_id: str, placement: Placement, now: float, until: float
) -> bool:
    """Make the trial this worker's under the next attempt; False when its worker came back to life meanwhile."""
    statement = update(trials).where(trials.c.id == row.id, trials.c.attempt == row.attempt, claimable(now))
    values = {
        "status": _RUNNING,
        "attempt": row.attempt + 1,
        "worker_id": worker_id,
        "lease_expires_at": until,
        "placement": json_text(placement),
        "started_at": now,
    }
    if connection.execute(statement.values(values)).rowcount == 0:
        return False
    connection.execute(delete(windows).where(windows.c.trial_id == row.id))
    return True


def _refuse(connection: Connection, row: Row[Any], worker_id: str, refusal: HostCannot, now: float) -> None:
    statement = update(trials).where(trials.c.id == row.id, trials.c.attempt == row.attempt, claimable(now))
    values = {
        **_NOBODYS,
        "status": TrialStatus.FAILED.value,
        "worker_id": worker_id,
        "ended_at": now,
        "failure_reason": plain(refusal.reason),
        "log_tail": plain(refusal.log_tail),
    }
    connection.execute(statement.values(values))
