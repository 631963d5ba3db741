from __future__ import annotations

import pytest

from modeldyno.domain.errors import InvalidRequest, UnknownOperation
from modeldyno.operations.registry import OPERATIONS
from modeldyno.wire.service import service


def test_an_operation_that_dyno_does_not_do_is_refused_by_name_and_told_where_the_list_is(call):
    for name in set(service().operations) - set(OPERATIONS):
        with pytest.raises(
            UnknownOperation, match=rf"^Dyno does not implement {name} yet; docs/reference/operations\.md"
        ):
            call(name)


def test_an_operation_that_nobody_has_is_refused_by_name(call):
    with pytest.raises(UnknownOperation, match="SageMaker has no operation 'Nonsense'"):
        call("Nonsense")


def test_every_operation_is_held_against_the_service_model_before_it_is_done(call):
    for name in OPERATIONS:
        with pytest.raises(
            InvalidRequest, match=r"validation errors? detected: Unknown member 'Xyzzy'|must not be null"
        ):
            call(name, Xyzzy=1)


def test_an_own_instance_type_of_the_catalogue_passes_and_another_does_not(call, default_job):
    supported = default_job["InputConfig"]["ContainerConfig"]
    call("CreateInferenceRecommendationsJob", **default_job)
    supported["SupportedInstanceTypes"] = ["local.2cpu"]
    assert call("CreateInferenceRecommendationsJob", **default_job | {"JobName": "own"})["JobArn"]
    advanced = default_job | {"JobName": "other", "JobType": "Advanced"}
    advanced["InputConfig"] = advanced["InputConfig"] | {"EndpointConfigurations": [{"InstanceType": "local.3cpu"}]}
    with pytest.raises(InvalidRequest, match=r"Value 'local\.3cpu' at .* enum value set: \[.*, local\.2cpu\]"):
        call("CreateInferenceRecommendationsJob", **advanced)
