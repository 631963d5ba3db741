"""Hypothesis strategies from the shapes of a service model: values that keep every rule, and ones that break one."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from modeldyno.wire.service import Api, Shape, lower_first, service
from modeldyno.wire.validate import compiled

_DEPTH = 5
_TEXT = st.text("abcXYZ019-_ é", max_size=40)


def valid(api: Api, name: str, depth: int = 0) -> st.SearchStrategy[Any]:
    """Values of a shape that keep each of its rules; deep down only what is required."""
    shape = service(api).shapes[name]
    match shape.type:
        case "structure":
            members = {member: st.deferred(_later(api, ref.shape, depth)) for member, ref in shape.members.items()}
            if shape.union:
                return st.sampled_from(sorted(members)).flatmap(lambda one: st.fixed_dictionaries({one: members[one]}))
            required = {member: members[member] for member in shape.required}
            optional = {member: made for member, made in members.items() if member not in required}
            return st.fixed_dictionaries(required, optional=optional if depth < _DEPTH else {})
        case "list":
            least = int(shape.min or 0)
            most = least if depth >= _DEPTH else min(int(shape.max or least + 2), least + 2)
            return st.lists(valid(api, shape.member.shape, depth + 1), min_size=least, max_size=max(least, most))
        case "map":
            least = int(shape.min or 0)
            key, value = valid(api, shape.key.shape, depth + 1), valid(api, shape.value.shape, depth + 1)
            return st.dictionaries(key, value, min_size=least, max_size=max(least, 2))
    return _scalar(shape)


def _later(api: Api, name: str, depth: int) -> Any:
    return lambda: valid(api, name, depth + 1)


def _scalar(shape: Shape) -> st.SearchStrategy[Any]:
    low = shape.min
    high = shape.max
    match shape.type:
        case "string":
            return _string(shape)
        case "integer" | "long":
            return st.integers(int(low if low is not None else -(2**31)), int(high if high is not None else 2**31 - 1))
        case "float" | "double":
            return st.floats(low if low is not None else -1e6, high if high is not None else 1e6, width=32)
        case "boolean":
            return st.booleans()
        case "timestamp":
            return st.floats(0, 2**32)
    return st.binary(max_size=20)


def _string(shape: Shape) -> st.SearchStrategy[str]:
    if shape.enum:
        return st.sampled_from(shape.enum)
    least, most = int(shape.min or 0), int(shape.max if shape.max is not None else 2**31)
    if shape.pattern is None:
        return st.text("abcXYZ019-_ é", min_size=least, max_size=min(most, least + 40))
    rule = compiled(shape.pattern)
    try:
        drawn = st.from_regex(re.compile(shape.pattern, re.ASCII), fullmatch=True)
    except re.error:  # one of Java's that `re` does not read
        drawn = _TEXT
    arns = st.sampled_from(["a", "ab-1", "s3://bucket/key", "arn:aws:iam::000000000000:role/dyno", "text/csv", "10"])
    return (drawn | arns | _TEXT).filter(
        lambda text: least <= len(text) <= most and rule.fullmatch(text, timeout=1.0) is not None
    )


@dataclass(frozen=True)
class Breach:
    """One rule that can be broken: the member's path as messages have it, and what breaks it."""

    path: str
    change: Any

    def of(self, params: dict[str, Any]) -> dict[str, Any]:
        """The parameters with the rule broken."""
        broken = copy.deepcopy(params)
        self.change(broken)
        return broken


def breaches(api: Api, name: str, value: Any, path: str = "", place: tuple[Any, ...] = ()) -> Iterator[Breach]:
    """Every rule of the shape that this value, which keeps it, could break."""
    shape = service(api).shapes[name]
    prefix = f"{path}." if path else ""
    wrong = _wrong_text(shape) if shape.type == "string" else _wrong_number(shape)
    yield from (Breach(path, _set(place, one)) for one in wrong)
    for member in shape.required:
        yield Breach(prefix + lower_first(member), _without(place, member))
    if shape.type == "list" and place and value and shape.max is not None and shape.max <= 50:
        yield Breach(path, _set(place, [copy.deepcopy(value[0]) for _ in range(int(shape.max) + 1)]))
    for inner, shown, step, item in _inside(shape, value):
        yield from breaches(api, inner, item, prefix + shown, (*place, step))


def _inside(shape: Shape, value: Any) -> Iterator[tuple[str, str, Any, Any]]:
    """The shape of each inner value, its name in messages, its key, and itself."""
    if shape.type == "structure":
        yield from ((shape.members[name].shape, lower_first(name), name, item) for name, item in value.items())
    elif shape.type == "list":
        yield from ((shape.member.shape, f"{place + 1}.member", place, item) for place, item in enumerate(value))
    elif shape.type == "map":
        yield from ((shape.value.shape, f"{key}.member", key, item) for key, item in value.items())


def _wrong_text(shape: Shape) -> Iterator[str]:
    if shape.enum:
        yield "none-of-these"
        return
    if shape.max is not None and shape.max <= 5000:
        yield "a" * (int(shape.max) + 1)
    if shape.min:
        yield ""
    if shape.pattern is not None and compiled(shape.pattern).fullmatch("\x00 \n", timeout=1.0) is None:
        yield "\x00 \n"


def _wrong_number(shape: Shape) -> Iterator[float]:
    if shape.type not in ("integer", "long", "float", "double"):
        return
    if shape.max is not None and shape.max < 2**31 - 1:
        yield shape.max + 1
    if shape.min is not None:
        yield shape.min - 1


def _without(place: tuple[Any, ...], member: str) -> Any:
    def change(params: Any) -> None:
        for step in place:
            params = params[step]
        del params[member]

    return change


def _set(place: tuple[Any, ...], wrong: Any) -> Any:
    def change(params: Any) -> None:
        for step in place[:-1]:
            params = params[step]
        params[place[-1]] = wrong

    return change
