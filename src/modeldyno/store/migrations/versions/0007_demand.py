"""How many servers of serverless variants each front needs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("fronts", sa.Column("demand", sa.Text, nullable=False, server_default="{}"))
