"""Reading requests that `wire` has decoded and validated: wire names, types already right."""

from __future__ import annotations

from typing import TypeAlias

Shape: TypeAlias = dict[str, object]


def struct(of: Shape, member: str) -> Shape:
    """A structure or map; empty when absent."""
    value = of.get(member)
    return value if isinstance(value, dict) else {}


def structs(of: Shape, member: str) -> list[Shape]:
    """A list of structures; empty when absent."""
    value = of.get(member)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def text(of: Shape, member: str) -> str | None:
    """A string; None when absent."""
    value = of.get(member)
    return value if isinstance(value, str) else None


def name(of: Shape, member: str) -> str:
    """A required string."""
    value = of[member]
    assert isinstance(value, str)
    return value


def texts(of: Shape, member: str) -> tuple[str, ...]:
    """A list of strings; empty when absent."""
    value = of.get(member)
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def strings(of: Shape, member: str) -> dict[str, str]:
    """A map of strings; empty when absent."""
    return {key: value for key, value in struct(of, member).items() if isinstance(value, str)}


def integer(of: Shape, member: str) -> int | None:
    """An integer; None when absent."""
    value = of.get(member)
    return value if isinstance(value, int) else None


def number(of: Shape, member: str) -> float | None:
    """A number; None when absent."""
    value = of.get(member)
    return float(value) if isinstance(value, int | float) else None


def seconds(of: Shape, member: str) -> float | None:
    """A timestamp in seconds since the Unix epoch; None when absent."""
    return number(of, member)


def without(of: Shape, *members: str) -> Shape:
    """A copy without these members."""
    return {key: value for key, value in of.items() if key not in members}
