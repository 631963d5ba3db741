"""What an experiment has shown: as a view for a terminal, and as one HTML file."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from typing import Any

from jinja2 import Template
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from modeldyno.ui import words
from modeldyno.ui.report import environment, own
from modeldyno.ui.tables import plain_table
from modeldyno.ui.words import Document

ENDED = ("Completed", "Cancelled")
STYLES = {"fit": "green", "harmful": "red", "cannot tell yet": "yellow"}
OUTCOMES = {
    "compared": "compared",
    "shadow_error": "shadow failed",
    "timeout": "shadow took too long",
    "dropped": "dropped: no room in the queue",
    "unsampled": "not sampled",
    "oversize": "too large to mirror",
    "production_failed": "production failed",
    "cancelled": "cancelled",
    "lost_in_crash": "lost in a crash",
    "in_flight": "in flight",
}
_FIELDS, _EXAMPLE_WIDTH = 10, 36
_NEITHER = "The verdict goes by labels; other fields that differ do not count against the shadow."


def shadow_view(document: Document) -> RenderableType:
    """The verdict, what it rests on, and what is to be known."""
    name, verdict = Text(document["experiment"]["name"]), document["verdict"]
    title = Text.assemble(name, ": ", summary(document), style=f"bold {STYLES[verdict]}")
    parts: list[RenderableType] = [title, Text(about(document))]
    if document["experiment"]["status_reason"]:
        parts.append(Text(f"Ended: {words.printable(document['experiment']['status_reason'])}"))
    for heading, content in (
        ("Questions", _findings(document)),
        (f"Latency, ms ({latency_basis(document)})", _latency(document)),
        ("Variants", _variants(document)),
        ("Every request that could be mirrored", Text(", ".join(accounted(document)))),
        ("Where answers differ", _fields(document)),
    ):
        if content is not None:
            parts += [Text(""), Text(heading, style="bold"), Padding(content, (0, 0, 0, 2))]
    return Group(*parts)


def _findings(document: Document) -> Table:
    table = plain_table("question", "verdict", "because")
    table.columns[1].no_wrap = True
    for one in document["findings"]:
        table.add_row(one["question"], Text(one["verdict"], style=STYLES[one["verdict"]]), one["in_words"])
    return table


def _latency(document: Document) -> Table | None:
    if not document["pairs"]:
        return None
    columns = ("production", "shadow", "within pairs", "queue wait")
    table = plain_table("", *columns, numbers=columns)
    for name, row in document["latency_ms"].items():
        difference = row["paired_difference"]
        table.add_row(
            name.upper(),
            between(row["production"]),
            between(row["shadow"]),
            "" if difference is None else f"{difference:+.2f}",
            number(row["queue_wait"]),
        )
    return table


def _variants(document: Document) -> Table:
    ended = document["experiment"]["status"] in ENDED
    measured = () if ended else ("CPU", "memory")
    numbers = ("instances", "requests/s", *measured, "$/hour", "$/million")
    table = plain_table("role", "variant", "model", "type", *numbers, numbers=numbers)
    for column in (0, 3):
        table.columns[column].no_wrap = True
    for one in document["variants"]:
        table.add_row(
            one["role"],
            Text(one["name"]),
            Text(one["model"] or ""),
            Text(one["instance_type"]),
            instances(one),
            number(one["requests_per_second"]),
            *(used(one[name]) for name in ("cpu_percent", "memory_percent") if not ended),
            hourly(one),
            number(one["usd_per_million_at_this_rate"]),
        )
    return table


def _fields(document: Document) -> RenderableType | None:
    if not document["fields"]:
        return None
    shown = {example["field"]: example for example in reversed(document["examples"])}
    table = plain_table("field", "pairs", "share", "production", "shadow", numbers=("pairs", "share"))
    for one in document["fields"][:_FIELDS]:
        example = shown.get(one["field"], {})
        cells = (_short(field_name(one["field"])), f"{one['pairs']:,}", f"{one['share_percent']:.1f}%")
        values = (_short(example.get("production", "")), _short(example.get("shadow", "")))
        table.add_row(*map(Text, (*cells, *values)))
    parts: list[RenderableType] = [table]
    if more := len(document["fields"]) - _FIELDS:
        parts += [Text(f"{words.plural(more, 'field')} more: --json has them.")] if more > 0 else []
    if note := fields_note(document):
        parts.append(Text(note, style="dim"))
    return Group(*parts)


def _short(text: str) -> str:
    text = words.printable(text)
    return text if len(text) <= _EXAMPLE_WIDTH else f"{text[: _EXAMPLE_WIDTH - 1]}…"


# --- words -----------------------------------------------------------------------------------------------------------


def summary(document: Document) -> str:
    """The verdict in one sentence."""
    verdict = document["verdict"]
    if verdict == "fit":
        return "the shadow is fit: in every question it is within its margin."
    if verdict == "harmful":
        return f"the shadow is harmful. {document['reason']}"
    status = document["experiment"]["status"]
    if not document["pairs"]:
        return f"cannot tell yet: {_NO_PAIRS.get(status, 'no request was mirrored')}."
    open_questions = [one["question"] for one in document["findings"] if one["verdict"] == verdict]
    named = " and ".join(filter(None, (", ".join(open_questions[:-1]), open_questions[-1])))
    if status in ENDED:
        return f"cannot tell: it ended with too few pairs to decide on {named}."
    return f"cannot tell yet: more pairs are needed to decide on {named}."


_NO_PAIRS = {
    "Creating": "the variants are being started",
    "Starting": "the variants are being started",
    "Created": "it waits for the start of its schedule",
    "Running": "no request has been mirrored so far",
}


def about(document: Document) -> str:
    """How much was seen, and how sure the intervals are."""
    experiment = document["experiment"]
    return (
        f"{experiment['status']} on endpoint {experiment['endpoint']}, {words.plural(document['pairs'], 'pair')} in "
        f"{document['seconds']:.0f} s, {experiment['sampling_percent']}% sampled. Intervals hold at every moment at "
        f"once, at {document['confidence_percent']:g}%."
    )


def latency_basis(document: Document) -> str:
    """Which pairs a quantile and its interval rest on."""
    return f"of {words.plural(document['spaced_pairs'], 'pair')} at least {document['apart_ms']:g} ms apart"


def accounted(document: Document) -> Iterator[str]:
    """Outcomes that came up, in words, with their sum first."""
    counts = document["accounting"]
    yield f"{counts['eligible']:,} in all"
    for name, outcome in OUTCOMES.items():
        if counts[name]:
            yield f"{counts[name]:,} {outcome}"


def fields_note(document: Document) -> str:
    """What the fields mean for the verdict, where it goes by labels."""
    return _NEITHER if document["answers"]["judged_by"] == "labels" else ""


def field_name(field: str) -> str:
    """A path as it is shown."""
    return field or "(the whole answer)"


def number(value: float | None) -> str:
    """With two decimals; empty where it is not known."""
    return "" if value is None else f"{value:.2f}"


def used(value: float | None) -> str:
    """Percent, of one core or of the memory; empty where it is not known."""
    return "" if value is None else words.percent(value)


def instances(variant: Document) -> str:
    """How many serve, of how many; once it is over, how many there were."""
    serving = variant["instances_in_service"]
    return str(variant["instances"]) if serving is None else f"{serving} of {variant['instances']}"


def hourly(variant: Document) -> str:
    """The fleet's price."""
    price = variant["usd_per_hour"]
    label = {"estimated": " (estimated)", "example": " (example)"}.get(variant["price_basis"], "")
    return "" if price is None else f"{price:.4g}{label}"


def between(row: dict[str, Any]) -> str:
    """A value with its interval, which has no upper end while too little is known of the tail."""
    if row["value"] is None:
        return ""
    low = f"{row['low']:.2f}"
    return (
        f"{row['value']:.2f} ({low} or more)"
        if row["high"] is None
        else f"{row['value']:.2f} ({low} to {row['high']:.2f})"
    )


# --- the page --------------------------------------------------------------------------------------------------------


def render_shadow(document: Document) -> str:
    """The page. Every text of the document is escaped: a model's answer cannot become a part of it."""
    return _template().render(document=document, experiment=document["experiment"])


@cache
def _template() -> Template:
    made = environment()
    shown = (own, between, number, used, instances, hourly, field_name, fields_note, latency_basis, summary, about)
    made.globals |= {each.__name__: each for each in shown}
    made.globals |= {"outcomes": OUTCOMES, "now": _now, "clock": _clock, "plural": words.plural}
    return made.get_template("shadow.html.j2")


def _now(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%-d %B %Y, %H:%M:%S UTC")


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%-d %b %H:%M:%S")
