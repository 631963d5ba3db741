"""Metrics of endpoints by the minute, and what scales by them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

WORD = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "metric_minutes",
        sa.Column("region", WORD, nullable=False),
        sa.Column("endpoint", WORD, nullable=False),
        sa.Column("variant", WORD, nullable=False),
        sa.Column("minute", sa.BigInteger, nullable=False),
        sa.Column("source", WORD, nullable=False),
        sa.Column("values", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("region", "endpoint", "variant", "minute", "source", name="pk_metric_minutes"),
    )
    op.create_index("ix_metric_minutes_minute", "metric_minutes", ["minute"])
    op.create_table(
        "metric_series",
        sa.Column("region", WORD, nullable=False),
        sa.Column("endpoint", WORD, nullable=False),
        sa.Column("variant", WORD, nullable=False),
        sa.Column("metric", WORD, nullable=False),
        sa.Column("last_minute", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("region", "endpoint", "variant", "metric", name="pk_metric_series"),
    )
    op.create_table(
        "scalable_targets",
        sa.Column("region", WORD, nullable=False),
        sa.Column("endpoint", WORD, nullable=False),
        sa.Column("variant", WORD, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("region", "endpoint", "variant", name="pk_scalable_targets"),
    )
