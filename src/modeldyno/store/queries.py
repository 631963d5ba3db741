"""What every group of queries has."""

from __future__ import annotations

from modeldyno.store.database import Database


class Queries:
    """A group of queries over one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
