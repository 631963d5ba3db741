"""Where facts are kept: tables, queries, migrations."""

from __future__ import annotations

from modeldyno.store.sql import SqlStore, open_store

__all__ = ["SqlStore", "open_store"]
