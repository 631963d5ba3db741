"""Nothing of a request is dropped in silence."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from modeldyno.domain.errors import UnsupportedRequest
from modeldyno.operations.registry import OPERATIONS, Standing
from modeldyno.operations.unsupported import (
    ACCEPTED,
    EFFECTLESS,
    PACKAGE_CONTAINER,
    REFUSED,
    missing_of,
    refuse_unsupported,
)
from modeldyno.wire.service import service


def members_of(shape: str, prefix: str = "") -> Iterator[str]:
    """Every member path that a request may have; a subtree that is accepted or refused whole is one."""
    kind = service().shapes[shape]
    if kind.type == "structure":
        for member, ref in kind.members.items():
            yield f"{prefix}{member}"
            inner = service().shapes[ref.shape]
            if inner.type == "list":
                yield from members_of(inner.member.shape, f"{prefix}{member}[].")
            else:
                yield from members_of(ref.shape, f"{prefix}{member}.")


def test_every_member_of_the_service_model_is_honoured_or_refused_knowingly():
    for operation in OPERATIONS:
        shape = service().operations[operation].input.shape
        undecided = [
            path
            for path in members_of(shape)
            if not _listed(path, ACCEPTED[operation]) and not _refused(path, REFUSED.get(operation, {}))
        ]
        assert undecided == [], operation


def test_every_member_of_a_packages_container_is_decided():
    undecided = [
        path
        for path in members_of("ModelPackageContainerDefinition")
        if not _listed(path, ACCEPTED[PACKAGE_CONTAINER]) and not _refused(path, REFUSED[PACKAGE_CONTAINER])
    ]
    assert undecided == []


def test_the_tables_name_only_members_that_exist():
    for operation in OPERATIONS:
        known = set(members_of(service().operations[operation].input.shape))
        named = {path.removesuffix(".*") for path in (*ACCEPTED[operation], *REFUSED.get(operation, {}))}
        assert named | set(EFFECTLESS.get(operation, {})) <= known, operation


def test_a_member_that_nobody_decided_about_is_refused():
    with pytest.raises(UnsupportedRequest, match=r"^InputConfig\.Tomorrow is not supported\.$"):
        refuse_unsupported("CreateInferenceRecommendationsJob", {"InputConfig": {"Tomorrow": 1}})


def test_every_refusal_is_told_together():
    params = {"VpcConfig": {}, "EnableNetworkIsolation": True, "PrimaryContainer": {"Mode": "MultiModel"}}
    with pytest.raises(UnsupportedRequest) as refusal:
        refuse_unsupported("CreateModel", params)
    for told in ("VpcConfig is", "EnableNetworkIsolation True is", "PrimaryContainer.Mode MultiModel is"):
        assert f"{told} not supported" in str(refusal.value)


def test_what_is_missing_is_told_for_the_reference():
    assert OPERATIONS["CreateModel"].standing is Standing.PARTIAL
    assert "VpcConfig" in OPERATIONS["CreateModel"].missing
    assert "NearestModelName (every candidate is measured" in missing_of("CreateInferenceRecommendationsJob")
    assert OPERATIONS["DeleteModel"].standing is Standing.COMPLETE
    assert OPERATIONS["DeleteModel"].missing == ""


def _listed(path: str, accepted: tuple[str, ...]) -> bool:
    whole = [known.removesuffix("*") for known in accepted if known.endswith(".*")]
    return path in accepted or any(f"{path}.".startswith(known) or _inside(path, known) for known in whole)


def _inside(path: str, known: str) -> bool:
    return path.startswith(known.removesuffix(".") + "[]")


def _refused(path: str, refused: dict[str, object]) -> bool:
    return any(path == known or path.startswith((f"{known}.", f"{known}[]")) for known in refused)
