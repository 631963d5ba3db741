"""Whether two answers say the same: equal text, and numbers that differ by no more than single precision explains."""

from __future__ import annotations

import csv
import io
import json
import math
from importlib import import_module
from typing import Any, Iterator, Tuple  # noqa: UP035 - the runtime reads on Python 3.8

from . import codecs
from .answers import Answer

# Chosen: graphs compute in 32-bit floats, whose sums over some thousand terms keep five digits.
RELATIVE, ABSOLUTE = 1e-4, 1e-5


def difference(one: Answer, other: Answer) -> str | None:
    """How the second answer differs from the first, in words; None: they are equal."""
    if one.status != other.status:
        said = other.body.decode(errors="replace")[:200]
        return f"the status is {other.status}, not {one.status}: {said}"
    kind = codecs.media_type(one.content_type)
    if codecs.media_type(other.content_type) != kind:
        return f"the content type is {other.content_type}, not {one.content_type}"
    if one.body == other.body or one.status >= 400:
        return None
    try:
        return _first(_read(one.body, kind), _read(other.body, kind))
    except Exception:
        return "the bodies differ"


def _first(one: Any, other: Any) -> str | None:
    for a, b in _pairs(one, other):
        if not _equal(a, b):
            return f"{b!r} in place of {a!r}"
    return None


def _read(body: bytes, kind: str) -> Any:
    if kind == codecs.NPY:
        return import_module("numpy").load(io.BytesIO(body), allow_pickle=False).tolist()
    if kind == codecs.CSV:
        return [[_cell(cell) for cell in row] for row in csv.reader(io.StringIO(body.decode()))]
    return json.loads(body)


def _cell(text: str) -> Any:
    """A number where it is one, also at the end of a list: ``[0.1, 0.9]`` in a row of the built-in algorithm."""
    try:
        return float(text.strip(" []"))
    except ValueError:
        return text


def _pairs(one: Any, other: Any) -> Iterator[Tuple[Any, Any]]:  # noqa: UP006
    """What stands at the same place in both; a place that only one has is a pair of unequal ones."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        for key in one:
            yield from _pairs(one[key], other[key])
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for a, b in zip(one, other):  # noqa: B905 - of one length, and the runtime reads on Python 3.8
            yield from _pairs(a, b)
    else:
        yield one, other


def _equal(a: Any, b: Any) -> bool:
    numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in (a, b))
    if not numbers:
        return bool(a == b)
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    return math.isclose(a, b, rel_tol=RELATIVE, abs_tol=ABSOLUTE)
