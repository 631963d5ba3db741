"""The query protocol's requests: ``Action=GetRole&Version=2010-05-08&RoleName=x``, nested by dots.

**Source:** Smithy specification, AWS query protocol: members by their names, ``List.member.1``, ``Map.entry.1.key``;
flattened lists and maps without ``member`` and ``entry``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any
from urllib.parse import parse_qsl

from modeldyno.domain.errors import MalformedRequest, UnknownOperation
from modeldyno.wire.service import Api, Shape, fold, operation_shapes, shortened

VERSIONS = {"2011-06-15": Api.STS, "2010-05-08": Api.IAM, "2010-08-01": Api.METRICS}
"""The services by the version of their API, which a form names instead of the service."""
_MOST_FIELDS = 10_000  # chosen: more than the longest list of the services has
_MOST_DOTS = 32  # chosen: three times as deep as a request of the services goes

Builder = Callable[["_Fields", str], Any]


class _Fields(dict[str, str]):
    """What was sent, by name, and which prefixes have something below them."""

    def __init__(self, given: dict[str, str]) -> None:
        super().__init__(given)
        self.below: dict[str, dict[str, None]] = {}
        for name in given:
            parts = name.split(".")
            for depth in range(len(parts)):
                self.below.setdefault(".".join(parts[:depth]), {})[parts[depth]] = None

    def has(self, path: str) -> bool:
        return path in self or path in self.below


def read_form(body: bytes) -> tuple[Api, str, object]:
    """The service, the operation and the document (all scalars as text) of a form.

    Raises:
        MalformedRequest: not a form in UTF-8, or one with too many fields.
        UnknownOperation: no service here has that version, or it has no such action.
    """
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict")
    except ValueError as error:
        raise MalformedRequest(f"The request is not a form in UTF-8: {error}.") from error
    given = dict(pairs)
    if any(name.count(".") > _MOST_DOTS for name in given):
        raise MalformedRequest("The request nests too deeply.")
    action, version = given.pop("Action", ""), given.pop("Version", "")
    api = VERSIONS.get(version)
    if api is None:
        raise UnknownOperation(
            f"No service here has the version {shortened(version)!r} of the action {shortened(action)!r}."
        )
    operation_shapes(action, api)
    return api, action, _builder(api, action)(_Fields(given), "")


@cache
def _builder(api: Api, operation: str) -> Builder:
    asked = operation_shapes(operation, api).input
    return _structure({}) if asked is None else fold(api, asked.shape, _make)


def _make(shape: Shape, name: str, child: Callable[[str], Builder]) -> Builder:
    if shape.type == "structure":
        return _structure({m: (ref.location_name or m, child(ref.shape)) for m, ref in shape.members.items()})
    if shape.type == "list" and shape.member is not None:
        inner = "" if shape.flattened else shape.member.location_name or "member"
        return _list(inner, child(shape.member.shape))
    if shape.type == "map" and shape.value is not None and shape.key is not None:
        names = shape.key.location_name or "key", shape.value.location_name or "value"
        return _map("" if shape.flattened else "entry", names, child(shape.value.shape))
    return lambda fields, path: fields.get(path)


def _structure(members: dict[str, tuple[str, Builder]]) -> Builder:
    written = {shown for shown, _ in members.values()}

    def build(fields: _Fields, path: str) -> dict[str, object]:
        prefix = f"{path}." if path else ""
        found = {
            member: inner(fields, prefix + shown)
            for member, (shown, inner) in members.items()
            if fields.has(prefix + shown)
        }
        strange = fields.below.get(path, {}).keys() - written
        return found | {name: fields.get(prefix + name, "") for name in sorted(strange)}

    return build


def _list(inner: str, element: Builder) -> Builder:
    def build(fields: _Fields, path: str) -> list[object]:
        where = f"{path}.{inner}" if inner else path
        return [element(fields, f"{where}.{place}") for place in _places(fields, where)]

    return build


def _map(inner: str, names: tuple[str, str], element: Builder) -> Builder:
    def build(fields: _Fields, path: str) -> dict[str, object]:
        where = f"{path}.{inner}" if inner else path
        found = {}
        for place in _places(fields, where):
            found[fields.get(f"{where}.{place}.{names[0]}", "")] = element(fields, f"{where}.{place}.{names[1]}")
        return found

    return build


def _places(fields: _Fields, path: str) -> list[str]:
    """The numbers of a list, in order."""
    found = (place for place in fields.below.get(path, {}) if place.isascii() and place.isdigit())
    return sorted(found, key=lambda place: (len(place), place))
