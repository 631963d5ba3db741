"""Values with every member set, as botocore's shapes have them, and the same as they are inside."""

from __future__ import annotations

from datetime import UTC, datetime

MOMENT = datetime(2024, 2, 29, 12, 30, 15, 250000, tzinfo=UTC)
_SCALARS = {"string": "é \u2028 ñ😀", "boolean": True, "integer": 7, "long": 2**40, "float": 0.5, "blob": b"\x00\xffab"}


def sample(shape, depth=0, moment=MOMENT, text=None):
    """A value with every member set; a shape that holds itself ends after a few rounds."""
    match shape.type_name:
        case "structure":
            inner = {n: m for n, m in shape.members.items() if depth < 8 or n in shape.required_members}
            if getattr(shape, "is_tagged_union", False):
                inner = dict([*shape.members.items()][:1])
            return {name: sample(member, depth + 1, moment, text) for name, member in inner.items()}
        case "list":
            return [sample(shape.member, depth + 1, moment, text)] * 2
        case "map":
            return {key: sample(shape.value, depth + 1, moment, text) for key in ("a", "b-c")}
        case "timestamp":
            return moment
        case "string" if text is not None:
            return text
        case kind:
            return _SCALARS.get(kind, 0.1)


def on_our_side(value):
    """The same with timestamps as seconds since the epoch."""
    match value:
        case dict():
            return {key: on_our_side(item) for key, item in value.items()}
        case list():
            return [on_our_side(item) for item in value]
        case datetime():
            return value.timestamp()
        case _:
            return value
