"""Two jobs side by side, as plain values for programs and as a table with a verdict in words for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from modeldyno.domain.difference import Change, Comparison, Verdict, compare, configuration_of, pairs, sample_of
from modeldyno.domain.errors import InvalidRequest
from modeldyno.ui import words
from modeldyno.ui.tables import plain_table
from modeldyno.ui.words import Document

_STYLES = {"same": "", "faster": "green", "slower": "red", "cannot tell": "yellow"}
_UNITS = {"throughput": "per_minute", "cost": "usd_per_million"}
_NAMES = {"throughput": "invocations a minute", "cost": "$ a million inferences"}


def comparison_document(a: Document, b: Document, tolerance: float) -> dict[str, Any]:
    """B beside A, trial by trial, as plain values (``dyno-comparison/1``); shares in percent.

    Raises:
        InvalidRequest: one is no result document, or has measured nothing.
    """
    found = pairs(a, b)
    for result in (a, b):
        if not found and not result["recommendations"]:
            raise InvalidRequest(f"There is nothing to compare: {result['job']['name']} has no recommendation.")
    told = [_pair(one, other, compare(sample_of(a, one), sample_of(b, other), tolerance)) for one, other in found]
    return {
        "format": "dyno-comparison/1",
        "a": _side(a),
        "b": _side(b),
        "tolerance_percent": 100 * tolerance,
        "notes": list(_notes(a, b, found)),
        "pairs": told,
    }


def _side(result: Document) -> dict[str, Any]:
    job = result["job"]
    return {"name": job["name"], "region": job["region"], "created_at": job["created_at"], "host": result.get("host")}


def _notes(a: Document, b: Document, found: list[tuple[Document, Document]]) -> Iterator[str]:
    if (text := other_host(a, b)) is not None:
        yield text
    one, other = found[0]
    if configuration_of(one) != configuration_of(other):
        yield "No configuration was measured by both: the best of A stands beside the best of B."
    for name, result, side in (("A", a, 0), ("B", b, 1)):
        left = len(result["recommendations"]) - len(found)
        if left > 0:
            indexes = {pair[side]["index"] for pair in found}
            rest = [trial for trial in result["trials"] if trial["figures"] and trial["index"] not in indexes]
            yield f"Measured in {name} alone: {', '.join(words.configuration(trial) for trial in rest)}."


def other_host(a: Document, b: Document) -> str | None:
    """That two results are of unlike hosts, in words; None when they are of like ones, or it is not known."""
    hosts = [result["host"] for result in (a, b) if result.get("host")]
    told = [f"{host['processor']}, {words.plural(host['cores'], 'core')}" for host in hosts]
    if len(told) < 2 or told[0] == told[1]:
        return None
    return f"They were measured on unlike hosts ({told[0]}; {told[1]}): the difference may be the hosts'."


def _pair(one: Document, other: Document, comparison: Comparison) -> dict[str, Any]:
    return {
        "a": _trial(one),
        "b": _trial(other),
        "verdict": str(comparison.verdict),
        "why": comparison.why,
        "in_words": in_words(comparison),
        "figures": [_figure(change) for change in comparison.changes],
    }


def _trial(trial: Document) -> dict[str, Any]:
    return {
        "trial_index": trial["index"],
        "instance_type": trial["instance_type"],
        "environment": trial["environment"],
        "compiled": trial.get("compiled"),
        "users": trial["figures"]["users"],
        "flags": trial["flags"],
    }


def _figure(change: Change) -> dict[str, Any]:
    seen = change.difference
    return {
        "name": change.name,
        "unit": _UNITS.get(change.name, "ms"),
        "a": change.a,
        "b": change.b,
        "difference_percent": None if seen is None else 100 * seen.relative,
        "low_percent": None if seen is None else 100 * seen.low,
        "high_percent": None if seen is None else 100 * seen.high,
        "verdict": None if change.verdict is None else str(change.verdict),
        "decides": change.decides,
        "seconds_needed": change.seconds_needed,
        "note": change.note,
    }


def in_words(comparison: Comparison) -> str:
    """The verdict in a sentence."""
    verdict = comparison.verdict
    if verdict is not Verdict.CANNOT_TELL:
        deciding = [change for change in comparison.changes if change.decides and change.difference]
        told = ", ".join(_change_in_words(change) for change in deciding)
        head = "B is the same" if verdict is Verdict.SAME else f"B is {verdict}"
        return f"{head}: {told}" + (f" ({comparison.why})" if comparison.why else "") + "."
    open_ = [change for change in comparison.changes if change.decides and change.verdict is Verdict.CANNOT_TELL]
    return f"Cannot tell whether B is faster or slower: {comparison.why}.{_needed(open_, comparison.disturbed)}"


def _needed(changes: list[Change], disturbed: bool) -> str:
    known = [change.seconds_needed for change in changes]
    if not known or any(change.difference is None for change in changes):
        return ""
    if disturbed:
        return " The host was not quiet meanwhile (the remarks tell): measure it again on a quiet machine."
    if any(seconds is None for seconds in known):
        return " More load would not tell: deployments of the same thing differ as much."
    return f" About {words.seconds(max(seconds for seconds in known if seconds is not None))} more load would tell."


def _change_in_words(change: Change) -> str:
    assert change.difference is not None
    return f"{_NAMES.get(change.name, change.name.upper())} {difference_words(change.difference.relative)}"


def difference_words(share: float) -> str:
    """``+3.1%``, ``-12%``: a change with its sign, one decimal below ten percent."""
    percent = 100 * share
    return f"{percent:+.1f}%" if abs(percent) < 9.95 else f"{percent:+.0f}%"


def comparison_view(document: Document) -> RenderableType:
    """A comparison (``dyno-comparison/1``) for a terminal."""
    heading = f"A: {document['a']['name']}   B: {document['b']['name']}"
    parts: list[RenderableType] = [Text(heading, style="bold")]
    for pair in document["pairs"]:
        names = [words.configuration(pair[side]) for side in ("a", "b")]
        title = names[0] if names[0] == names[1] else f"{names[0]} (A), {names[1]} (B)"
        parts += [Text(""), Text(title, style="bold"), _table(pair["figures"])]
        parts.append(Text(pair["in_words"], style=f"bold {_STYLES[pair['verdict']]}"))
        parts += [Padding(Text(line), (0, 0, 0, 2)) for line in _remarks(pair)]
    parts += [Text(""), *(Text(note) for note in document["notes"])] if document["notes"] else []
    return Group(*parts)


def _remarks(pair: Document) -> Iterator[str]:
    for figure in pair["figures"]:
        if figure["note"]:
            yield f"{_NAMES.get(figure['name'], figure['name'].upper())}: {figure['note']}."
    for side in ("a", "b"):
        for text in pair[side]["flags"].values():
            yield f"{side.upper()}: {words.sentence(text)}"


def _table(figures: list[Document]) -> RenderableType:
    table = plain_table("", "A", "B", "B - A", "99.5% interval", "", numbers=("A", "B", "B - A", "99.5% interval"))
    for figure in figures:
        known = figure["difference_percent"] is not None
        shares = [figure[name] / 100 for name in ("low_percent", "high_percent")] if known else []
        table.add_row(
            _NAMES.get(figure["name"], figure["name"].upper()),
            _value(figure["name"], figure["a"]),
            _value(figure["name"], figure["b"]),
            difference_words(figure["difference_percent"] / 100) if known else "",
            " to ".join(difference_words(share) for share in shares),
            Text(figure["verdict"] or "", style=_STYLES.get(figure["verdict"] or "", "")),
        )
    return table


def _value(name: str, value: float | None) -> str:
    show = {"throughput": words.count, "cost": words.dollars}.get(name, words.milliseconds)
    return show(value)
