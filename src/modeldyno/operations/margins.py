"""The margins of an experiment: of dyno.toml, and of the experiment's own tags over them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields

import msgspec

from modeldyno.domain.errors import InvalidRequest
from modeldyno.domain.experiment import Margins

PREFIX = "dyno:"
"""Tags that speak to Dyno: ``dyno:latency_percent`` is `Margins.latency_percent`."""

_Rule = tuple[str, Callable[[float], bool]]
_NOT_NEGATIVE: _Rule = ("0 or more", lambda value: 0 <= value < math.inf)
_RANGES: dict[str, _Rule] = {
    "latency_percent": _NOT_NEGATIVE,
    "error_percent": ("from 0 to 100", lambda value: 0 <= value <= 100),
    "agreement_percent": ("from 0 to 100", lambda value: 0 <= value <= 100),
    "numeric_tolerance": _NOT_NEGATIVE,
    "confidence_percent": ("from 50 to 99.9999", lambda value: 50 <= value <= 99.9999),
}


def margins_of(defaults: Margins, tags: dict[str, str]) -> Margins:
    """The margins, with those that the tags set.

    Raises:
        InvalidRequest: a tag that begins with the prefix names no margin, or its value is none.
    """
    given = {key.removeprefix(PREFIX): value for key, value in tags.items() if key.startswith(PREFIX)}
    known = [field.name for field in fields(Margins)]
    problems = [
        f"The tag {PREFIX}{key} names no margin; there are {', '.join(known)}." for key in given if key not in known
    ]
    if problems:
        raise InvalidRequest(problems)
    try:
        margins = msgspec.convert({**msgspec.to_builtins(defaults), **given}, Margins, strict=False)
    except msgspec.ValidationError as error:
        told = str(error).replace("`$.", f"`{PREFIX}")
        raise InvalidRequest(f"A tag has a value that is none of its margin: {told}.") from None
    if broken := [
        f"The tag {PREFIX}{name} is {getattr(margins, name):g}; it must be {words}."
        for name, (words, holds) in _RANGES.items()
        if name in given and not holds(getattr(margins, name))
    ]:
        raise InvalidRequest(broken)
    return margins
