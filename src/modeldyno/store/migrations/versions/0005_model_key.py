"""What a job measured, so that the jobs of one model are found whatever it was called."""

from __future__ import annotations

import hashlib
import json

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("model_key", sa.Text))
    op.create_index("ix_jobs_region_model_key_created_at_row", "jobs", ["region", "model_key", "created_at", "row"])
    jobs = sa.table("jobs", sa.column("row"), sa.column("spec"), sa.column("model_key"))
    connection = op.get_bind()
    for row, spec in connection.execute(sa.select(jobs.c.row, jobs.c.spec)).all():
        connection.execute(sa.update(jobs).where(jobs.c.row == row).values(model_key=_key(json.loads(spec)["model"])))


def _key(model: dict[str, object]) -> str:
    """As `domain.model.ModelSource.key` was when this revision was made."""
    named = None if model["image"] else [model.get("framework"), model.get("framework_version")]
    told = [model["image"], model["model_data_url"], model.get("environment", {}), named]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
