"""What went wrong, as AWS says it: a table from the error tree to codes and HTTP statuses, service by service."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import msgspec

from modeldyno.domain.errors import (
    AccessProblem,
    AccessRefused,
    Conflict,
    InvalidCombination,
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
from modeldyno.wire.decode import Protocol
from modeldyno.wire.service import Api, service

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
# What other services call the same. Source: botocore, the errors of each service model; their API references, "Common
# Errors". Those that are not here are as SageMaker's.
_CODES_OF: dict[Api, dict[type[RequestError], str]] = {
    Api.LOGS: {
        InvalidRequest: "InvalidParameterException",
        UnsupportedRequest: "InvalidParameterException",
        ResourceNotFound: "ResourceNotFoundException",
        ResourceInUse: "ResourceAlreadyExistsException",
        LimitExceeded: "LimitExceededException",
    },
    Api.METRICS: {
        InvalidRequest: "InvalidParameterValue",
        InvalidCombination: "InvalidParameterCombination",
        UnsupportedRequest: "InvalidParameterValue",
        ResourceNotFound: "ResourceNotFoundException",
    },
    Api.SCALING: {
        ResourceNotFound: "ObjectNotFoundException",
        Conflict: "ConcurrentUpdateException",
        LimitExceeded: "LimitExceededException",
    },
    Api.STS: {
        MalformedRequest: "MalformedInput",
        InvalidRequest: "ValidationError",
        UnsupportedRequest: "ValidationError",
        UnknownOperation: "InvalidAction",
    },
    Api.IAM: {
        MalformedRequest: "MalformedInput",
        InvalidRequest: "ValidationError",
        UnsupportedRequest: "ValidationError",
        UnknownOperation: "InvalidAction",
        ResourceNotFound: "NoSuchEntity",
    },
}
_STATUSES = {"NoSuchEntity": 404}
# Source: AWS "Common Errors" of SageMaker and STS; the status of JSON services is Assumption A-0095.
_ACCESS: dict[AccessProblem, tuple[str, str]] = {
    AccessProblem.MISSING: ("MissingAuthenticationTokenException", "MissingAuthenticationToken"),
    AccessProblem.INCOMPLETE: ("IncompleteSignatureException", "IncompleteSignature"),
    AccessProblem.UNKNOWN_KEY: ("UnrecognizedClientException", "InvalidClientTokenId"),
    AccessProblem.MISMATCH: ("InvalidSignatureException", "SignatureDoesNotMatch"),
    AccessProblem.SKEWED: ("InvalidSignatureException", "SignatureDoesNotMatch"),
    AccessProblem.OVER: ("InvalidSignatureException", "SignatureDoesNotMatch"),
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


def fault(
    error: Exception, request_id: str, api: Api | None = Api.SAGEMAKER, protocol: Protocol = Protocol.JSON
) -> Fault:
    """The answer to any error. What is not the caller's is logged with its traceback, and shown by its id only.

    That the database cannot be used is said in words, with 503: nothing was changed, and clients try again by
    themselves.
    """
    if isinstance(error, AccessRefused):
        return access_fault(error, protocol)
    if isinstance(error, RequestError):
        codes = CODES | _CODES_OF.get(api or Api.SAGEMAKER, {})
        code = next(codes[kind] for kind in type(error).__mro__ if kind in codes)
        return Fault(code, _STATUSES.get(code, 400), str(error))
    _log.error("request %s failed", request_id, exc_info=error)
    where = f"Its id is {request_id}; the service's log has the reason under it."
    if isinstance(error, StoreFull):
        return Fault(_UNAVAILABLE, 503, str(error))
    if isinstance(error, StoreUnreachable):
        return Fault(_UNAVAILABLE, 503, f"The request was not carried out: the database cannot be used now. {where}")
    return Fault("InternalFailure", 500, f"The request failed inside Dyno. {where}")


def access_fault(error: AccessRefused, protocol: Protocol) -> Fault:
    """The answer to a caller that is not let in."""
    json_code, query_code = _ACCESS[error.problem]
    return Fault(query_code, 403, str(error)) if protocol is Protocol.QUERY else Fault(json_code, 400, str(error))


def encode_fault(
    found: Fault, request_id: str, api: Api | None = Api.SAGEMAKER, protocol: Protocol = Protocol.JSON
) -> tuple[bytes, dict[str, str]]:
    """The body and headers of an error, in the protocol that the call came in."""
    if protocol is Protocol.QUERY:
        return _query_body(found, request_id), {"Content-Type": "text/xml", "x-amzn-RequestId": request_id}
    if protocol is Protocol.CBOR:
        import cbor2

        body = cbor2.dumps({"__type": found.code, "message": found.message})
        return body, {
            "Content-Type": "application/cbor",
            "smithy-protocol": "rpc-v2-cbor",
            "x-amzn-RequestId": request_id,
            "x-amzn-query-error": f"{found.code};{'Sender' if found.status < 500 else 'Receiver'}",
        }
    headers = fault_headers(found, request_id)
    if api is not None:
        headers["Content-Type"] = f"application/x-amz-json-{service(api).metadata.json_version}"
    return found.body, headers


def _query_body(found: Fault, request_id: str) -> bytes:
    from xml.etree import ElementTree

    from modeldyno.wire.xml import legible, serialized

    root = ElementTree.Element("ErrorResponse")
    error = ElementTree.SubElement(root, "Error")
    ElementTree.SubElement(error, "Type").text = "Sender" if found.status < 500 else "Receiver"
    ElementTree.SubElement(error, "Code").text = legible(found.code)
    ElementTree.SubElement(error, "Message").text = legible(found.message)
    ElementTree.SubElement(root, "RequestId").text = request_id
    return serialized(root)


def fault_headers(fault: Fault, request_id: str) -> dict[str, str]:
    """The headers that go with it. Both carriers of the code are there: botocore reads the header first."""
    return answer_headers(request_id) | {"x-amzn-ErrorType": fault.code}


def answer_headers(request_id: str) -> dict[str, str]:
    """The headers of every answer of the control plane."""
    return {"Content-Type": CONTENT_TYPE, "x-amzn-RequestId": request_id}
