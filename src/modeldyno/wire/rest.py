"""REST with XML, as S3 speaks it: an operation is a method, a path and what the query holds; parameters are bound to
path, query, headers and body as the service model says.

**Source:** Smithy specification, HTTP binding traits and REST XML protocol; botocore's S3 model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import unquote, unquote_plus
from xml.etree import ElementTree

from modeldyno.domain.errors import MalformedRequest
from modeldyno.wire.encode import plain
from modeldyno.wire.readers import Dialect, read_params
from modeldyno.wire.service import Api, Shape, operation_shapes, service
from modeldyno.wire.xml import fill, http_date, iso8601, read_document, serialized


@dataclass(frozen=True, slots=True)
class RestRequest:
    """The head of a request. `labels`: the parts of its path, at most `depth` of them, the last holds the rest; `query`
    and `headers` by name, headers in lower case."""

    method: str
    labels: tuple[str, ...]
    query: Mapping[str, str]
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Route:
    operation: str
    literals: Mapping[str, str]
    query: frozenset[str]
    headers: frozenset[str]

    @property
    def asks(self) -> int:
        """How much it asks of a request: what asks for most and gets it is meant."""
        return len(self.literals) + len(self.query) + len(self.headers)

    def fits(self, request: RestRequest) -> bool:
        if not (self.query <= request.query.keys() and self.headers <= request.headers.keys()):
            return False
        return all(
            name in request.query and value in ("", request.query[name]) for name, value in self.literals.items()
        )


def read_head(method: str, path: str, query: str, headers: Sequence[tuple[str, str]], depth: int) -> RestRequest:
    """A request by what came; `path` and `query` percent-encoded.

    Raises:
        MalformedRequest: the path is not UTF-8.
    """
    parts = path.lstrip("/").split("/", depth - 1)
    try:
        labels = tuple(unquote(part, errors="strict") for part in parts)
        pairs = (part.partition("=") for part in query.split("&") if part)
        given = {unquote_plus(name, errors="strict"): unquote_plus(value, errors="strict") for name, _, value in pairs}
    except UnicodeDecodeError as error:
        raise MalformedRequest("The path or the query is not UTF-8.") from error
    while labels and not labels[-1]:
        labels = labels[:-1]
    joined: dict[str, str] = {}
    for name, value in headers:
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return RestRequest(method, labels, given, joined)


def match(api: Api, request: RestRequest) -> str | None:
    """The operation that is meant; None where there is none."""
    candidates = _routes(api).get((request.method, len(request.labels)), ())
    return next((route.operation for route in candidates if route.fits(request)), None)


@cache
def _routes(api: Api) -> dict[tuple[str, int], list[_Route]]:
    model = service(api)
    found: dict[tuple[str, int], list[_Route]] = {}
    for name, operation in model.operations.items():
        path, _, query = operation.http.request_uri.partition("?")
        literals = dict(pair.partition("=")[::2] for pair in query.split("&") if pair and "x-id" not in pair)
        asked = model.shapes[operation.input.shape] if operation.input else Shape("structure")
        route = _Route(name, literals, _required(asked, "querystring"), _required(asked, "header"))
        found.setdefault((operation.http.method, path.count("{")), []).append(route)
    for routes in found.values():
        routes.sort(key=lambda route: -route.asks)
    return found


def _required(shape: Shape, location: str) -> frozenset[str]:
    members = (shape.members[name] for name in shape.required)
    names = (member.location_name or "" for member in members if member.location == location)
    return frozenset(name.lower() if location == "header" else name for name in names)


def read_request(api: Api, operation: str, request: RestRequest, body: bytes) -> dict[str, object]:
    """The typed parameters. A payload that streams is left out: whoever carries the operation out reads it.

    Raises:
        MalformedRequest: a parameter of the wrong type, or a body that is not the XML that it should be.
    """
    shapes = service(api).shapes
    reference = operation_shapes(operation, api).input
    asked = shapes[reference.shape] if reference else Shape("structure")
    labels = iter(request.labels)
    document: dict[str, Any] = {}
    for member, ref in asked.members.items():
        value = _bound(ref.location, ref.location_name or member, request, labels)
        if isinstance(value, str) and shapes[ref.shape].type == "list":
            value = [item.strip() for item in value.split(",")]
        if member == asked.payload and shapes[ref.shape].type == "structure" and body:
            value = read_document(api, ref.shape, body)
        if value is not None:
            document[member] = value
    return read_params(operation, document, api, Dialect.TEXT)


def _bound(location: str | None, name: str, request: RestRequest, labels: Any) -> object:
    match location:
        case "uri":
            return next(labels)
        case "querystring":
            return request.query.get(name)
        case "header":
            return request.headers.get(name.lower())
        case "headers":
            prefix = name.lower()
            given = request.headers.items()
            return {key[len(prefix) :]: value for key, value in given if key.startswith(prefix)} or None
    return None


def write_answer(
    api: Api, operation: str, result: Mapping[str, object], root: str, namespace: str
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body. A payload that streams is not in `result`: the body is empty then.

    Raises:
        ResultError: a result that the model does not allow.
    """
    shapes = service(api).shapes
    status = operation_shapes(operation, api).http.response_code
    output = operation_shapes(operation, api).output
    document = plain(operation, result, api)
    if output is None or document is None:
        return status, {}, b""
    shape = shapes[output.shape]
    headers: dict[str, str] = {}
    inside = {name: value for name, value in document.items() if shape.members[name].location is None}
    for name, value in document.items():
        reference = shape.members[name]
        if reference.location == "header":
            headers[reference.location_name or name] = _header(value, shapes[reference.shape])
        elif reference.location == "headers" and isinstance(value, Mapping):
            headers |= {f"{reference.location_name}{key}": str(item) for key, item in value.items()}
    if shape.payload is not None:
        return status, headers, _payload(api, shape, inside, root, namespace)
    if not any(reference.location is None for reference in shape.members.values()):
        return status, headers, b""
    top = ElementTree.Element(root, {"xmlns": namespace})
    fill(top, api, output.shape, inside)
    return status, headers, serialized(top)


def _payload(api: Api, shape: Shape, inside: Mapping[str, object], root: str, namespace: str) -> bytes:
    assert shape.payload is not None
    reference = shape.members[shape.payload]
    if shape.payload not in inside or service(api).shapes[reference.shape].type != "structure":
        return b""
    top = ElementTree.Element(root, {"xmlns": namespace})
    fill(top, api, reference.shape, inside[shape.payload])
    return serialized(top)


def _header(value: object, shape: Shape) -> str:
    if shape.type == "timestamp":
        assert isinstance(value, int | float)
        return iso8601(value) if shape.timestamp_format == "iso8601" else http_date(value)
    return ("true" if value else "false") if isinstance(value, bool) else str(value)
