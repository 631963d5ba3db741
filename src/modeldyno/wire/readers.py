"""One reader a shape, built once: from what a protocol carries to typed parameters.

Timestamps become seconds since the Unix epoch, blobs bytes; members that were null are left out. A member of the wrong
type is refused with its path; one that the model does not know is kept as it came, for validation to name.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from functools import cache, partial
from typing import Any

from modeldyno.domain.errors import MalformedRequest
from modeldyno.wire.service import Api, Shape, fold, lower_first, operation_shapes, shortened

Reader = Callable[[Any, str], Any]

# What a 4-byte and an 8-byte whole number hold. Source: Smithy specification, simple types.
_INTEGER_BITS = {"integer": 31, "long": 63}
_FLOAT32_MAX = (2 - 2**-23) * 2.0**127
# Years 1 to 9999: what datetime and botocore can show.
_EARLIEST, _LATEST = -62135596800, 253402300799


class Dialect(Enum):
    """How a protocol writes what is no structure, list or map. JSON: its own types, blobs in base64. CBOR: its own
    types, blobs as bytes. TEXT: everything is text (query strings, forms, headers and XML)."""

    JSON = "json"
    CBOR = "cbor"
    TEXT = "text"


def read_params(
    operation: str, document: object, api: Api = Api.SAGEMAKER, dialect: Dialect = Dialect.JSON
) -> dict[str, object]:
    """The typed parameters of a document that was parsed already.

    Raises:
        UnknownOperation: the service has no such operation.
        MalformedRequest: it is no structure, nests too deeply, or a member has the wrong type (the message has its
            path).
    """
    try:
        return _reader(api, operation, dialect)(document, "")  # type: ignore[no-any-return]
    except RecursionError as error:
        raise MalformedRequest("The request nests too deeply.") from error


@cache
def _reader(api: Api, operation: str, dialect: Dialect) -> Reader:
    asked = operation_shapes(operation, api).input
    return _structure({}) if asked is None else fold(api, asked.shape, partial(_make, _DIALECTS[dialect]))


def _make(scalars: Mapping[str, Reader], shape: Shape, name: str, child: Callable[[str], Reader]) -> Reader:
    if shape.type == "structure":
        return _structure({m: (child(ref.shape), f".{lower_first(m)}") for m, ref in shape.members.items()})
    if shape.type == "list" and shape.member is not None:
        return _list(child(shape.member.shape))
    if shape.type == "map" and shape.value is not None:
        return _map(child(shape.value.shape))
    return scalars[shape.type]


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


def _moment(value: Any, path: str) -> float:
    """A timestamp of CBOR, whose reader makes a datetime of it."""
    return _timestamp(value.timestamp() if isinstance(value, datetime) else value, path)


def _blob(value: Any, path: str) -> bytes:
    try:
        return base64.b64decode(_string(value, path), validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedRequest(f"Not base64 at {_at(path)}.") from error


def _bytes(value: Any, path: str) -> bytes:
    if type(value) is not bytes:
        raise _mismatch(value, "a Blob", path)
    return value


# --- text ---


def _of_text(words: str, convert: Callable[[str], Any], check: Reader) -> Reader:
    def read(value: Any, path: str) -> Any:
        text = _string(value, path)
        try:
            converted = convert(text.strip())
        except ValueError as error:
            raise MalformedRequest(f"{shortened(text)!r} is not {words} at {_at(path)}.") from error
        return check(converted, path)

    return read


def _truth(text: str) -> bool:
    try:
        return {"true": True, "false": False}[text.lower()]
    except KeyError as error:
        raise ValueError(text) from error


def _time(text: str) -> Any:
    """ISO 8601, seconds since the epoch, or the form of HTTP's dates."""
    try:
        return float(text)
    except ValueError:
        return text if text[:1].isdigit() else parsedate_to_datetime(text).timestamp()


_JSON: dict[str, Reader] = {
    "string": _string,
    "boolean": _boolean,
    "integer": _whole("integer"),
    "long": _whole("long"),
    "float": _real("a Float", _FLOAT32_MAX),
    "double": _real("a Double", math.nextafter(math.inf, 0)),
    "timestamp": _timestamp,
    "blob": _blob,
}
_DIALECTS: dict[Dialect, Mapping[str, Reader]] = {
    Dialect.JSON: _JSON,
    Dialect.CBOR: {**_JSON, "timestamp": _moment, "blob": _bytes},
    Dialect.TEXT: {
        "string": _string,
        "blob": _blob,
        "boolean": _of_text("a Boolean", _truth, _boolean),
        "integer": _of_text("an Integer", int, _JSON["integer"]),
        "long": _of_text("a Long", int, _JSON["long"]),
        "float": _of_text("a Float", float, _JSON["float"]),
        "double": _of_text("a Double", float, _JSON["double"]),
        "timestamp": _of_text("a Timestamp", _time, _timestamp),
    },
}
_TOKENS = {str: "STRING_VALUE", bool: "BOOLEAN_VALUE", int: "NUMBER_VALUE", float: "NUMBER_VALUE", dict: "OBJECT_VALUE"}


def _mismatch(value: object, words: str, path: str) -> MalformedRequest:
    """In the words of AWS's own parser, and with the path that it leaves out."""
    token = "NULL_VALUE" if value is None else _TOKENS.get(type(value), "LIST_VALUE")
    return MalformedRequest(f"{token} can not be converted to {words} at {_at(path)}.")


def _at(path: str) -> str:
    return f"'{path.removeprefix('.')}'" if path else "the top level"
