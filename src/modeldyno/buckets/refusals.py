"""Errors of the door to objects, as S3 says them."""

from __future__ import annotations

from xml.etree import ElementTree

from modeldyno.domain.errors import AccessProblem, AccessRefused, ObjectError
from modeldyno.ports import buckets as failures
from modeldyno.wire.xml import legible, serialized


class Refused(Exception):
    """An answer that is an error. `headers` go with it."""

    def __init__(self, status: int, code: str, text: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.text = text
        self.headers = headers or {}

    def body(self, resource: str, request_id: str) -> bytes:
        """**Source:** S3 API reference, *REST error responses*."""
        root = ElementTree.Element("Error")
        parts = {"Code": self.code, "Message": self.text, "Resource": resource, "RequestId": request_id}
        for name, value in parts.items():
            ElementTree.SubElement(root, name).text = legible(value)
        return serialized(root)


def refused(status: int, code: str, text: str) -> Refused:
    """An error of the request."""
    return Refused(status, code, text)


# Source: S3 API reference, *Error responses*: codes and statuses.
_CODES: dict[type[ObjectError], tuple[int, str]] = {
    failures.NoSuchBucket: (404, "NoSuchBucket"),
    failures.NoSuchObject: (404, "NoSuchKey"),
    failures.NoSuchUpload: (404, "NoSuchUpload"),
    failures.BucketNotEmpty: (409, "BucketNotEmpty"),
    failures.UnusableName: (400, "InvalidArgument"),
    failures.UnusablePart: (400, "InvalidPart"),
    failures.OutOfRoom: (507, "InsufficientStorage"),
    failures.Changed: (412, "PreconditionFailed"),
}
_ACCESS: dict[AccessProblem, tuple[int, str]] = {
    AccessProblem.MISSING: (403, "AccessDenied"),
    AccessProblem.INCOMPLETE: (400, "AuthorizationHeaderMalformed"),
    AccessProblem.UNKNOWN_KEY: (403, "InvalidAccessKeyId"),
    AccessProblem.MISMATCH: (403, "SignatureDoesNotMatch"),
    AccessProblem.SKEWED: (403, "RequestTimeTooSkewed"),
    AccessProblem.OVER: (403, "AccessDenied"),
}


def of_failure(error: ObjectError) -> Refused:
    """What a store's failure is on the wire; one that it cannot explain is its own, with 500."""
    status, code = _CODES.get(type(error), (500, "InternalError"))
    return Refused(status, code, str(error))


def of_access(error: AccessRefused) -> Refused:
    """A caller that is not let in."""
    return Refused(*_ACCESS[error.problem], str(error))
