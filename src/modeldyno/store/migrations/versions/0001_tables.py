"""The tables: resources, tags, jobs, trials, windows, log lines; and who this installation is."""

from __future__ import annotations

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

WORD = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
ROW = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _installation()
    _resources_and_tags()
    _jobs()
    _trials()
    _records()


def _installation() -> None:
    table = op.create_table(
        "installation",
        sa.Column("id", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_installation"),
    )
    op.bulk_insert(table, [{"id": secrets.token_hex(8)}])


def _resources_and_tags() -> None:
    op.create_table(
        "resources",
        sa.Column("row", ROW, primary_key=True, autoincrement=True),
        sa.Column("kind", WORD, nullable=False),
        sa.Column("region", WORD, nullable=False),
        sa.Column("name", WORD, nullable=False),
        sa.Column("status", WORD, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("modified_at", sa.Double, nullable=False),
        sa.Column("parent", WORD),
        sa.Column("version", sa.Integer),
        sa.Column("last_version", sa.Integer, nullable=False),
        sa.Column("arn", sa.Text, nullable=False),
        sa.Column("labels", sa.JSON, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("row", name="pk_resources"),
        sa.UniqueConstraint("kind", "region", "name", name="uq_resources_kind_region_name"),
        sqlite_autoincrement=True,
    )
    for column in ("created_at", "modified_at", "status"):
        op.create_index(f"ix_resources_kind_region_{column}_row", "resources", ["kind", "region", column, "row"])
    columns = ["kind", "region", "parent", "version"]
    op.create_index("ix_resources_kind_region_parent_version", "resources", columns)
    op.create_table(
        "tags",
        sa.Column("arn", sa.Text, nullable=False),
        sa.Column("tags", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("arn", name="pk_tags"),
    )


def _jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("row", ROW, primary_key=True, autoincrement=True),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("region", WORD, nullable=False),
        sa.Column("name", WORD, nullable=False),
        sa.Column("status", WORD, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("modified_at", sa.Double, nullable=False),
        sa.Column("started_at", sa.Double),
        sa.Column("completed_at", sa.Double),
        sa.Column("stop_requested", sa.Boolean, nullable=False),
        sa.Column("pruned", sa.Boolean, nullable=False),
        sa.Column("max_parallel", sa.Integer, nullable=False),
        sa.Column("duration_seconds", sa.Integer),
        sa.Column("model_name", WORD),
        sa.Column("model_package_arn", WORD),
        sa.Column("arn", sa.Text, nullable=False),
        sa.Column("failure_reason", sa.Text),
        sa.Column("plan_notes", sa.Text, nullable=False),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("row", name="pk_jobs"),
        sa.UniqueConstraint("id", name="uq_jobs_id"),
        sa.UniqueConstraint("region", "name", name="uq_jobs_region_name"),
        sqlite_autoincrement=True,
    )
    for column in ("created_at", "modified_at", "status"):
        op.create_index(f"ix_jobs_region_{column}_row", "jobs", ["region", column, "row"])
    op.create_index("ix_jobs_status_created_at_row", "jobs", ["status", "created_at", "row"])


def _trials() -> None:
    op.create_table(
        "trials",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("job_id", sa.Text, nullable=False),
        sa.Column("trial_index", sa.Integer, nullable=False),
        sa.Column("status", WORD, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("worker_id", sa.Text),
        sa.Column("lease_expires_at", sa.Double),
        sa.Column("started_at", sa.Double),
        sa.Column("ended_at", sa.Double),
        sa.Column("placement", sa.Text),
        sa.Column("failure_reason", sa.Text),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("result", sa.Text),
        sa.Column("log_tail", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_trials"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_trials_job_id", ondelete="CASCADE"),
        sa.UniqueConstraint("job_id", "trial_index", name="uq_trials_job_id_trial_index"),
    )
    op.create_index("ix_trials_worker_id_status", "trials", ["worker_id", "status"])


def _records() -> None:
    op.create_table(
        "windows",
        sa.Column("trial_id", sa.Text, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("sequence", sa.Integer, nullable=False),
        sa.Column("window", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("trial_id", "attempt", "sequence", name="pk_windows"),
        sa.ForeignKeyConstraint(["trial_id"], ["trials.id"], name="fk_windows_trial_id", ondelete="CASCADE"),
    )
    op.create_table(
        "log_lines",
        sa.Column("row", ROW, primary_key=True, autoincrement=True),
        sa.Column("job_id", sa.Text, nullable=False),
        sa.Column("trial_index", sa.Integer),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("row", name="pk_log_lines"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_log_lines_job_id", ondelete="CASCADE"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_log_lines_job_id_row", "log_lines", ["job_id", "row"])
