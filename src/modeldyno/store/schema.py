"""Which schema a database has, and how it gets the newest."""

from __future__ import annotations

import os
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, select, text
from sqlalchemy.exc import DBAPIError

from modeldyno.domain.errors import ServiceError
from modeldyno.store.database import Database, reason
from modeldyno.store.tables import installation, metadata

# Every revision in `migrations/versions`, oldest first. Kept here too, so that opening a database that is up to date
# need not load alembic.
REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008")
NEWEST = REVISIONS[-1]
VERSION_TABLE = "dyno_schema"

# At the start a person waits for an answer: long enough for another process's migration, short for a wrong host name.
_PATIENCE_SECONDS = 5.0
# "dyno" in ASCII: the advisory lock that keeps two processes from migrating one PostgreSQL at once.
_MIGRATION_LOCK = 0x64796E6F


def ready(engine: Engine, *, migrate: bool, backup_dir: Path | None, now: float) -> str:
    """Make sure that the database has the newest schema; the installation's id.

    Raises:
        ServiceError: it has not, and may not or cannot get it.
    """
    file = _file(engine)
    if file is not None:
        _check_file(file, migrate)
    database = Database(engine, _PATIENCE_SECONDS)
    try:
        if database.read(_revision) != NEWEST:
            database.write(lambda connection: _bring_up(connection, migrate, file, backup_dir, now))
        return str(database.read(lambda connection: connection.execute(select(installation.c.id)).scalar_one()))
    except (ServiceError, DBAPIError, sqlite3.Error, OSError) as error:
        if isinstance(error, ServiceError) and error.__cause__ is None:
            raise
        cause = error.__cause__ if isinstance(error, ServiceError) else error
        where = engine.url.render_as_string(hide_password=True) if file is None else str(file)
        raise ServiceError(f"Cannot use the database {where}: {reason(cause or error)}.") from error


def _file(engine: Engine) -> Path | None:
    return Path(engine.url.database or "") if engine.dialect.name == "sqlite" else None


def _check_file(file: Path, migrate: bool) -> None:
    if not file.exists() and not migrate:
        raise ServiceError(f"There is no database {file} yet; run `dyno up` once.")
    if not file.parent.is_dir():
        raise ServiceError(f"There is no directory {file.parent} for the database {file.name}.")


def _revision(connection: Connection) -> str | None:
    """The schema's revision; None for a database that is not Dyno's yet."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    revision: str | None = connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}"))
    return revision


def _bring_up(connection: Connection, migrate: bool, file: Path | None, backup_dir: Path | None, now: float) -> None:
    """In one transaction that holds the write lock: look again, back up, upgrade."""
    if file is None:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
    revision = _revision(connection)
    _refuse_strange(connection, revision, "database" if file is None else "data directory")
    if revision == NEWEST:
        return
    if not migrate:
        state = "empty" if revision is None else f"of an older Dyno (schema {revision})"
        raise ServiceError(f"The database is {state}; run `dyno up` once to bring it to schema {NEWEST}.")
    if file is not None and revision is not None:
        _back_up(file, backup_dir or file.parent, revision, now)
    _upgrade(connection)


def _refuse_strange(connection: Connection, revision: str | None, place: str) -> None:
    if revision is not None and revision not in REVISIONS:
        raise ServiceError(
            f"The {place} was written by a newer Dyno (schema {revision}); this Dyno knows up to {NEWEST}."
        )
    if revision is None and (foreign := set(inspect(connection).get_table_names()) & set(metadata.tables)):
        raise ServiceError(f"The database has tables that are not Dyno's: {', '.join(sorted(foreign))}.")


def _back_up(file: Path, folder: Path, revision: str, now: float) -> None:
    """Copy the file as it was before this transaction; complete, or not there."""
    folder.mkdir(parents=True, exist_ok=True)
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    target = folder / f"dyno-{revision}-{stamp}.sqlite"
    partial = target.with_suffix(f".{os.getpid()}.partial")
    source, copy = sqlite3.connect(file), sqlite3.connect(partial)
    try:
        source.backup(copy)
    finally:
        copy.close()
        source.close()
    partial.replace(target)


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    command.upgrade(config, "head")
