"""How alembic runs a migration: over the connection, and in the transaction, that `schema` hands in."""

from __future__ import annotations

from alembic import context

from modeldyno.store.schema import VERSION_TABLE
from modeldyno.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
)
context.run_migrations()
