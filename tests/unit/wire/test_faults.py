from __future__ import annotations

import botocore.parsers
import pytest
from botocore.awsrequest import AWSResponse
from botocore.retries.standard import RetryContext, TransientRetryableChecker

from modeldyno.domain import errors
from modeldyno.wire.faults import fault, fault_headers
from modeldyno.wire.service import service

TABLE = [
    (errors.MalformedRequest("text"), "SerializationException"),
    (errors.InvalidRequest("text"), "ValidationException"),
    (errors.UnsupportedRequest("text"), "ValidationException"),
    (errors.UnknownOperation("text"), "UnknownOperationException"),
    (errors.ResourceNotFound("text"), "ResourceNotFound"),
    (errors.ResourceInUse("text"), "ResourceInUse"),
    (errors.Conflict("text"), "ConflictException"),
    (errors.LimitExceeded("text"), "ResourceLimitExceeded"),
    (errors.RequestError("text"), "ValidationException"),
]


def parsed(found, shape=None, headers=None):
    parser = botocore.parsers.create_parser("json")
    return parser.parse({"status_code": found.status, "headers": headers or {}, "body": found.body}, shape)


@pytest.mark.parametrize(("error", "code"), TABLE, ids=lambda value: value if isinstance(value, str) else "")
def test_botocore_reads_code_and_message_of_every_error_from_the_body_alone_and_with_the_headers(error, code):
    found = fault(error, "id")
    assert (found.status, found.code) == (400, code)
    for headers in ({}, {name.lower(): value for name, value in fault_headers(found, "id").items()}):
        assert parsed(found, headers=headers)["Error"] == {"Code": code, "Message": "text"}


def test_every_exception_of_the_model_has_its_place_in_the_table():
    modelled = {name for name, shape in service().shapes.items() if shape.exception}
    assert modelled <= {code for _, code in TABLE}
    assert {code for _, code in TABLE} - modelled == {
        "SerializationException",
        "ValidationException",
        "UnknownOperationException",
    }


def test_several_violations_are_one_message_that_counts_them():
    found = fault(errors.InvalidRequest(["Value a", "Value b"], constraint=True), "id")
    assert found.message == "2 validation errors detected: Value a; Value b"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (errors.StoreFull("Nothing can be stored: the disk is full."), "Nothing can be stored: the disk is full."),
        (errors.StoreUnreachable("secret"), "the database cannot be used now. Its id is 0815"),
    ],
)
def test_a_database_that_cannot_be_used_is_unavailable_and_botocore_tries_again(error, words):
    found = fault(error, "0815")
    assert (found.status, found.code) == (503, "ServiceUnavailable")
    assert words in found.message
    assert "secret" not in found.message
    answer = parsed(found, headers={name.lower(): value for name, value in fault_headers(found, "0815").items()})
    assert answer["Error"] == {"Code": "ServiceUnavailable", "Message": found.message}
    context = RetryContext(1, parsed_response=answer, http_response=AWSResponse("", found.status, {}, None))
    assert TransientRetryableChecker().is_retryable(context)


@pytest.mark.parametrize("error", [RuntimeError("secret"), errors.ServiceError("secret"), KeyError("secret")])
def test_what_is_not_the_caller_s_is_an_internal_failure_that_shows_an_id_and_logs_the_rest(error, caplog):
    found = fault(error, "0815")
    assert (found.status, found.code) == (500, "InternalFailure")
    assert "0815" in found.message
    assert "secret" not in found.message
    assert "0815" in caplog.text
    assert "secret" in caplog.text
