"""Do two answers say the same? Byte for byte, field by field, and by the label that they give.

1. Answers that are equal byte for byte agree in everything.
2. What can be read (JSON, CSV, NPY: the caller reads) has rows of fields. Numbers agree within a relative tolerance;
   all else must be equal.
3. A row has a label where it is a text, a whole number or a truth value, or the largest of two or more numbers (the
   class with the highest score). A single fraction has none: it is a quantity.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

_MOST_FIELDS = 64
# So many places are looked at, be they values or what holds values; what comes after them is not compared.
_MOST_PLACES = 200_000
_SHOWN = 80
LABEL = "(label)"
"""Stands as a field's path for the class with the highest score: its place among the scores, from 0."""
_LONGEST_PATH = 200
_SHOW = reprlib.Repr()
_SHOW.maxstring = _SHOW.maxother = _SHOWN


@dataclass(frozen=True, slots=True)
class Difference:
    """A field that differs, its path (``predictions[].score``), and both values as text."""

    field: str
    production: str
    shadow: str


@dataclass(frozen=True, slots=True)
class Agreement:
    """How two answers compare. `labels`: rows with a label, and how many of them agree. `fields`: those that differ,
    each once, a label that follows from scores (`LABEL`) first. `error`: the largest relative difference of two
    numbers."""

    exact: bool
    agrees: bool
    labels: int = 0
    labels_agree: int = 0
    fields: tuple[Difference, ...] = ()
    error: float = 0.0


def compare(
    production: bytes, shadow: bytes, ours: object | None, theirs: object | None, tolerance: float
) -> Agreement:
    """Compare two bodies and the values that were read from them; None: one that cannot be read, then the bytes count.
    `tolerance`: relative, of numbers."""
    exact = production == shadow
    if ours is None or theirs is None:
        differs = () if exact else (Difference("", _shown(production), _shown(shadow)),)
        return Agreement(exact, exact, fields=differs)
    fields, error = _differences(ours, theirs, tolerance)
    labels = [(_label(one), _label(other)) for one, other in zip(_rows(ours), _rows(theirs), strict=False)]
    known = [(one, other) for one, other in labels if one is not None]
    same_length = len(_rows(ours)) == len(_rows(theirs))
    return Agreement(
        exact=exact,
        agrees=not fields,
        labels=len(known),
        labels_agree=sum(one == other for one, other in known) if same_length else 0,
        fields=(*_unlike_scores(ours, theirs), *fields.values()),
        error=error,
    )


# --- comparing -------------------------------------------------------------------------------------------------------


def _differences(ours: object, theirs: object, tolerance: float) -> tuple[dict[str, Difference], float]:
    found: dict[str, Difference] = {}
    worst = 0.0
    for path, one, other in _pairs(ours, theirs):
        error = _apart(one, other)
        if math.isfinite(error):
            worst = max(worst, error)
        if error > tolerance and path not in found and len(found) < _MOST_FIELDS:
            found[path] = Difference(path, _shown(one), _shown(other))
    return found, worst


class _Missing:
    """Stands where one of the two has nothing."""

    def __repr__(self) -> str:
        return "(absent)"


_MISSING = _Missing()


_Place = tuple[str, object, object]


def _pairs(ours: object, theirs: object) -> Iterator[_Place]:
    """Every place of both values; places of a list share one path. However deep they are, this is not."""
    open_places: list[Iterator[_Place]] = [iter([("", ours, theirs)])]
    for _ in range(_MOST_PLACES):
        while open_places and (place := next(open_places[-1], None)) is None:
            open_places.pop()
        if not open_places:
            return
        assert place is not None
        path, one, other = place
        if isinstance(one, dict) and isinstance(other, dict):
            open_places.append(_of_dicts(path, one, other))
        elif isinstance(one, list) and isinstance(other, list):
            below = _below(path, "[]")
            if len(one) != len(other):
                yield f"{below} (length)", len(one), len(other)
            open_places.append((below, left, right) for left, right in zip(one, other, strict=False))
        else:
            yield place


def _of_dicts(path: str, one: dict[object, object], other: dict[object, object]) -> Iterator[_Place]:
    for key in chain(one, (key for key in other if key not in one)):
        yield _below(path, f".{key}" if path else str(key)), one.get(key, _MISSING), other.get(key, _MISSING)


def _below(path: str, step: str) -> str:
    """Paths come from the models: they are cut where they are too long, and hold nothing that cannot be written."""
    below = path + step[: _LONGEST_PATH + 1]
    return _plain(below if len(below) <= _LONGEST_PATH else f"{below[: _LONGEST_PATH - 1]}…")


def _apart(one: object, other: object) -> float:
    """The relative difference of two numbers; 0 for equal values, infinite for unequal ones that are no numbers."""
    if not (_is_number(one) and _is_number(other)):
        return 0.0 if type(one) is type(other) and one == other else math.inf
    if one == other:
        return 0.0
    try:
        left, right = float(one), float(other)  # type: ignore[arg-type]
    except OverflowError:  # a whole number beyond any fraction
        return math.inf
    if math.isnan(left) and math.isnan(right):
        return 0.0
    if not (math.isfinite(left) and math.isfinite(right)):
        return math.inf
    largest, apart = max(abs(left), abs(right)), abs(left - right)
    return apart / largest if math.isfinite(apart) else abs(left / largest - right / largest)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _rows(value: object) -> list[object]:
    """The rows of an answer: those of a list, or of the one list in an object (``{"predictions": [...]}``)."""
    if isinstance(value, dict):
        lists = [each for each in value.values() if isinstance(each, list)]
        return lists[0] if len(lists) == 1 else [value]
    if not isinstance(value, list):
        return [value]
    return [value] if len(value) > 1 and all(map(_is_number, value)) else value


def _unlike_scores(ours: object, theirs: object) -> Iterator[Difference]:
    """The first row whose highest score is another class's. Other labels are fields of their own."""
    for one, other in zip(_rows(ours), _rows(theirs), strict=False):
        if isinstance(one, list) and len(one) > 1 and _label(one) is not None and _label(one) != _label(other):
            yield Difference(LABEL, _shown(_label(one)), _shown(_label(other)))
            return


def _label(row: object) -> object | None:
    """What a row says, where that is one of several classes."""
    while not isinstance(row, str | int):
        if isinstance(row, dict):
            row = next((row[key] for key in _LABELS if key in row), None)
        elif isinstance(row, list) and len(row) == 1:
            row = row[0]
        elif isinstance(row, list) and row and all(map(_is_number, row)):
            return max(range(len(row)), key=row.__getitem__)
        else:
            return None
    return row


_LABELS = ("label", "predicted_label", "prediction", "class")


def _shown(value: object) -> str:
    if isinstance(value, bytes):
        text = value[: 4 * _SHOWN].decode("utf-8", "replace")
    elif isinstance(value, dict | list):
        text = _SHOW.repr(value)
    else:
        text = str(value)
    return _plain(text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…")


def _plain(text: str) -> str:
    """Without halves of characters, which JSON may hold and nothing can store."""
    return text.encode("utf-8", "replace").decode()
