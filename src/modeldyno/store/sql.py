"""The store: one SQL database behind `ports.Store`."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from modeldyno.domain.errors import ServiceError
from modeldyno.store.database import Database, make_engine
from modeldyno.store.experiments import ExperimentQueries
from modeldyno.store.hosting import EndpointQueries, FrontQueries
from modeldyno.store.jobs import JobQueries
from modeldyno.store.keys import KeyQueries
from modeldyno.store.leases import LeaseQueries
from modeldyno.store.metrics import MetricQueries
from modeldyno.store.records import RecordQueries
from modeldyno.store.resources import ResourceQueries, TagQueries
from modeldyno.store.scaling import ScalingQueries
from modeldyno.store.schema import ready


class SqlStore(
    ResourceQueries,
    TagQueries,
    JobQueries,
    LeaseQueries,
    RecordQueries,
    EndpointQueries,
    FrontQueries,
    ExperimentQueries,
    MetricQueries,
    ScalingQueries,
    KeyQueries,
):
    """Facts in SQLite or PostgreSQL. Safe to use from many threads and processes at once."""

    def __init__(self, database: Database, installation: str) -> None:
        super().__init__(database)
        self._installation = installation

    @property
    def installation(self) -> str:
        """The id of this installation (made with the schema, never changes)."""
        return self._installation

    def close(self) -> None:
        """Close every connection. The store cannot be used afterwards by other threads' running calls."""
        self._database.close()


def open_store(url: str, *, migrate: bool, now: float, backup_dir: Path | None = None) -> SqlStore:
    """The store at a database URL: ``sqlite:///FILE`` or ``postgresql+psycopg://USER@HOST/NAME``.

    migrate: make a new database, bring an older one to the newest schema (otherwise it must have it). An older SQLite
    file is first copied to ``backup_dir/dyno-REVISION-TIME.sqlite`` (default: beside the file), complete and consistent
    while others use it. PostgreSQL is not backed up: `pg_dump` is its operator's; the upgrade is one transaction there,
    as it is on SQLite. `now`: seconds since the Unix epoch, for the name of the backup. Two processes may open a
    database at once: one migrates, the other waits for it.

    Raises:
        ServiceError: in one line: not Dyno's, of a newer Dyno, older (without `migrate`), or not usable at all.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ServiceError(f"{url!r} is not the URL of a database.") from error
    engine = make_engine(parsed)
    try:
        installation = ready(engine, migrate=migrate, backup_dir=backup_dir, now=now)
    except BaseException:
        engine.dispose()
        raise
    return SqlStore(Database(engine), installation)
