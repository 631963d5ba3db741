"""A SearchExpression becomes a predicate; every name in it is held against the service model's shape of the resource.

**Source:** botocore, shapes Filter and SearchExpression: the operators, for which types they are, ``Tags.<key>``, 50
conditions at most, one Contains. Assumption A-0107: names and texts are compared exactly; NotEquals holds where there
is no such property.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from modeldyno.domain.errors import InvalidRequest, UnsupportedRequest
from modeldyno.operations.refusals import NESTED
from modeldyno.operations.shapes import Shape, struct, structs, text
from modeldyno.wire.service import service

_SHAPES = {"Model": "ModelDashboardModel"}
"""Where a record's shape has another name than the resource."""
_NUMBERS = frozenset({"integer", "long", "float", "double"})
_SCALARS = _NUMBERS | {"string", "timestamp", "boolean"}
_MOST_CONDITIONS = 50

Matches = Callable[[Shape], bool]


@dataclass(frozen=True, slots=True)
class Property:
    """A property of a resource: the members that lead to it, and its type in the service model."""

    name: str
    path: tuple[str, ...]
    type: str

    def require_scalar(self, member: str) -> None:
        """Refuse a structure, a list or a map where one value is needed."""
        if self.type not in _SCALARS:
            raise InvalidRequest(
                f"{member} {self.name} is a {self.type}: only a property with one value can be compared."
            )

    def values(self, record: Shape) -> Iterator[object]:
        """Every value that a record has there: several below a list, none where it has none."""
        yield from _values(record, self.path)


def property_of(resource: str, property_name: str) -> Property:
    """The property of that name.

    Raises:
        InvalidRequest: the resource has none. **Source:** "You must specify a valid property for the resource."
    """
    starts: list[tuple[tuple[str, ...], str]] = [((), _SHAPES.get(resource, resource))]
    if resource == "Model":  # its own properties stand one level below
        starts.append((("Model",), "Model"))
    for before, shape in starts:
        found = _walk(shape, property_name)
        if found is not None:
            return Property(property_name, (*before, *found[0]), found[1])
    raise InvalidRequest(f"{property_name} is not a property of {resource}.")


def matcher(resource: str, params: Shape) -> Matches:
    """Whether a record of that resource satisfies the request's expression; any does where there is none.

    Raises:
        InvalidRequest: the expression is empty, too long, or a filter breaks a rule; names the filter and the rule.
        UnsupportedRequest: it has nested filters.
    """
    if "SearchExpression" not in params:
        return lambda record: True
    conditions: list[str] = []
    made = _expression(resource, struct(params, "SearchExpression"), conditions)
    if conditions.count("Contains") > 1:
        raise InvalidRequest("'CONTAINS' operator usage limit of 1 exceeded.")
    return made


def reads_tags(params: Shape) -> bool:
    """Whether the request's expression or order looks at tags."""
    named = [text(params, "SortBy") or "", *_names(struct(params, "SearchExpression"))]
    return any("Tags" in each.split(".") for each in named)


def _names(expression: Shape) -> Iterator[str]:
    for one in structs(expression, "Filters"):
        yield text(one, "Name") or ""
    for below in structs(expression, "SubExpressions"):
        yield from _names(below)


def _expression(resource: str, expression: Shape, conditions: list[str]) -> Matches:
    if "NestedFilters" in expression:
        raise UnsupportedRequest(NESTED.told("SearchExpression.NestedFilters", None))
    filters, below = structs(expression, "Filters"), structs(expression, "SubExpressions")
    if not filters and not below:
        raise InvalidRequest("A SearchExpression needs at least one of Filters and SubExpressions.")
    if len(conditions) + len(filters) + len(below) > _MOST_CONDITIONS:
        raise InvalidRequest(f"The SearchExpression has more than {_MOST_CONDITIONS} conditions, all levels together.")
    parts = [_filter(resource, one, conditions) for one in filters]
    for one in below:
        conditions.append("SubExpression")
        parts.append(_expression(resource, one, conditions))
    together = any if text(expression, "Operator") == "Or" else all
    return lambda record: together(part(record) for part in parts)


def _filter(resource: str, told: Shape, conditions: list[str]) -> Matches:
    of = property_of(resource, text(told, "Name") or "")
    value, operator = text(told, "Value"), text(told, "Operator")
    operator = operator or ("Equals" if value is not None else "Exists")
    conditions.append(operator)
    if operator in ("Exists", "NotExists"):
        if value is not None:
            raise InvalidRequest(f"The filter on {of.name} has the operator {operator}, which takes no Value.")
        wanted = operator == "Exists"
        return lambda record: (next(of.values(record), None) is not None) == wanted
    if value is None:
        raise InvalidRequest(f"The filter on {of.name} has the operator {operator}, which needs a Value.")
    of.require_scalar("The filter on")
    if operator in ("Contains", "In") and of.type != "string":
        raise InvalidRequest(f"The operator {operator} is for text; {of.name} is a {of.type}.")
    if operator in _COMPARISONS and of.type not in (*_NUMBERS, "timestamp"):
        raise InvalidRequest(f"The operator {operator} is for numbers and times; {of.name} is a {of.type}.")
    test = _test(operator, of, value)
    if operator == "NotEquals":
        return lambda record: not any(map(test, of.values(record)))
    return lambda record: any(map(test, of.values(record)))


_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "GreaterThan": lambda value, bound: value > bound,
    "GreaterThanOrEqualTo": lambda value, bound: value >= bound,
    "LessThan": lambda value, bound: value < bound,
    "LessThanOrEqualTo": lambda value, bound: value <= bound,
}


def _test(operator: str, of: Property, told: str) -> Callable[[object], bool]:
    if operator == "In":
        several = frozenset(part.strip() for part in told.split(","))
        return lambda value: value in several
    if operator == "Contains":
        return lambda value: isinstance(value, str) and told in value
    bound = _typed(of, told)
    if operator not in _COMPARISONS:
        return lambda value: value == bound
    compare = _COMPARISONS[operator]
    assert isinstance(bound, float)
    return lambda value: isinstance(value, int | float) and compare(value, bound)


def _typed(of: Property, told: str) -> str | float | bool:
    try:
        if of.type == "timestamp":
            moment = datetime.fromisoformat(told)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        if of.type in _NUMBERS:
            return float(told)
        if of.type == "boolean":
            return {"true": True, "false": False}[told.lower()]
    except (ValueError, KeyError, OverflowError):
        form = {"timestamp": "an ISO 8601 date-time", "boolean": "true or false"}.get(of.type, "a number")
        raise InvalidRequest(f"The Value {told!r} of the filter on {of.name} must be {form}.") from None
    return told


# --- properties ------------------------------------------------------------------------------------------------------


def _walk(shape_name: str, rest: str) -> tuple[tuple[str, ...], str] | None:
    """The path and the type of a dotted name below a shape; None where there is no such member."""
    shapes = service().shapes
    shape = shapes[shape_name]
    if shape.type == "list" and shape.member is not None:
        inner = shape.member.shape
        if inner == "Tag" and rest:
            return (rest,), "string"
        return _walk(inner, rest) if rest or shapes[inner].type in _SCALARS else ((), shape.type)
    if not rest:
        return (), shape.type
    if shape.type == "map" and shape.value is not None:
        return (rest,), shapes[shape.value.shape].type
    member, _, below = rest.partition(".")
    found = _walk(shape.members[member].shape, below) if member in shape.members else None
    return None if found is None else ((member, *found[0]), found[1])


def _values(of: object, path: tuple[str, ...]) -> Iterator[object]:
    if isinstance(of, list):
        for item in of:
            yield from _values(item, path) if not _is_tag(item, path) else _tag(item, path)
    elif not path:
        if of is not None:
            yield of
    elif isinstance(of, Mapping) and path[0] in of:
        yield from _values(of[path[0]], path[1:])


def _is_tag(item: object, path: tuple[str, ...]) -> bool:
    return isinstance(item, Mapping) and item.keys() == {"Key", "Value"} and len(path) == 1


def _tag(item: Mapping[str, object], path: tuple[str, ...]) -> Iterator[object]:
    if item["Key"] == path[0]:
        yield item["Value"]
