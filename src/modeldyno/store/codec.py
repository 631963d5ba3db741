"""Rows to domain values and back."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec
from sqlalchemy import Row

from modeldyno.domain.endpoint import Endpoint, Server
from modeldyno.domain.evidence import Evidence
from modeldyno.domain.experiment import Experiment
from modeldyno.domain.job import Job, JobSpec, JobStatus
from modeldyno.domain.measurement import Window
from modeldyno.domain.metric import Values
from modeldyno.domain.resource import Kind, Resource
from modeldyno.domain.run_off import RunOff
from modeldyno.domain.target_tracking import ScalableTarget
from modeldyno.domain.trial import Placement, Trial, TrialResult, TrialSpec, TrialStatus
from modeldyno.store.tables import jobs

_spec = msgspec.json.Decoder(JobSpec)
_document = msgspec.json.Decoder(dict[str, object])
_notes = msgspec.json.Decoder(tuple[str, ...])
_tags = msgspec.json.Decoder(dict[str, str])
_trial_spec = msgspec.json.Decoder(TrialSpec)
_placement = msgspec.json.Decoder(Placement)
_run_off = msgspec.json.Decoder(RunOff)
_result = msgspec.json.Decoder(TrialResult)
_endpoint = msgspec.json.Decoder(Endpoint)
_experiment = msgspec.json.Decoder(Experiment)
_server = msgspec.json.Decoder(Server)
_scalable = msgspec.json.Decoder(ScalableTarget)
_counts = msgspec.json.Decoder(dict[str, int])
_evidence = msgspec.msgpack.Decoder(Evidence)
_window = msgspec.msgpack.Decoder(Window)
_values = msgspec.msgpack.Decoder(dict[str, tuple[int, int, int, int, list[int]]])
_JOB_COLUMNS = tuple(jobs.c.keys())


def json_text(value: object) -> str:
    """A value as JSON text."""
    return msgspec.json.encode(value).decode()


def plain(text: str) -> str:
    """A model's output as text every database takes: no NUL, no lone surrogate."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def plain_or_none(text: str | None) -> str | None:
    """`plain`, where there is a text."""
    return None if text is None else plain(text)


def tags_of(text: str | None) -> dict[str, str]:
    """Tags sorted by key."""
    return dict(sorted(_tags.decode(text).items())) if text else {}


def resource_of(row: Row[Any]) -> Resource:
    """A row of `resources`."""
    return Resource(
        kind=Kind(row.kind),
        region=row.region,
        name=row.name,
        arn=row.arn,
        status=row.status,
        created_at=row.created_at,
        modified_at=row.modified_at,
        document=_document.decode(row.document),
        parent=row.parent,
        version=row.version,
        labels=dict(row.labels),
    )


def resource_values(resource: Resource) -> dict[str, object]:
    """The columns of a resource."""
    return {
        "kind": resource.kind.value,
        "region": resource.region,
        "name": resource.name,
        "arn": resource.arn,
        "status": resource.status,
        "created_at": resource.created_at,
        "modified_at": resource.modified_at,
        "parent": resource.parent,
        "version": resource.version,
        "labels": resource.labels,
        "document": json_text(resource.document),
    }


def job_of(row: Row[Any]) -> Job:
    """A row of `jobs`, whole and in the table's order (read by place, which is faster than by name: lists are long)."""
    of = dict(zip(_JOB_COLUMNS, row, strict=True))
    return Job(
        id=of["id"],
        region=of["region"],
        name=of["name"],
        arn=of["arn"],
        status=JobStatus(of["status"]),
        spec=_spec.decode(of["spec"]),
        document=_document.decode(of["document"]),
        created_at=of["created_at"],
        modified_at=of["modified_at"],
        completed_at=of["completed_at"],
        stop_requested=of["stop_requested"],
        failure_reason=of["failure_reason"],
        plan_notes=_notes.decode(of["plan_notes"]),
        started_at=of["started_at"],
        run_off=_run_off.decode(of["run_off"]) if of["run_off"] is not None else None,
    )


def job_values(job: Job) -> dict[str, object]:
    """The columns of a job."""
    return {
        "id": job.id,
        "region": job.region,
        "name": job.name,
        "arn": job.arn,
        "status": job.status.value,
        "created_at": job.created_at,
        "modified_at": job.modified_at,
        "started_at": job.started_at,
        "completed_at": job.completed_at,
        "stop_requested": job.stop_requested,
        "pruned": False,
        "max_parallel": job.spec.max_parallel,
        "duration_seconds": job.spec.duration_seconds,
        "model_name": job.spec.model.model_name,
        "model_package_arn": job.spec.model.model_package_arn,
        "model_key": job.spec.model.key,
        "failure_reason": plain_or_none(job.failure_reason),
        "plan_notes": json_text(job.plan_notes),
        "spec": json_text(job.spec),
        "document": json_text(job.document),
        "run_off": json_text(job.run_off) if job.run_off is not None else None,
    }


def trial_of(row: Row[Any]) -> Trial:
    """A row of `trials`."""
    return Trial(
        id=row.id,
        job_id=row.job_id,
        spec=_trial_spec.decode(row.spec),
        status=TrialStatus(row.status),
        attempt=row.attempt,
        worker_id=row.worker_id,
        lease_expires_at=row.lease_expires_at,
        placement=placement_of(row.placement),
        started_at=row.started_at,
        ended_at=row.ended_at,
        result=_result.decode(row.result) if row.result is not None else None,
        failure_reason=row.failure_reason,
        log_tail=row.log_tail,
    )


def placement_of(text: str | None) -> Placement | None:
    """A stored placement."""
    return _placement.decode(text) if text is not None else None


def window_bytes(window: Window) -> bytes:
    """A window, compactly: its histogram has integer keys, which JSON has not."""
    return msgspec.msgpack.encode(window)


def window_of(data: bytes) -> Window:
    """A stored window."""
    return _window.decode(data)


def endpoint_of(row: Row[Any]) -> Endpoint:
    """A row of `resources` that is an endpoint."""
    return _endpoint.decode(row.document)


def endpoint_values(endpoint: Endpoint) -> dict[str, object]:
    """The columns of an endpoint; lists filter and sort by them."""
    return _state_values(Kind.ENDPOINT, endpoint)


def experiment_of(row: Row[Any]) -> Experiment:
    """A row of `resources` that is an experiment."""
    return _experiment.decode(row.document)


def experiment_values(experiment: Experiment) -> dict[str, object]:
    """The columns of an experiment; lists filter and sort by them."""
    return _state_values(Kind.EXPERIMENT, experiment)


def _state_values(kind: Kind, state: Endpoint | Experiment) -> dict[str, object]:
    return {
        "kind": kind.value,
        "region": state.region,
        "name": state.name,
        "arn": state.arn,
        "status": state.status.value,
        "created_at": state.created_at,
        "modified_at": state.modified_at,
        "parent": None,
        "version": None,
        "labels": {},
        "document": json_text(state),
    }


def server_of(row: Row[Any]) -> Server:
    """A row of `servers`. What claims and leases compare stands in columns; they are the truth."""
    server = _server.decode(row.server)
    return replace(server, attempt=row.attempt, worker_id=row.worker_id, lease_expires_at=row.lease_expires_at)


def server_values(server: Server) -> dict[str, object]:
    """The columns of a server, but for its id."""
    return {
        "endpoint_id": server.endpoint_id,
        "attempt": server.attempt,
        "worker_id": server.worker_id,
        "lease_expires_at": server.lease_expires_at,
        "server": plain(json_text(server)),
    }


def counts_of(text: str) -> dict[str, int]:
    """Stored counts."""
    return _counts.decode(text)


def evidence_of(data: bytes | None) -> Evidence | None:
    """Stored evidence; None where there is none yet."""
    return _evidence.decode(data) if data else None


def evidence_bytes(evidence: Evidence) -> bytes:
    """Evidence, compactly: its histograms have integer keys, which JSON has not."""
    return msgspec.msgpack.encode(evidence)


def values_bytes(values: Mapping[str, Values]) -> bytes:
    """Values of metrics by name, compactly: of each bucket how far it is from the one before, and its count."""
    plainly = {
        name: (one.count, one.total, one.least, one.greatest, _steps(one.counts)) for name, one in values.items()
    }
    return zlib.compress(msgspec.msgpack.encode(plainly))


def values_of(data: bytes, name: str) -> Values | None:
    """The values of one metric among these; None: there are none."""
    found = _values.decode(zlib.decompress(data)).get(name)
    if found is None:
        return None
    count, total, least, greatest, steps = found
    buckets = itertools.accumulate(steps[::2])
    return Values(count, total, least, greatest, dict(zip(buckets, steps[1::2], strict=True)))


def _steps(counts: dict[int, int]) -> list[int]:
    steps, before = [], 0
    for bucket in sorted(counts):
        steps += [bucket - before, counts[bucket]]
        before = bucket
    return steps


def scalable_target_of(text: str) -> ScalableTarget:
    """A row of `scalable_targets`; it is written by `json_text`."""
    return _scalable.decode(text)
