"""From an operation's result to the bytes of the answer."""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import msgspec

from modeldyno.wire.service import Shape, fold, operation_shapes

Writer = Callable[[Any], Any]

_FLOAT32 = struct.Struct("<f")
_ENCODER = msgspec.json.Encoder()
# Tuples: a union would be built anew at each look. A dict is known at once, another mapping only by its ancestors.
_NUMBERS = (float, int)
_MAPPINGS = (dict, Mapping)


class ResultError(TypeError):
    """A result that the service model does not allow: a mistake in Dyno, never the caller's."""


def encode_output(operation: str, result: Mapping[str, object] | None) -> bytes:
    """The JSON body for a result in the output shape's terms; empty for operations without output.

    Members that are None are left out. Timestamps are seconds since the Unix epoch, rounded to milliseconds. Blobs are
    bytes. Numbers of type float are float32 widened to double, as AWS sends them (0.204 is 0.20399999618530273).
    **Source:** examples in the SageMaker developer guide, instance-recommendation-results.

    Raises:
        ResultError: an unknown member, a wrong type, a missing required member, not exactly one member of a union,
            or a number that is not finite.
        UnknownOperation: SageMaker has no such operation.
    """
    writer = _writer(operation)
    if writer is None:
        if result:
            raise ResultError(f"{operation} has no output, but got {sorted(result)}.")
        return b""
    return _ENCODER.encode(writer(result or {}))


# --- one writer a shape, built once ----------------------------------------------------------------------------------


@cache
def _writer(operation: str) -> Writer | None:
    output = operation_shapes(operation).output
    return None if output is None else fold(output.shape, _make)


def _make(shape: Shape, name: str, child: Callable[[str], Writer]) -> Writer:
    if shape.type == "structure":
        return _structure(shape, name, {member: child(ref.shape) for member, ref in shape.members.items()})
    if shape.type == "list" and shape.member is not None:
        return _list(name, child(shape.member.shape))
    if shape.type == "map" and shape.value is not None:
        return _map(name, child(shape.value.shape))
    return _SCALARS[shape.type](name)


def _structure(shape: Shape, shape_name: str, members: dict[str, Writer]) -> Writer:
    required = frozenset(shape.required)

    def write(value: Any) -> dict[str, object]:
        if not isinstance(value, _MAPPINGS):
            raise _wrong(value, shape_name)
        result = {}
        for name, item in value.items():
            member = members.get(name)
            if member is None:
                raise ResultError(f"{shape_name} has no member {name!r}.")
            if item is not None:
                result[name] = member(item)
        if not required <= result.keys():
            raise ResultError(f"{shape_name} needs the members {sorted(required - result.keys())}.")
        if shape.union and len(result) != 1:
            raise ResultError(f"{shape_name} is a union: exactly one member, not {sorted(result)}.")
        return result

    return write


def _list(shape_name: str, element: Writer) -> Writer:
    def write(value: Any) -> list[object]:
        if not isinstance(value, (list, tuple)):
            raise _wrong(value, shape_name)
        return [element(item) for item in value]

    return write


def _map(shape_name: str, element: Writer) -> Writer:
    def write(value: Any) -> dict[str, object]:
        if not isinstance(value, _MAPPINGS) or not all(isinstance(key, str) for key in value):
            raise _wrong(value, shape_name)
        return {key: element(item) for key, item in value.items()}

    return write


def _text(shape_name: str) -> Writer:
    def write(value: Any) -> str:
        if not isinstance(value, str):
            raise _wrong(value, shape_name)
        return value

    return write


def _boolean(shape_name: str) -> Writer:
    def write(value: Any) -> bool:
        if not isinstance(value, bool):
            raise _wrong(value, shape_name)
        return value

    return write


def _whole(shape_name: str) -> Writer:
    def write(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise _wrong(value, shape_name)
        return value

    return write


def _real(shape_name: str) -> Writer:
    def write(value: Any) -> float:
        if not isinstance(value, _NUMBERS) or isinstance(value, bool) or not math.isfinite(value):
            raise _wrong(value, shape_name)
        return float(value)

    return write


def _single(shape_name: str) -> Writer:
    real = _real(shape_name)

    def write(value: Any) -> float:
        try:
            return float(_FLOAT32.unpack(_FLOAT32.pack(real(value)))[0])
        except OverflowError as error:
            raise _wrong(value, shape_name) from error

    return write


def _timestamp(shape_name: str) -> Writer:
    real = _real(shape_name)
    return lambda value: round(real(value), 3)


def _blob(shape_name: str) -> Writer:
    def write(value: Any) -> str:
        if not isinstance(value, bytes):
            raise _wrong(value, shape_name)
        return base64.b64encode(value).decode()

    return write


_SCALARS: dict[str, Callable[[str], Writer]] = {
    "string": _text,
    "boolean": _boolean,
    "integer": _whole,
    "long": _whole,
    "float": _single,
    "double": _real,
    "timestamp": _timestamp,
    "blob": _blob,
}


def _wrong(value: object, shape_name: str) -> ResultError:
    return ResultError(f"{value!r} cannot be a {shape_name}.")
