"""Every rule of the service model, all violations at once, in AWS's wording.

botocore's client checks types, required members and minima only, and other clients check nothing: maxima, patterns
and enums are checked here or nowhere. One check a shape is built once and kept.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Mapping
from functools import cache, partial
from typing import Any

import msgspec
import regex

from modeldyno.domain.errors import InvalidRequest
from modeldyno.wire.service import Api, Shape, fold, lower_first, operation_shapes, shortened

# Patterns of the models that no Python engine reads, by what they mean. They are written for Java's UTF-16, where
# the surrogates stand for the characters beyond the basic plane.
PATTERNS = {
    r"[\u0020-\uD7FF\uE000-\uFFFD\uD800\uDC00-\uDBFF\uDFFF\t]*": (
        r"[\u0020-\uD7FF\uE000-\uFFFD\U00010000-\U0010FFFF\t]*"
    ),
    r"[\u0020-\uD7FF\uE000-\uFFFD\uD800\uDC00-\uDBFF\uDFFF\r\n\t]*": (
        r"[\u0020-\uD7FF\uE000-\uFFFD\U00010000-\U0010FFFF\r\n\t]*"
    ),
}
# A pattern may take this long on one value; then the value is refused, and no more patterns are tried in that request.
PATTERN_SECONDS = 0.1
# A value that is too long anyway is held against the pattern as well (AWS tells both) only up to this length.
PATTERN_LENGTH = 4096
# More than these are not collected: whoever breaks so many rules at once does not read them one by one.
VIOLATIONS = 200

Check = Callable[[Any, str, "_Report"], None]


class _Full(Exception):
    """`VIOLATIONS` is reached."""


class _Report:
    """What was found in one request so far."""

    __slots__ = ("extra", "patterns", "violations")

    def __init__(self, extra: Mapping[str, Collection[str]]) -> None:
        self.extra = extra
        self.patterns = True
        self.violations: list[str] = []

    def add(self, text: str) -> None:
        self.violations.append(text)
        if len(self.violations) >= VIOLATIONS:
            raise _Full

    def fails(self, value: str, path: str, rule: str) -> None:
        self.add(f"Value {value} at '{path}' failed to satisfy constraint: {rule}")


_NO_EXTRA: Mapping[str, Collection[str]] = {}


def validate_input(
    operation: str,
    params: Mapping[str, object],
    *,
    api: Api = Api.SAGEMAKER,
    extra_enum_values: Mapping[str, Collection[str]] = _NO_EXTRA,
) -> None:
    """Hold typed parameters (as `decode_call` gives them) against the operation's input shape.

    `extra_enum_values` are further values by the name of an enum shape (own instance types under
    ``ProductionVariantInstanceType``). Paths have lower-case first letters, list elements count from one
    (``tags.1.member.key``), map values go by their key (``environment.NAME.member``). Members that the model does not
    know are violations, with the nearest known name; of a union exactly one member must be there.

    Raises:
        UnknownOperation: the service has no such operation.
        InvalidRequest: with every violation (the first `VIOLATIONS` of them), long values cut.
    """
    report = _Report(extra_enum_values)
    try:
        _check(api, operation)(params, "", report)
    except _Full:
        pass
    except RecursionError as error:
        raise InvalidRequest("The request nests too deeply.") from error
    if report.violations:
        raise InvalidRequest(report.violations, constraint=True)


@cache
def compiled(pattern: str) -> regex.Pattern[str]:
    r"""A pattern of the service model as `regex` reads it; values must match as a whole.

    As in Java, where they come from, ``\d``, ``\w`` and ``\p{Alnum}`` mean ASCII, and ``\p{L}`` any letter.
    """
    categories = "\\p{" in pattern.replace("\\p{Alnum}", "")
    return regex.compile(PATTERNS.get(pattern, pattern), flags=0 if categories else regex.ASCII)


# --- one check a shape, built once -----------------------------------------------------------------------------------


@cache
def _check(api: Api, operation: str) -> Check:
    asked = operation_shapes(operation, api).input
    return _structure(Shape("structure"), {}) if asked is None else fold(api, asked.shape, _make)


def _make(shape: Shape, name: str, child: Callable[[str], Check]) -> Check:
    if shape.type == "structure":
        return _structure(shape, {m: (lower_first(m), child(ref.shape)) for m, ref in shape.members.items()})
    if shape.type == "list" and shape.member is not None:
        return _list(_bounds(shape), child(shape.member.shape))
    if shape.type == "map" and shape.key is not None and shape.value is not None:
        return _map(_bounds(shape), child(shape.key.shape), child(shape.value.shape))
    if shape.type == "string":
        return _string(shape, name)
    return _number(shape) if shape.type in _NUMBERS else _anything


_NUMBERS = frozenset({"integer", "long", "float", "double"})


def _anything(value: Any, path: str, report: _Report) -> None:
    """Nothing but its type is asked of a boolean, a timestamp or a blob, and that was read already."""


def _structure(shape: Shape, members: dict[str, tuple[str, Check]]) -> Check:
    required = tuple((name, lower_first(name)) for name in shape.required)
    unknown = partial(_unknown, {name.lower(): name for name in members})

    def check(value: Any, path: str, report: _Report) -> None:
        prefix = f"{path}." if path else ""
        for name, shown in required:
            if name not in value:
                report.fails("null", prefix + shown, "Member must not be null")
        if shape.union and len(value) != 1:
            choice = f"Exactly one of the members [{', '.join(members)}] must be set"
            report.fails(_quoted(value), path, choice)
        for name, item in value.items():
            known = members.get(name)
            if known is None:
                unknown(name, path, report)
            else:
                known[1](item, prefix + known[0], report)

    return check


def _unknown(known: dict[str, str], name: str, path: str, report: _Report) -> None:
    near = difflib.get_close_matches(name[:64].lower(), known, n=1, cutoff=0.7)
    where = f"'{path}'" if path else "the top level of the request"
    guess = f"; did you mean '{known[near[0]]}'?" if near else ""
    report.add(f"Unknown member '{shortened(name)}' at {where}{guess}")


def _list(bounds: Check | None, element: Check) -> Check:
    def check(value: Any, path: str, report: _Report) -> None:
        if bounds is not None:
            bounds(value, path, report)
        for index, item in enumerate(value, 1):
            element(item, f"{path}.{index}.member", report)

    return check


def _map(bounds: Check | None, key_check: Check, element: Check) -> Check:
    def check(value: Any, path: str, report: _Report) -> None:
        if bounds is not None:
            bounds(value, path, report)
        for key, item in value.items():
            key_check(key, f"{path}.{shortened(key)}.key", report)
            element(item, f"{path}.{shortened(key)}.member", report)

    return check


def _string(shape: Shape, name: str) -> Check:
    bounds = _bounds(shape)
    pattern = _pattern(shape) if shape.pattern is not None else None
    allowed = _enum(shape, name) if shape.enum else None
    checks = tuple(check for check in (allowed, bounds, pattern) if check is not None)
    if not checks:
        return _anything
    if len(checks) == 1:
        return checks[0]

    def check(value: Any, path: str, report: _Report) -> None:
        for rule in checks:
            rule(value, path, report)

    return check


def _enum(shape: Shape, name: str) -> Check:
    values = frozenset(shape.enum)

    def check(value: Any, path: str, report: _Report) -> None:
        if value not in values and value not in (extra := report.extra.get(name, ())):
            names = [*shape.enum, *(own for own in extra if own not in values)]
            report.fails(_quoted(value), path, f"Member must satisfy enum value set: [{', '.join(names)}]")

    return check


def _pattern(shape: Shape) -> Check:
    text = shape.pattern or ""
    rule = f"Member must satisfy regular expression pattern: {text}"
    longest = float("inf") if shape.max is None else max(shape.max, PATTERN_LENGTH)
    show = _hidden if shape.sensitive else _quoted

    def check(value: Any, path: str, report: _Report) -> None:
        if not report.patterns or len(value) > longest:
            return
        try:
            if compiled(text).fullmatch(value, timeout=PATTERN_SECONDS) is None:
                report.fails(show(value), path, rule)
        except TimeoutError:
            report.patterns = False
            report.fails(show(value), path, rule)

    return check


def _bounds(shape: Shape) -> Check | None:
    """The length of a string (in characters), or the size of a list or map."""
    if shape.min is None and shape.max is None:
        return None
    low, high = shape.min or 0, float("inf") if shape.max is None else shape.max
    show = _hidden if shape.sensitive else _quoted

    def check(value: Any, path: str, report: _Report) -> None:
        size = len(value)
        if size < low:
            report.fails(show(value), path, f"Member must have length greater than or equal to {low}")
        elif size > high:
            report.fails(show(value), path, f"Member must have length less than or equal to {high}")

    return check


def _number(shape: Shape) -> Check:
    if shape.min is None and shape.max is None:
        return _anything
    low = float("-inf") if shape.min is None else shape.min
    high = float("inf") if shape.max is None else shape.max

    def check(value: Any, path: str, report: _Report) -> None:
        if value < low:
            report.fails(_quoted(value), path, f"Member must have value greater than or equal to {low}")
        elif value > high:
            report.fails(_quoted(value), path, f"Member must have value less than or equal to {high}")

    return check


def _quoted(value: object) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return f"'{shortened(text)}'"


def _hidden(value: object) -> str:
    """What is shown of a value that the model marks as sensitive: nothing."""
    return "(sensitive)"
