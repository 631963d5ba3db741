"""Limits that only AWS's documentation states: data with their source, enforced where `documented_limits` is set."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import pairwise

from modeldyno.domain.errors import InvalidRequest
from modeldyno.domain.traffic import Phase, Stage
from modeldyno.operations.shapes import Shape


@dataclass(frozen=True, slots=True)
class Limit:
    """One rule on the member at `path` (``A.B[].C``): inclusive bounds or allowed values. `source` says where from."""

    path: str
    source: str
    min: float | None = None
    max: float | None = None
    values: tuple[str, ...] = ()


@cache
def documented_limits() -> tuple[tuple[Limit, ...], int]:
    """The limits, and by how many users a phase may begin away from where the one before it ended."""
    document = json.loads(files("modeldyno").joinpath("data", "documented_limits.json").read_text("utf-8"))
    limits = (Limit(**{**row, "values": tuple(row.get("values", ()))}) for row in document["limits"])
    return tuple(limits), int(document["phase_jump"]["max"])


def check_documented(params: Shape) -> None:
    """Refuse a recommendation job that breaks documented limits.

    Raises:
        InvalidRequest: every violation, in the wording of the service model's constraints.
    """
    limits, _ = documented_limits()
    found = [
        text for limit in limits for at, value in _values(params, limit.path) for text in _broken(limit, at, value)
    ]
    if found:
        raise InvalidRequest(found, constraint=True)


def check_jumps(phases: tuple[Phase, ...]) -> None:
    """Refuse phases that begin too far from where the phase before ended.

    **Source:** the SageMaker developer guide's troubleshooting page, rule and message. Assumption A-0022.
    """
    _, jump = documented_limits()
    for before, after in pairwise(phases):
        stage = Stage(0, before.duration_seconds, before.initial_users, before.spawn_per_minute / 60)
        end = stage.users_at(before.duration_seconds)
        if abs(after.initial_users - end) > jump:
            raise InvalidRequest(
                f"Users at the end of prev phase is {end} while initial users of current phase is "
                f"{after.initial_users}."
            )


def _values(of: object, path: str, at: str = "") -> Iterator[tuple[str, object]]:
    """Every value at a path, with its place in AWS's spelling (``a.1.member.b``)."""
    member, _, rest = path.partition(".")
    if not isinstance(of, dict) or member.removesuffix("[]") not in of:
        return
    value = of[member.removesuffix("[]")]
    here = f"{at}{_lower(member.removesuffix('[]'))}"
    if not member.endswith("[]"):
        yield from _values(value, rest, f"{here}.") if rest else iter([(here, value)])
        return
    for index, item in enumerate(value, 1):
        yield from _values(item, rest, f"{here}.{index}.member.") if rest else iter([(f"{here}.{index}.member", item)])


def _broken(limit: Limit, at: str, value: object) -> Iterator[str]:
    rule = None
    if limit.values and value not in limit.values:
        rule = f"Member must satisfy enum value set: [{', '.join(limit.values)}]"
    elif limit.min is not None and isinstance(value, int) and value < limit.min:
        rule = f"Member must have value greater than or equal to {limit.min:g}"
    elif limit.max is not None and isinstance(value, int) and value > limit.max:
        rule = f"Member must have value less than or equal to {limit.max:g}"
    if rule:
        yield f"Value '{value}' at '{at}' failed to satisfy constraint: {rule}"


def _lower(member: str) -> str:
    return re.sub("^.", lambda first: first[0].lower(), member)
