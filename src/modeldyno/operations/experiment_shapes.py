"""Experiments as Describe and List show them."""

from __future__ import annotations

from collections.abc import Sequence

from modeldyno.domain.endpoint import Endpoint, Server, VariantSpec
from modeldyno.domain.experiment import Experiment, ExperimentStatus
from modeldyno.domain.names import keep_end
from modeldyno.operations.shapes import Shape, name, structs, text

_REASON_CHARACTERS = 1024
"""Source: botocore shape InferenceExperimentStatusReason."""


def reason_of(experiment: Experiment) -> str | None:
    """Why it stands as it does."""
    reason = experiment.status_reason or (experiment.stop.reason if experiment.stop is not None else None)
    return keep_end(reason, _REASON_CHARACTERS) if reason else None


def metadata_shape(experiment: Experiment, endpoint: Endpoint | None) -> Shape:
    """Its endpoint."""
    if endpoint is None:
        return {"EndpointName": experiment.endpoint_name}
    return {
        "EndpointName": endpoint.name,
        "EndpointConfigName": endpoint.fleet.spec.config_name,
        "EndpointStatus": str(endpoint.status),
        "FailureReason": keep_end(endpoint.failure_reason, _REASON_CHARACTERS) if endpoint.failure_reason else None,
    }


def variant_shape(
    experiment: Experiment, variant: VariantSpec, endpoint: Endpoint | None, servers: Sequence[Server]
) -> Shape:
    """One of its variants, and where it stands."""
    shape = next(
        (one for one in _documented(experiment) if name(one, "VariantName") == variant.name),
        {"VariantName": variant.name},
    )
    return {**shape, "Status": _variant_status(experiment, variant, endpoint, servers)}


def _documented(experiment: Experiment) -> list[Shape]:
    return structs(experiment.document, "ModelVariants")


def _variant_status(
    experiment: Experiment, variant: VariantSpec, endpoint: Endpoint | None, servers: Sequence[Server]
) -> str:
    """**Source:** botocore enum ModelVariantStatus; Deleted "can only happen after stopping the experiment"."""
    here = [one for one in servers if one.variant.name == variant.name and one.wanted]
    if experiment.status in (ExperimentStatus.CREATING, ExperimentStatus.CREATED, ExperimentStatus.STARTING):
        return "InService" if here and all(one.serves for one in here) else "Creating"
    stays = endpoint is not None and any(
        one.name == variant.name for fleet in endpoint.fleets for one in fleet.spec.every
    )
    if experiment.status.ended:
        return "InService" if stays else "Deleted"
    if experiment.status is ExperimentStatus.STOPPING:
        after = experiment.stop.after if experiment.stop is not None else None
        kept = after is not None and any(one.name == variant.name for one in after.every)
        return "Updating" if kept else "Deleting"
    return "InService" if here and any(one.serves for one in here) else "Updating"


def summary_shape(experiment: Experiment) -> Shape:
    """As lists show it."""
    return {
        "Name": experiment.name,
        "Type": "ShadowMode",
        "Schedule": {"StartTime": experiment.starts_at, "EndTime": experiment.ends_at},
        "Status": str(experiment.status),
        "StatusReason": reason_of(experiment),
        "Description": text(experiment.document, "Description"),
        "CreationTime": experiment.created_at,
        "CompletionTime": experiment.completed_at,
        "LastModifiedTime": experiment.modified_at,
        "RoleArn": text(experiment.document, "RoleArn"),
    }
