"""What went wrong, as AWS says it: a table from the error tree to codes and HTTP statuses."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import msgspec

from modeldyno.domain.errors import (
    Conflict,
    InvalidRequest,
    LimitExceeded,
    MalformedRequest,
    RequestError,
    ResourceInUse,
    ResourceNotFound,
    StoreFull,
    StoreUnreachable,
    UnknownOperation,
    UnsupportedRequest,
)

CONTENT_TYPE = "application/x-amz-json-1.1"

_log = logging.getLogger(__name__)

# Everything that is the caller's to put right is HTTP 400: the model's four exceptions have no status of their own, and
# SageMaker answers the common errors (ValidationException, ...) with 400 too. No client retries a 400.
# An operation that is not here has AWS's own code for that, whether AWS has it or not: boto3 raises a ClientError with
# the message, and callers that probe for a feature already know the code. A field that is not here is a
# ValidationException, as AWS has it for values that it does not take.
# Source: botocore, SageMaker service model, errors; AWS "Common Errors"; developer guide, troubleshooting.
CODES: dict[type[RequestError], str] = {
    MalformedRequest: "SerializationException",
    InvalidRequest: "ValidationException",
    UnknownOperation: "UnknownOperationException",
    UnsupportedRequest: "ValidationException",
    ResourceNotFound: "ResourceNotFound",
    ResourceInUse: "ResourceInUse",
    Conflict: "ConflictException",
    LimitExceeded: "ResourceLimitExceeded",
    RequestError: "ValidationException",
}
# Exceptions of the model spell their member "Message"; the common errors, which it does not have, say "message".
_UNAVAILABLE = "ServiceUnavailable"  # Source: AWS "Common Errors", "a temporary failure of the server", 503
_MODELLED = frozenset({"ResourceNotFound", "ResourceInUse", "ConflictException", "ResourceLimitExceeded"})


@dataclass(frozen=True, slots=True)
class Fault:
    """An answer that is an error."""

    code: str
    status: int
    message: str

    @property
    def body(self) -> bytes:
        """``{"__type": code, "message": text}``, as JSON 1.1 has it."""
        name = "Message" if self.code in _MODELLED else "message"
        return msgspec.json.encode({"__type": self.code, name: self.message})


def fault(error: Exception, request_id: str) -> Fault:
    """The answer to any error. What is not the caller's is logged with its traceback, and shown by its id only.

    That the database cannot be used is said in words, with 503: nothing was changed, and clients try again by
    themselves.
    """
    if isinstance(error, RequestError):
        code = next(CODES[kind] for kind in type(error).__mro__ if kind in CODES)
        return Fault(code, 400, str(error))
    _log.error("request %s failed", request_id, exc_info=error)
    where = f"Its id is {request_id}; the service's log has the reason under it."
    if isinstance(error, StoreFull):
        return Fault(_UNAVAILABLE, 503, str(error))
    if isinstance(error, StoreUnreachable):
        return Fault(_UNAVAILABLE, 503, f"The request was not carried out: the database cannot be used now. {where}")
    return Fault("InternalFailure", 500, f"The request failed inside Dyno. {where}")


def fault_headers(fault: Fault, request_id: str) -> dict[str, str]:
    """The headers that go with it. Both carriers of the code are there: botocore reads the header first."""
    return answer_headers(request_id) | {"x-amzn-ErrorType": fault.code}


def answer_headers(request_id: str) -> dict[str, str]:
    """The headers of every answer of the control plane."""
    return {"Content-Type": CONTENT_TYPE, "x-amzn-RequestId": request_id}
