"""Connections, transactions, and when to try one again."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, Insert, Table, create_engine, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from modeldyno.domain.errors import ServiceError, StoreFull, StoreUnreachable

T = TypeVar("T")

# A restart of PostgreSQL takes seconds; half a minute is beyond any, and short enough to tell a person.
PATIENCE_SECONDS = 30.0
_FIRST_PAUSE_SECONDS = 0.02
_LONGEST_PAUSE_SECONDS = 1.0
_SQLITE_BUSY_MS = 10_000

# SQLSTATE: disk full; serialization failure, deadlock, the server shuts down or starts up, too many connections.
# Source: PostgreSQL manual, appendix A.
_FULL_STATE = "53100"
_PASSING_STATES = frozenset({"40001", "40P01", "57P01", "57P02", "57P03", "53300"})


class Database:
    """An engine, and two ways to use it. Safe to use from many threads."""

    def __init__(self, engine: Engine, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self.engine = engine
        self.is_sqlite = engine.dialect.name == "sqlite"
        self._patience_seconds = patience_seconds
        # One SELECT needs no transaction around it; SQLite connections have none unless `_writer` opens one.
        self._reader = engine if self.is_sqlite else engine.execution_options(isolation_level="AUTOCOMMIT")
        self._writer = engine.execution_options(dyno_write=True)
        # SQLite has one writer at a time: threads of this process queue here, fairly, and not in its busy handler.
        self._turn: AbstractContextManager[object] = threading.Lock() if self.is_sqlite else nullcontext()

    def read(self, work: Callable[[Connection], T]) -> T:
        """The answer of `work`, which runs one SELECT. May be called again after a lost connection."""

        def once() -> T:
            with self._reader.connect() as connection:
                return work(connection)

        return self._patiently(once)

    def write(self, work: Callable[[Connection], T], landed: Callable[[Connection], T | None] | None = None) -> T:
        """The answer of `work`, run in one transaction; the whole of it is repeated when the database could not do it.

        When the connection is lost in the very COMMIT, nobody knows whether it counted: the next try first asks
        `landed`, which gives the answer when it did, else None.
        """
        doubtful = False

        def once() -> T:
            nonlocal doubtful
            with self._turn, self._writer.connect() as connection, connection.begin() as transaction:
                if doubtful and landed is not None and (answer := landed(connection)) is not None:
                    return answer
                doubtful = False
                result = work(connection)
                doubtful = True
                transaction.commit()
                return result

        return self._patiently(once)

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    def _patiently(self, once: Callable[[], T]) -> T:
        give_up_at: float | None = None
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                return once()
            except (DBAPIError, PoolTimeout, sqlite3.OperationalError) as error:
                now = time.monotonic()
                give_up_at = now + self._patience_seconds if give_up_at is None else give_up_at
                if _is_full(error):
                    raise StoreFull(_FULL) from error
                if not _passing(error):
                    if isinstance(error, OperationalError | sqlite3.OperationalError):
                        raise StoreUnreachable(f"The database failed: {reason(error)}.") from error
                    raise
                if now >= give_up_at:
                    raise StoreUnreachable(f"The database cannot be used: {reason(error)}.") from error
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)


_FULL = "Nothing can be stored: the disk of the database is full. What is stored is kept; make room, and try again."
# SQLite's write-ahead log has an index in shared memory, a file of its own, which may be what there is no room for.
_SQLITE_FULL = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE})


def _is_full(error: Exception) -> bool:
    """Whether there is no room: trying again helps once somebody has made some, and not before."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, sqlite3.Error):
        return getattr(cause, "sqlite_errorcode", 0) in _SQLITE_FULL
    return getattr(cause, "sqlstate", None) == _FULL_STATE


def _passing(error: Exception) -> bool:
    """Whether trying the whole transaction again may help."""
    if isinstance(error, PoolTimeout):
        return False
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, sqlite3.Error):
        primary = getattr(cause, "sqlite_errorcode", 0) & 0xFF
        return primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    state = getattr(cause, "sqlstate", None)
    if state is None:  # nobody answered at all
        return isinstance(error, OperationalError)
    return state in _PASSING_STATES or state.startswith("08")


def reason(error: BaseException) -> str:
    """What a driver says, on one line, without a full stop."""
    cause = getattr(error, "orig", None) or error
    lines = str(cause).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(cause).__name__


def insert_into(connection: Connection, table: Table) -> Any:
    """An INSERT with ``on_conflict_do_nothing`` and ``on_conflict_do_update``, which both databases spell alike."""
    make: Callable[[Table], Insert] = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    return make(table)


def make_engine(url: URL) -> Engine:
    """An engine for ``sqlite:///FILE`` or ``postgresql+psycopg://...``.

    SQLite runs with a write-ahead log and synchronous=NORMAL: what was committed survives the death of any process at
    any moment (a power cut may take the last commits, never the file). Source: sqlite.org/wal.html, "Performance
    Considerations".

    Raises:
        ServiceError: another kind of database, or its driver is not installed.
    """
    if url.get_backend_name() == "sqlite":
        if not url.database or url.database == ":memory:" or "mode" in url.query:
            raise ServiceError("A database in memory cannot be shared between processes; give sqlite:///FILE.")
        engine = create_engine(url, pool_size=8, max_overflow=56, pool_timeout=PATIENCE_SECONDS)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    if url.drivername not in ("postgresql", "postgresql+psycopg"):
        raise ServiceError(f"Dyno keeps its facts in sqlite or postgresql+psycopg, not in {url.drivername}.")
    try:
        return create_engine(
            url.set(drivername="postgresql+psycopg"),
            pool_pre_ping=True,
            pool_size=8,
            max_overflow=24,
            connect_args={
                "connect_timeout": 5,
                "keepalives_idle": 10,
                "keepalives_interval": 3,
                "keepalives_count": 3,
                "application_name": "dyno",
            },
        )
    except ModuleNotFoundError as error:
        raise ServiceError("PostgreSQL needs the driver psycopg: pip install 'modeldyno[postgres]'.") from error


def _prepare_sqlite(connection: sqlite3.Connection, record: object) -> None:
    connection.isolation_level = None  # `_begin_sqlite` says when a transaction begins, not the driver
    connection.execute(f"PRAGMA busy_timeout = {_SQLITE_BUSY_MS}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA foreign_keys = ON")


def _begin_sqlite(connection: Connection) -> None:
    """Take the write lock first: a reader that turns writer half-way would fail at once instead of waiting."""
    if connection.get_execution_options().get("dyno_write"):
        connection.exec_driver_sql("BEGIN IMMEDIATE")
