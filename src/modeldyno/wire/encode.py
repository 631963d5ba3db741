"""From an operation's result to the bytes of the answer, in the protocol that the call came in.

Every result is held against the output shape: a member that it does not know, or a wrong type, is a mistake here.
"""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

import msgspec

from modeldyno.wire.decode import Call, Protocol
from modeldyno.wire.service import Api, Shape, fold, operation_shapes, service

Writer = Callable[[Any], Any]

_FLOAT32 = struct.Struct("<f")
_ENCODER = msgspec.json.Encoder()
# Tuples: a union would be built anew at each look. A dict is known at once, another mapping only by its ancestors.
_NUMBERS = (float, int)
_MAPPINGS = (dict, Mapping)
_OPTIONAL = {"DescribeModelPackageOutput": frozenset(("ModelPackageName",))}
"""Members that the service model requires, and the service leaves out. **Source:** SageMaker Python SDK 3,
``sagemaker/core/tools/constants.py``, REQUIRED_TO_OPTIONAL_OVERRIDES."""


class ResultError(TypeError):
    """A result that the service model does not allow: a mistake in Dyno, never the caller's."""


def encode_output(operation: str, result: Mapping[str, object] | None, api: Api = Api.SAGEMAKER) -> bytes:
    """The JSON body for a result in the output shape's terms; empty for operations without output.

    Members that are None are left out. Timestamps are seconds since the Unix epoch, rounded to milliseconds. Blobs are
    bytes. Numbers of type float are float32 widened to double, as AWS sends them (0.204 is 0.20399999618530273).
    **Source:** examples in the SageMaker developer guide, instance-recommendation-results.

    Raises:
        ResultError: an unknown member, a wrong type, a missing required member, not exactly one member of a union,
            or a number that is not finite.
        UnknownOperation: the service has no such operation.
    """
    document = plain(operation, result, api)
    return b"" if document is None else _ENCODER.encode(document)


def plain(
    operation: str, result: Mapping[str, object] | None, api: Api = Api.SAGEMAKER, *, binary: bool = False
) -> dict[str, object] | None:
    """The result as JSON has it, checked; None for operations without output. `binary`: blobs stay bytes. Raises as
    `encode_output`."""
    writer = _writer(api, operation, binary)
    if writer is None:
        if result:
            raise ResultError(f"{operation} has no output, but got {sorted(result)}.")
        return None
    document: dict[str, object] = writer(result or {})
    return document


def encode_answer(call: Call, result: Mapping[str, object] | None, request_id: str) -> tuple[bytes, dict[str, str]]:
    """The body and the headers of an answer. Raises as `encode_output`."""
    if call.protocol is Protocol.QUERY:
        return _query_answer(call, result, request_id), {"Content-Type": "text/xml", "x-amzn-RequestId": request_id}
    if call.protocol is Protocol.CBOR:
        return _cbor_answer(call, result), {
            "Content-Type": "application/cbor",
            "smithy-protocol": "rpc-v2-cbor",
            "x-amzn-RequestId": request_id,
        }
    version = service(call.api).metadata.json_version
    body = encode_output(call.operation, result, call.api)
    return body, {"Content-Type": f"application/x-amz-json-{version}", "x-amzn-RequestId": request_id}


def _query_answer(call: Call, result: Mapping[str, object] | None, request_id: str) -> bytes:
    from xml.etree import ElementTree

    from modeldyno.wire.xml import fill, serialized

    output = operation_shapes(call.operation, call.api).output
    document = plain(call.operation, result, call.api)
    root = ElementTree.Element(f"{call.operation}Response", {"xmlns": service(call.api).metadata.xml_namespace})
    if output is not None:
        wrapper = ElementTree.SubElement(root, output.result_wrapper or f"{call.operation}Result")
        fill(wrapper, call.api, output.shape, document)
    ElementTree.SubElement(ElementTree.SubElement(root, "ResponseMetadata"), "RequestId").text = request_id
    return serialized(root)


def _cbor_answer(call: Call, result: Mapping[str, object] | None) -> bytes:
    import cbor2

    output = operation_shapes(call.operation, call.api).output
    document = plain(call.operation, result, call.api, binary=True)
    if output is None or document is None:
        return b""
    return cbor2.dumps(_tagged(call.api, output.shape)(document))


# --- one writer a shape, built once ----------------------------------------------------------------------------------


@cache
def _writer(api: Api, operation: str, binary: bool) -> Writer | None:
    output = operation_shapes(operation, api).output
    return None if output is None else fold(api, output.shape, partial(_make, _BINARY if binary else _SCALARS))


def _make(
    scalars: Mapping[str, Callable[[str], Writer]], shape: Shape, name: str, child: Callable[[str], Writer]
) -> Writer:
    if shape.type == "structure":
        return _structure(shape, name, {member: child(ref.shape) for member, ref in shape.members.items()})
    if shape.type == "list" and shape.member is not None:
        return _list(name, child(shape.member.shape))
    if shape.type == "map" and shape.value is not None:
        return _map(name, child(shape.value.shape))
    return scalars[shape.type](name)


def _structure(shape: Shape, shape_name: str, members: dict[str, Writer]) -> Writer:
    required = frozenset(shape.required) - _OPTIONAL.get(shape_name, frozenset())

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


def _bytes(shape_name: str) -> Writer:
    def write(value: Any) -> bytes:
        if not isinstance(value, bytes):
            raise _wrong(value, shape_name)
        return value

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
_BINARY = {**_SCALARS, "blob": _bytes}


@cache
def _tagged(api: Api, shape_name: str) -> Writer:
    """A checked document with its times as CBOR has them: tag 1, seconds since the epoch."""
    return fold(api, shape_name, _tag)


def _tag(shape: Shape, name: str, child: Callable[[str], Writer]) -> Writer:
    if shape.type == "timestamp":
        from cbor2 import CBORTag

        return lambda value: CBORTag(1, value)
    if shape.type == "structure":
        members = {member: child(ref.shape) for member, ref in shape.members.items()}
        return lambda value: {member: members[member](item) for member, item in value.items()}
    if shape.type == "list" and shape.member is not None:
        inner = child(shape.member.shape)
        return lambda value: [inner(item) for item in value]
    if shape.type == "map" and shape.value is not None:
        held = child(shape.value.shape)
        return lambda value: {key: held(item) for key, item in value.items()}
    return lambda value: value


def _wrong(value: object, shape_name: str) -> ResultError:
    return ResultError(f"{value!r} cannot be a {shape_name}.")
