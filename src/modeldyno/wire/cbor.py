"""CBOR, as the protocol RPC v2 has it: of what CBOR can hold beside JSON's types, bytes and times only.

**Source:** Smithy specification, RPC v2 CBOR protocol.
"""

from __future__ import annotations

from datetime import datetime
from io import BytesIO

from modeldyno.domain.errors import MalformedRequest

_SCALARS = (str, bytes, bool, int, float, datetime, type(None))
_LARGEST = 2**64


def read_cbor(body: bytes) -> object:
    """The document that a body holds; one without a body is an empty structure.

    Raises:
        MalformedRequest: not CBOR, or with what no request has: other types, names that are no text, parts that are
            shared (a few of which may stand for a document without end).
    """
    if not body:
        return {}
    stream = BytesIO(body)
    document = _decoded(stream)
    if stream.read(1):
        raise MalformedRequest("The request is not CBOR: there is more after its end.")
    _check(document)
    return document


def _decoded(stream: BytesIO) -> object:
    import cbor2

    try:
        return cbor2.CBORDecoder(stream).decode()
    except RecursionError as error:
        raise MalformedRequest("The request nests too deeply.") from error
    except Exception as error:  # of any kind: readers of tags (dates, fractions, patterns) raise what they like
        raise MalformedRequest(f"The request is not CBOR: {error}.") from error


def _check(document: object) -> None:
    left = [document]
    seen: set[int] = set()
    while left:
        value = left.pop()
        if isinstance(value, dict | list):
            if id(value) in seen:
                raise MalformedRequest("The request is not CBOR as it should be: a part of it is shared.")
            seen.add(id(value))
        if type(value) is dict:
            if not all(type(name) is str for name in value):
                raise MalformedRequest("The request is not CBOR as it should be: a name is no text.")
            left.extend(value.values())
        elif type(value) is list:
            left.extend(value)
        elif type(value) not in _SCALARS or (type(value) is int and not -_LARGEST <= value < _LARGEST):
            kind = type(value).__name__
            raise MalformedRequest(f"The request is not CBOR as it should be: it has a value of the kind {kind}.")
