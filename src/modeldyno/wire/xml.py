"""XML, as the query protocol and S3 write it: elements by the names that the model gives, times in ISO 8601."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import cache
from typing import Any
from xml.etree import ElementTree

from modeldyno.domain.errors import MalformedRequest
from modeldyno.wire.service import Api, Reference, Shape, fold, service

Writer = Callable[[Any, str, ElementTree.Element], None]
Builder = Callable[[ElementTree.Element], Any]
# Source: XML 1.0, production Char.
_NO_CHARACTER = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
HEAD = b'<?xml version="1.0" encoding="UTF-8"?>\n'


def iso8601(seconds: float) -> str:
    """``2026-01-02T03:04:05.000Z``."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def http_date(seconds: float) -> str:
    """``Fri, 02 Jan 2026 03:04:05 GMT``."""
    return format_datetime(datetime.fromtimestamp(seconds, UTC), usegmt=True)


def legible(text: str) -> str:
    """The text with what XML cannot hold replaced."""
    return _NO_CHARACTER.sub("\ufffd", text)


def text_of(value: object, shape: Shape) -> str:
    """A scalar as text; times as the shape has them, ISO 8601 where it does not say."""
    if shape.type == "boolean":
        return "true" if value else "false"
    if shape.type == "timestamp":
        assert isinstance(value, int | float)
        return http_date(value) if shape.timestamp_format == "rfc822" else iso8601(value)
    return legible(str(value))


def write_document(api: Api, shape_name: str, value: object, root: str, namespace: str = "") -> bytes:
    """A document of one root element. `value` is JSON's view of the result (`encode.plain`)."""
    top = ElementTree.Element(root, {"xmlns": namespace} if namespace else {})
    fill(top, api, shape_name, value)
    return serialized(top)


def serialized(element: ElementTree.Element) -> bytes:
    """The whole document."""
    return HEAD + bytes(ElementTree.tostring(element, encoding="utf-8", xml_declaration=False))


def fill(element: ElementTree.Element, api: Api, shape_name: str, value: object) -> None:
    """Write a structure's members into an element that is there."""
    assert isinstance(value, Mapping)
    shapes = service(api).shapes
    for member, item in value.items():
        if item is None:
            continue
        reference = shapes[shape_name].members[member]
        if reference.location is None:
            _writer(api, reference.shape)(item, _name(member, reference, shapes[reference.shape]), element)


@cache
def _writer(api: Api, shape_name: str) -> Writer:
    return fold(api, shape_name, lambda shape, name, child: _make(service(api).shapes, shape, child))


def _name(member: str, reference: Reference, shape: Shape) -> str:
    return reference.location_name or shape.location_name or member


def _make(shapes: dict[str, Shape], shape: Shape, child: Callable[[str], Writer]) -> Writer:
    if shape.type == "structure":
        members = {
            member: (_name(member, ref, shapes[ref.shape]), ref.xml_attribute, child(ref.shape), shapes[ref.shape])
            for member, ref in shape.members.items()
        }
        return _structure(members)
    if shape.type == "list" and shape.member is not None:
        return _list(shape, child(shape.member.shape))
    if shape.type == "map" and shape.value is not None and shape.key is not None:
        return _map(shape, child(shape.value.shape))

    def write(value: Any, name: str, parent: ElementTree.Element) -> None:
        ElementTree.SubElement(parent, name).text = text_of(value, shape)

    return write


def _structure(members: dict[str, tuple[str, bool, Writer, Shape]]) -> Writer:
    def write(value: Any, name: str, parent: ElementTree.Element) -> None:
        element = ElementTree.SubElement(parent, name)
        for member, item in value.items():
            shown, attribute, inner, shape = members[member]
            if attribute:
                element.set(shown, text_of(item, shape))
            else:
                inner(item, shown, element)

    return write


def _list(shape: Shape, inner: Writer) -> Writer:
    own = shape.member.location_name if shape.member else None

    def write(value: Any, name: str, parent: ElementTree.Element) -> None:
        place = parent if shape.flattened else ElementTree.SubElement(parent, name)
        for item in value:
            inner(item, name if shape.flattened else own or "member", place)

    return write


def _map(shape: Shape, inner: Writer) -> Writer:
    key = (shape.key.location_name if shape.key else None) or "key"
    held = (shape.value.location_name if shape.value else None) or "value"

    def write(value: Any, name: str, parent: ElementTree.Element) -> None:
        place = parent if shape.flattened else ElementTree.SubElement(parent, name)
        for word, item in value.items():
            entry = ElementTree.SubElement(place, name if shape.flattened else "entry")
            ElementTree.SubElement(entry, key).text = legible(word)
            inner(item, held, entry)

    return write


# --- reading ---


def read_document(api: Api, shape_name: str, body: bytes) -> object:
    """The document that a body holds, all scalars as text, by the shape of its root.

    Raises:
        MalformedRequest: not XML, or one with a document type: entities are not expanded.
    """
    if b"<!DOCTYPE" in body or b"\x00" in body:  # of other encodings than UTF-8, every one has zeros
        raise MalformedRequest("The request is not XML in UTF-8 without a document type.")
    try:
        root = ElementTree.fromstring(body)
    except (ElementTree.ParseError, LookupError, ValueError) as error:  # the latter two: of an encoding that it names
        raise MalformedRequest(f"The request is not XML: {error}.") from error
    return _builder(api, shape_name)(root)


@cache
def _builder(api: Api, shape_name: str) -> Builder:
    return fold(api, shape_name, lambda shape, name, child: _reader(service(api).shapes, shape, child))


def _reader(shapes: dict[str, Shape], shape: Shape, child: Callable[[str], Builder]) -> Builder:
    if shape.type == "structure":
        members = {
            _name(member, ref, shapes[ref.shape]): (member, shapes[ref.shape], child(ref.shape))
            for member, ref in shape.members.items()
        }
        return lambda element: _read_structure(members, element)
    if shape.type == "list" and shape.member is not None:
        inner = child(shape.member.shape)
        return lambda element: [inner(item) for item in element]
    return lambda element: element.text or ""


def _read_structure(members: dict[str, tuple[str, Shape, Builder]], element: ElementTree.Element) -> dict[str, object]:
    found: dict[str, Any] = {}
    for item in element:
        tag = item.tag.rpartition("}")[2]
        known = members.get(tag)
        if known is None:
            found[tag] = item.text or ""
            continue
        member, shape, inner = known
        if shape.type == "list" and shape.flattened:
            found.setdefault(member, []).extend(inner([item]))  # type: ignore[arg-type]
        else:
            found[member] = inner(item)
    return found
