"""Hosted servers, the fronts that route to them, and what an experiment has shown."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ROW = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _servers()
    _routes()
    _events()
    _experiments()


def _servers() -> None:
    op.create_table(
        "servers",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("endpoint_id", sa.Text, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("worker_id", sa.Text),
        sa.Column("lease_expires_at", sa.Double),
        sa.Column("server", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_servers"),
    )
    op.create_index("ix_servers_endpoint_id", "servers", ["endpoint_id"])
    op.create_index("ix_servers_worker_id", "servers", ["worker_id"])


def _routes() -> None:
    op.create_table(
        "fronts",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("routes_version", sa.BigInteger, nullable=False),
        sa.Column("lease_expires_at", sa.Double, nullable=False),
        sa.Column("busy", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_fronts"),
    )
    table = op.create_table(
        "counters",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("value", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_counters"),
    )
    op.bulk_insert(table, [{"name": "routes", "value": 0}])


def _events() -> None:
    op.create_table(
        "events",
        sa.Column("row", ROW, primary_key=True, autoincrement=True),
        sa.Column("arn", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("row", name="pk_events"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_events_arn_row", "events", ["arn", "row"])


def _experiments() -> None:
    op.create_table(
        "tallies",
        sa.Column("experiment", sa.Text, nullable=False),
        sa.Column("front_life", sa.Text, nullable=False),
        sa.Column("ended", sa.Boolean, nullable=False),
        sa.Column("counts", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("experiment", "front_life", name="pk_tallies"),
    )
    op.create_table(
        "evidence",
        sa.Column("experiment", sa.Text, nullable=False),
        sa.Column("modified_at", sa.Double, nullable=False),
        sa.Column("evidence", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("experiment", name="pk_evidence"),
    )
    op.create_table(
        "segments",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("taken_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_segments"),
    )
