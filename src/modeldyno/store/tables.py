"""Every table, as the newest schema has it; the way there is in `migrations`.

Text that lists sort by is compared byte by byte on every database (collation C on PostgreSQL, BINARY on SQLite), so
that a page means the same everywhere. `row` never repeats: it breaks ties in lists. Columns that hold JSON or msgpack
stand last: what lists filter and sort by is read without them.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    false,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

WORD = Text().with_variant(Text(collation="C"), "postgresql")
ROW = BigInteger().with_variant(Integer(), "sqlite")

# One row: which installation this is. Claims lock it, so that there is one claim at a time.
installation = Table(
    "installation",
    metadata,
    Column("id", Text, primary_key=True),
)

resources = Table(
    "resources",
    metadata,
    Column("row", ROW, primary_key=True, autoincrement=True),
    Column("kind", WORD, nullable=False),
    Column("region", WORD, nullable=False),
    Column("name", WORD, nullable=False),
    Column("status", WORD, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("modified_at", Double, nullable=False),
    Column("parent", WORD),
    Column("version", Integer),
    Column("last_version", Integer, nullable=False),
    Column("arn", Text, nullable=False),
    Column("labels", JSON, nullable=False),
    Column("document", Text, nullable=False),
    UniqueConstraint("kind", "region", "name"),
    Index(None, "kind", "region", "created_at", "row"),
    Index(None, "kind", "region", "modified_at", "row"),
    Index(None, "kind", "region", "status", "row"),
    Index(None, "kind", "region", "parent", "version"),
    sqlite_autoincrement=True,
)

# One row an ARN: all its tags change together.
tags = Table(
    "tags",
    metadata,
    Column("arn", Text, primary_key=True),
    Column("tags", Text, nullable=False),
)

jobs = Table(
    "jobs",
    metadata,
    Column("row", ROW, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False, unique=True),
    Column("region", WORD, nullable=False),
    Column("name", WORD, nullable=False),
    Column("status", WORD, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("modified_at", Double, nullable=False),
    Column("started_at", Double),
    Column("completed_at", Double),
    Column("stop_requested", Boolean, nullable=False),
    Column("pruned", Boolean, nullable=False),
    Column("max_parallel", Integer, nullable=False),
    Column("duration_seconds", Integer),
    Column("model_name", WORD),
    Column("model_package_arn", WORD),
    Column("model_key", Text),  # since revision 0005
    Column("arn", Text, nullable=False),
    Column("failure_reason", Text),
    Column("plan_notes", Text, nullable=False),
    Column("spec", Text, nullable=False),
    Column("document", Text, nullable=False),
    Column("run_off", Text),  # since revision 0008
    UniqueConstraint("region", "name"),
    Index(None, "region", "created_at", "row"),
    Index(None, "region", "modified_at", "row"),
    Index(None, "region", "status", "row"),
    Index(None, "region", "model_key", "created_at", "row"),
    Index(None, "status", "created_at", "row"),
    sqlite_autoincrement=True,
)

trials = Table(
    "trials",
    metadata,
    Column("id", Text, primary_key=True),
    Column("job_id", Text, ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("trial_index", Integer, nullable=False),
    Column("status", WORD, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("worker_id", Text),
    Column("lease_expires_at", Double),
    Column("started_at", Double),
    Column("ended_at", Double),
    Column("placement", Text),
    Column("failure_reason", Text),
    Column("spec", Text, nullable=False),
    Column("result", Text),
    Column("log_tail", Text, nullable=False),
    Column("run_off", Boolean, nullable=False, server_default=false()),  # since revision 0008: no configuration
    UniqueConstraint("job_id", "trial_index"),
    Index(None, "worker_id", "status"),
)

windows = Table(
    "windows",
    metadata,
    Column("trial_id", Text, ForeignKey("trials.id", ondelete="CASCADE"), primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("sequence", Integer, primary_key=True),
    Column("window", LargeBinary, nullable=False),
)

log_lines = Table(
    "log_lines",
    metadata,
    Column("row", ROW, primary_key=True, autoincrement=True),
    Column("job_id", Text, ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("trial_index", Integer),
    Column("at", Double, nullable=False),
    Column("message", Text, nullable=False),
    Index(None, "job_id", "row"),
    sqlite_autoincrement=True,
)

# Since revision 0002.
workers = Table(
    "workers",
    metadata,
    Column("id", Text, primary_key=True),
    Column("seen_at", Double, nullable=False),
    Column("lease_expires_at", Double, nullable=False),
    Column("host", Text, nullable=False),
)

# Since revision 0003. One row a hosted model server; the endpoint itself is one of `resources`.
servers = Table(
    "servers",
    metadata,
    Column("id", Text, primary_key=True),
    Column("endpoint_id", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("worker_id", Text),
    Column("lease_expires_at", Double),
    Column("server", Text, nullable=False),
    Index(None, "endpoint_id"),
    Index(None, "worker_id"),
)

# Who answers inference requests, and how new the routes are that it goes by. `busy`: ids of servers it still uses.
fronts = Table(
    "fronts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("routes_version", BigInteger, nullable=False),
    Column("lease_expires_at", Double, nullable=False),
    Column("busy", Text, nullable=False),
    Column("demand", Text, nullable=False, server_default="{}"),
)

# Whole numbers that only grow: `routes` with every change that requests may go by.
counters = Table(
    "counters",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
)

# The story of whatever has an ARN and is no job.
events = Table(
    "events",
    metadata,
    Column("row", ROW, primary_key=True, autoincrement=True),
    Column("arn", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("message", Text, nullable=False),
    Index(None, "arn", "row"),
    sqlite_autoincrement=True,
)

# How requests to an experiment's endpoint ended, by who answered them (one life of one front).
tallies = Table(
    "tallies",
    metadata,
    Column("experiment", Text, primary_key=True),
    Column("front_life", Text, primary_key=True),
    Column("ended", Boolean, nullable=False),
    Column("counts", Text, nullable=False),
)

# What the pairs of an experiment have shown so far, and which spool segments are in it.
evidence = Table(
    "evidence",
    metadata,
    Column("experiment", Text, primary_key=True),
    Column("modified_at", Double, nullable=False),
    Column("evidence", LargeBinary, nullable=False),
)

segments = Table(
    "segments",
    metadata,
    Column("id", Text, primary_key=True),
    Column("taken_at", Double, nullable=False),
)

# Since revision 0004. `secret` is kept as it is: signatures are computed with it.
access_keys = Table(
    "access_keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("secret", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("note", Text, nullable=False),
    Column("revoked_at", Double),
)

# Since revision 0006. What one process saw of a variant in one minute; `values` are by the metric's name.
metric_minutes = Table(
    "metric_minutes",
    metadata,
    Column("region", WORD, primary_key=True),
    Column("endpoint", WORD, primary_key=True),
    Column("variant", WORD, primary_key=True),
    Column("minute", BigInteger, primary_key=True, autoincrement=False),
    Column("source", WORD, primary_key=True),
    Column("values", LargeBinary, nullable=False),
    Index(None, "minute"),
)

# Which metrics there are in `metric_minutes`, so that a list of them need not read it.
metric_series = Table(
    "metric_series",
    metadata,
    Column("region", WORD, primary_key=True),
    Column("endpoint", WORD, primary_key=True),
    Column("variant", WORD, primary_key=True),
    Column("metric", WORD, primary_key=True),
    Column("last_minute", BigInteger, nullable=False),
)

# What scales a variant by itself; `target` has the policies, too.
scalable_targets = Table(
    "scalable_targets",
    metadata,
    Column("region", WORD, primary_key=True),
    Column("endpoint", WORD, primary_key=True),
    Column("variant", WORD, primary_key=True),
    Column("target", Text, nullable=False),
)
