"""Nothing of a request is dropped in silence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from modeldyno.domain.errors import UnsupportedRequest
from modeldyno.operations.dispatch import call
from modeldyno.operations.registry import OPERATIONS, OPERATIONS_OF, Standing
from modeldyno.operations.unsupported import (
    ACCEPTED,
    EFFECTLESS,
    PACKAGE_CONTAINER,
    REFUSED,
    missing_of,
    refuse_unsupported,
)
from modeldyno.wire.service import Api, service
from tests.requests import IMAGE, ROLE

# Operations that have tables: IAM's and STS's take one member or none.
TABLED = [(api, name) for api, done in OPERATIONS_OF.items() if api not in (Api.IAM, Api.STS) for name in done]


def members_of(shape: str, prefix: str = "", api: Api = Api.SAGEMAKER, above: tuple[str, ...] = ()) -> Iterator[str]:
    """Every member path that a request may have; a subtree that is accepted or refused whole is one. A shape that holds
    itself is opened once."""
    kind = service(api).shapes[shape]
    if kind.type == "structure" and shape not in above:
        for member, ref in kind.members.items():
            yield f"{prefix}{member}"
            inner = service(api).shapes[ref.shape]
            if inner.type == "list":
                yield from members_of(inner.member.shape, f"{prefix}{member}[].", api, (*above, shape))
            else:
                yield from members_of(ref.shape, f"{prefix}{member}.", api, (*above, shape))


def test_every_member_of_the_service_models_is_honoured_or_refused_knowingly():
    for api, operation in TABLED:
        shape = service(api).operations[operation].input.shape
        undecided = [
            path
            for path in members_of(shape, api=api)
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
    for api, operation in TABLED:
        known = set(members_of(service(api).operations[operation].input.shape, api=api))
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


PROTECTION = {
    "CreateModel": {
        "VpcConfig": {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]},
        "EnableNetworkIsolation": True,
    },
    "CreateEndpointConfig": {"KmsKeyId": "key", "DataCaptureConfig": {"KmsKeyId": "key"}},
    "CreateInferenceExperiment": {"KmsKey": "key", "DataStorageConfig": {"KmsKey": "key"}},
    "CreateInferenceRecommendationsJob": {"OutputConfig": {"KmsKeyId": "key"}, "InputConfig": {"VolumeKmsKeyId": "k"}},
}


@pytest.mark.parametrize("operation", PROTECTION)
def test_protection_that_there_is_not_is_refused_with_the_setting_that_accepts_it(operation):
    with pytest.raises(UnsupportedRequest, match=r"accept_unenforced = true under \[security\]") as refused:
        refuse_unsupported(operation, PROTECTION[operation])
    assert str(refused.value).count("is not supported") == 2
    refuse_unsupported(operation, PROTECTION[operation], unenforced=True)


def test_the_setting_lets_nothing_else_pass():
    request = {"VpcConfig": {"Subnets": ["s"]}, "PrimaryContainer": {"MultiModelConfig": {"ModelCacheSetting": "x"}}}
    with pytest.raises(UnsupportedRequest) as refused:
        refuse_unsupported("CreateModel", request, unenforced=True)
    assert "MultiModelConfig" in str(refused.value)
    assert "VpcConfig" not in str(refused.value)


def test_what_passed_is_told_again_as_it_was_asked(context, model):
    lenient = replace(context, accept_unenforced=True)
    vpc = {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]}
    container = {"Image": IMAGE, "ModelDataUrl": "s3://bucket/model.tar.gz"}
    asked = {"PrimaryContainer": container, "VpcConfig": vpc, "EnableNetworkIsolation": True}
    call(lenient, "CreateModel", {"ModelName": "guarded", "ExecutionRoleArn": ROLE, **asked})
    told = call(lenient, "DescribeModel", {"ModelName": "guarded"})
    assert (told["VpcConfig"], told["EnableNetworkIsolation"]) == (vpc, True)
