"""The run-off of a job's leaders: a row among its trials, and how it ended."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("run_off", sa.Text))
    op.add_column("trials", sa.Column("run_off", sa.Boolean, nullable=False, server_default=sa.false()))
