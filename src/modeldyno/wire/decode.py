"""From headers and bytes to an operation, a region and typed parameters."""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

import msgspec

from modeldyno.domain.errors import MalformedRequest, UnknownOperation
from modeldyno.wire.service import Shape, fold, lower_first, operation_shapes, service, shortened

DEFAULT_REGION = "us-east-1"

# Credential=KEY/DATE/REGION/SERVICE/aws4_request; the key may hold slashes. Source: AWS Signature Version 4.
_CREDENTIAL = re.compile(r"Credential=([^,\s]+)")
_REGION = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
# What a 4-byte and an 8-byte whole number hold. Source: Smithy specification, simple types.
_INTEGER_BITS = {"integer": 31, "long": 63}
_FLOAT32_MAX = (2 - 2**-23) * 2.0**127
# Years 1 to 9999: what datetime and botocore can show.
_EARLIEST, _LATEST = -62135596800, 253402300799

Reader = Callable[[Any, str], Any]


@dataclass(frozen=True, slots=True)
class Call:
    """One call, readable and typed, but not validated: `params` may break any rule of the model but a type's.

    Timestamps are seconds since the Unix epoch, blobs are bytes, members that were null are absent. Members that the
    model does not know are still there, as they came.
    """

    operation: str
    region: str
    params: dict[str, object]


def decode_call(headers: Mapping[str, str], body: bytes) -> Call:
    """Read a request. `headers` have lower-case names.

    Raises:
        UnknownOperation: X-Amz-Target names no operation of SageMaker's.
        MalformedRequest: the body is not a JSON object in UTF-8, nests too deeply, or a member has the wrong type
            (the message has its path); or the credential scope names no region.
    """
    operation = _operation(headers)
    return Call(operation, _region(headers), read_params(operation, _document(body)))


def read_params(operation: str, document: object) -> dict[str, object]:
    """The typed parameters of a JSON document that was parsed already.

    Raises:
        UnknownOperation, MalformedRequest: as `decode_call`.
    """
    try:
        return _reader(operation)(document, "")  # type: ignore[no-any-return]
    except RecursionError as error:
        raise MalformedRequest("The request nests too deeply.") from error


def _operation(headers: Mapping[str, str]) -> str:
    target = headers.get("x-amz-target")
    prefix = service().metadata.target_prefix
    if target is None:
        raise UnknownOperation(f"The request has no X-Amz-Target header; a call names one: {prefix}.DescribeModel.")
    service_name, _, operation = target.rpartition(".")
    if service_name != prefix or operation not in service().operations:
        raise UnknownOperation(f"{shortened(target)!r} is not an operation of SageMaker.")
    return operation


def _region(headers: Mapping[str, str]) -> str:
    found = _CREDENTIAL.search(headers.get("authorization", ""))
    credential = found[1] if found else headers.get("x-amz-credential", "")
    scope = credential.split("/")[-4:]
    if len(scope) < 4 or scope[-1] != "aws4_request":
        return DEFAULT_REGION
    if not _REGION.fullmatch(scope[1]):
        raise MalformedRequest(f"The credential scope names the region {shortened(scope[1])!r}, which cannot be one.")
    return scope[1]


def _document(body: bytes) -> object:
    try:
        return msgspec.json.decode(body)
    except RecursionError as error:
        raise MalformedRequest("The request nests too deeply.") from error
    except ValueError as error:  # msgspec's own errors and UnicodeDecodeError are ones
        raise MalformedRequest(f"The request is not JSON in UTF-8: {error}.") from error


# --- one reader a shape, built once ----------------------------------------------------------------------------------


@cache
def _reader(operation: str) -> Reader:
    return fold(operation_shapes(operation).input.shape, _make)


def _make(shape: Shape, name: str, child: Callable[[str], Reader]) -> Reader:
    if shape.type == "structure":
        return _structure({m: (child(ref.shape), f".{lower_first(m)}") for m, ref in shape.members.items()})
    if shape.type == "list" and shape.member is not None:
        return _list(child(shape.member.shape))
    if shape.type == "map" and shape.value is not None:
        return _map(child(shape.value.shape))
    return _SCALARS[shape.type]


def _structure(members: dict[str, tuple[Reader, str]]) -> Reader:
    def read(value: Any, path: str) -> dict[str, object]:
        if type(value) is not dict:
            raise _mismatch(value, "a structure", path)
        result = {}
        for name, item in value.items():
            if item is None:
                continue
            known = members.get(name)
            result[name] = item if known is None else known[0](item, path + known[1])
        return result

    return read


def _list(element: Reader) -> Reader:
    def read(value: Any, path: str) -> list[object]:
        if type(value) is not list:
            raise _mismatch(value, "a list", path)
        return [element(item, f"{path}.{index}.member") for index, item in enumerate(value, 1)]

    return read


def _map(element: Reader) -> Reader:
    def read(value: Any, path: str) -> dict[str, object]:
        if type(value) is not dict:
            raise _mismatch(value, "a map", path)
        return {key: element(item, f"{path}.{shortened(key)}.member") for key, item in value.items()}

    return read


def _string(value: Any, path: str) -> str:
    if type(value) is not str:
        raise _mismatch(value, "a String", path)
    return value


def _boolean(value: Any, path: str) -> bool:
    if type(value) is not bool:
        raise _mismatch(value, "a Boolean", path)
    return value


def _whole(kind: str) -> Reader:
    limit = 2 ** _INTEGER_BITS[kind]
    words = {"integer": "an Integer", "long": "a Long"}[kind]

    def read(value: Any, path: str) -> int:
        if type(value) is not int:
            raise _mismatch(value, words, path)
        if not -limit <= value < limit:
            raise MalformedRequest(f"{shortened(str(value))} does not fit {words} at {_at(path)}.")
        return value

    return read


def _real(words: str, limit: float) -> Reader:
    def read(value: Any, path: str) -> float:
        if type(value) is not float and type(value) is not int:
            raise _mismatch(value, words, path)
        if not -limit <= value <= limit:
            raise MalformedRequest(f"{shortened(str(value))} does not fit {words} at {_at(path)}.")
        return float(value)

    return read


def _timestamp(value: Any, path: str) -> float:
    try:
        if type(value) is str:
            moment = datetime.fromisoformat(value)
            value = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as error:
        raise MalformedRequest(f"{shortened(value)!r} is not an ISO 8601 timestamp at {_at(path)}.") from error
    if type(value) is not float and type(value) is not int:
        raise _mismatch(value, "a Timestamp", path)
    if not _EARLIEST <= value <= _LATEST:
        raise MalformedRequest(f"{shortened(str(value))} does not fit a Timestamp at {_at(path)}.")
    return float(value)


def _blob(value: Any, path: str) -> bytes:
    try:
        return base64.b64decode(_string(value, path), validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedRequest(f"Not base64 at {_at(path)}.") from error


_SCALARS: dict[str, Reader] = {
    "string": _string,
    "boolean": _boolean,
    "integer": _whole("integer"),
    "long": _whole("long"),
    "float": _real("a Float", _FLOAT32_MAX),
    "double": _real("a Double", math.nextafter(math.inf, 0)),
    "timestamp": _timestamp,
    "blob": _blob,
}
_TOKENS = {str: "STRING_VALUE", bool: "BOOLEAN_VALUE", int: "NUMBER_VALUE", float: "NUMBER_VALUE", dict: "OBJECT_VALUE"}


def _mismatch(value: object, words: str, path: str) -> MalformedRequest:
    """In the words of AWS's own parser, and with the path that it leaves out."""
    token = "NULL_VALUE" if value is None else _TOKENS.get(type(value), "LIST_VALUE")
    return MalformedRequest(f"{token} can not be converted to {words} at {_at(path)}.")


def _at(path: str) -> str:
    return f"'{path.removeprefix('.')}'" if path else "the top level"
