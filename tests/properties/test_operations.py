"""Every operation that is there, driven with valid and with broken input: never a failure of the service's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modeldyno.app.compose import Dyno, open_dyno
from modeldyno.domain.errors import InvalidRequest
from modeldyno.operations.dispatch import call
from modeldyno.operations.registry import OPERATIONS_OF
from modeldyno.settings import Settings
from modeldyno.wire.decode import Call, Protocol
from modeldyno.wire.encode import encode_answer
from modeldyno.wire.faults import fault
from modeldyno.wire.service import Api, operation_shapes
from modeldyno.wire.validate import VIOLATIONS
from tests.properties.shaped import breaches, valid

OPERATIONS = [(api, name) for api, table in OPERATIONS_OF.items() for name in table]
JSON_ONLY, FORM_ONLY = (Protocol.JSON,), (Protocol.QUERY,)
SPOKEN = {Api.STS: FORM_ONLY, Api.IAM: FORM_ONLY, Api.METRICS: tuple(Protocol)}
many = settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)


@pytest.fixture(scope="module")
def dyno(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dyno]:
    opened = open_dyno(Settings(data_dir=str(tmp_path_factory.mktemp("operations"))))
    yield opened
    opened.close()


def asked_of(api: Api, operation: str) -> str | None:
    shape = operation_shapes(operation, api).input
    return None if shape is None else shape.shape


def params_of(data: Any, api: Api, operation: str) -> dict[str, Any]:
    shape = asked_of(api, operation)
    return {} if shape is None else data.draw(valid(api, shape))


@pytest.mark.parametrize(("api", "operation"), OPERATIONS)
@many
@given(data=st.data())
def test_valid_input_is_carried_out_or_refused_for_a_reason_beyond_the_model(
    dyno: Dyno, api: Api, operation: str, data: Any
) -> None:
    params = params_of(data, api, operation)
    result, refusal = carried_out(dyno, api, operation, params)
    if refusal is not None:
        found = fault(refusal, "id", api)
        assert found.status < 500, refusal
        assert found.message
        assert "failed to satisfy constraint" not in found.message
        return
    for protocol in SPOKEN.get(api, JSON_ONLY):
        encode_answer(Call(operation, "us-east-1", params, api, protocol), result, "id")


def carried_out(
    dyno: Dyno, api: Api, operation: str, params: dict[str, Any]
) -> tuple[dict[str, Any] | None, Exception | None]:
    try:
        return call(dyno.context("us-east-1", "key"), operation, params, api), None
    except Exception as error:
        return None, error


@pytest.mark.parametrize(("api", "operation"), OPERATIONS)
@many
@given(data=st.data())
def test_a_broken_rule_is_named_with_its_member(dyno: Dyno, api: Api, operation: str, data: Any) -> None:
    params = params_of(data, api, operation)
    shape = asked_of(api, operation)
    possible = [] if shape is None else list(breaches(api, shape, params))
    if not possible:
        return
    breach = data.draw(st.sampled_from(possible))
    with pytest.raises(InvalidRequest) as refused:
        call(dyno.context("us-east-1", "key"), operation, breach.of(params), api)
    lines = refused.value.violations
    assert len(lines) <= VIOLATIONS
    assert any(f"'{breach.path}" in line for line in lines), (breach.path, lines)
