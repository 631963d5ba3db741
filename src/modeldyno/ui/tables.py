"""Tables for a terminal: the ranking, the trials and the jobs, with the same words as the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from modeldyno.ui import words
from modeldyno.ui.words import Document

_LOG_LINES = 12  # a traceback's end; `dyno logs` has the rest
_STATUS_STYLES = {
    "COMPLETED": "green",
    "FAILED": "red",
    "STOPPED": "yellow",
    "STOPPING": "yellow",
    "IN_PROGRESS": "cyan",
}


def status_text(status: str) -> Text:
    """A status in its colour."""
    return Text(status, style=_STATUS_STYLES.get(status, ""))


def plain_table(*columns: str, numbers: Sequence[str] = ()) -> Table:
    """A table without a frame; the columns named in `numbers` are aligned to the right."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        number = column in numbers
        table.add_column(column, justify="right" if number else "left", no_wrap=number, overflow="fold")
    return table


def results_view(result: Document, target_per_minute: float | None = None) -> RenderableType:
    """A job's answer: the headline, the ranking, what to know about its figures, what failed and why, what was left."""
    target = target_per_minute or result["job"]["target_per_minute"]
    parts: list[RenderableType] = [Text(words.headline(result, target), style="bold")]
    if result["recommendations"]:
        parts += [Text(""), ranking(result, target)]
    for title, lines in (
        ("How the leaders were told apart", words.run_off_lines(result)),
        ("The endpoint as it serves", _endpoint_lines(result)),
        ("What to know about these figures", [*_flag_lines(result), *words.blind_spot(result)]),
        ("Failed", _failure_lines(result)),
        ("The last lines of the log", [] if result["recommendations"] else _log_lines(result)),
        ("Left out", [str(note) for note in result["job"]["plan_notes"]]),
    ):
        if lines:
            parts += [Text(""), Text(title, style="bold"), *(Padding(Text(line), (0, 0, 0, 2)) for line in lines)]
    return Group(*parts)


def ranking(result: Document, target_per_minute: float | None = None) -> Table:
    """The ranked table. `target_per_minute` adds the instances and the monthly cost that such a load takes."""
    percentile = words.percentile(result["job"]["percentile"])
    opened = any(item.get("open_loop") for item in result["recommendations"])
    numbers = ["#", "inv/min", *(["open loop/min"] if opened else [])]
    numbers += [percentile, "CPU", "memory", "$/hour", "$/million"]
    numbers += ["instances", "$/month"] if target_per_minute else []
    table = plain_table("#", "configuration", *numbers[1:], numbers=numbers)
    for item in result["recommendations"]:
        throughput, latency = words.sureness(item)
        cells: list[RenderableType] = [
            _above(words.count(item["capacity_per_minute"]), throughput),
            *([_above(*words.sustained(item))] if opened else []),
            _above(words.milliseconds(words.latency_ms(result, item)), latency.removesuffix(" ms")),
            words.percent(item["cpu_percent"]),
            words.percent(item["memory_percent"]),
            words.hourly(item),
            words.per_million(item),
        ]
        cells += _fleet_cells(result, item, target_per_minute) if target_per_minute else []
        compiled = words.COMPILED if item.get("compiled") else ""
        pareto = "Pareto" if item["pareto"] else ""
        remarks = compiled, words.cost_label(item), words.cold_start(item), pareto
        configuration = configuration_cell(item["instance_type"], item["environment"], *remarks)
        table.add_row(str(item["rank"]), configuration, *cells, style="bold" if item["rank"] == 1 else "")
    return table


def configuration_cell(name: str, environment: Mapping[str, str], *remarks: str) -> Text:
    """A type with remarks beside it, and its settings below, a line each."""
    text = Text(name)
    text.append("".join(f" · {remark}" for remark in remarks if remark), style="not bold dim")
    for variable, value in sorted(environment.items()):
        text.append(f"\n{variable}={value}", style="not bold dim")
    return text


def _above(figure: str, interval: str) -> Text:
    """A figure with its interval quietly below."""
    text = Text(figure)
    text.append(f"\n{interval}" if interval else "", style="not bold dim")
    return text


def _fleet_cells(result: Document, item: Document, target_per_minute: float) -> list[str]:
    needed = words.fleet(result, item, target_per_minute)
    if needed is None:
        return ["cannot", ""]
    least = words.least(result, needed)
    return [f"{least}{needed.instances}", f"{least}{words.dollars(needed.usd_per_month)}"]


def _endpoint_lines(result: Document) -> list[str]:
    """What an endpoint that was there already has shown."""
    return [
        words.performance(trial) for trial in result["trials"] if trial.get("existing_endpoint") and trial["figures"]
    ]


def _flag_lines(result: Document) -> list[str]:
    """Each flag once, with the ranks that it concerns."""
    ranks = {item["trial_index"]: item["rank"] for item in result["recommendations"]}
    about: dict[str, list[str]] = {}
    for trial in sorted(result["trials"], key=lambda trial: ranks.get(trial["index"], len(ranks) + 1)):
        place = f"#{ranks[trial['index']]}" if trial["index"] in ranks else words.configuration(trial)
        for text in trial["flags"].values():
            about.setdefault(words.sentence(text), []).append(place)
    everywhere = len(result["trials"]) if len(result["trials"]) > 1 else 0
    return [f"{'All' if len(places) == everywhere else ', '.join(places)}: {text}" for text, places in about.items()]


def _failure_lines(result: Document) -> list[str]:
    """Each reason once, with the configurations that it ended."""
    ended: dict[str, list[str]] = {}
    for trial in result["trials"]:
        if trial["failure_reason"]:
            ended.setdefault(words.sentence(trial["failure_reason"]), []).append(words.configuration(trial))
    return [
        f"{'All' if len(places) == len(result['trials']) > 1 else '; '.join(places)}: {reason}"
        for reason, places in ended.items()
    ]


def _log_lines(result: Document) -> list[str]:
    """Of the last trial whose model server wrote something."""
    tails = [trial["log_tail"] for trial in result["trials"] if trial["log_tail"]]
    return words.log_lines(tails[-1])[-_LOG_LINES:] if tails else []


_RANKED = ("instance_count", "cost_per_hour_usd", "cost_per_inference_usd", "pareto")
_MEASURED = (
    "capacity_per_minute",
    "capacity_low_per_minute",
    "capacity_high_per_minute",
    "percentile",
    "latency_ms",
    "latency_low_ms",
    "latency_high_ms",
    "users",
    "requests",
    "failed",
    "cpu_percent",
    "memory_percent",
)
_OPEN_LOOP = ("per_minute", "low_per_minute", "high_per_minute")
_OF_TRIAL = ("index", "instance_type", "status", "price_basis", "failure_reason")
_OPENED = tuple(f"open_loop_{name}" for name in _OPEN_LOOP)
ROW_NAMES = ("rank", *_OF_TRIAL, "environment", *_MEASURED, *_OPENED, *_RANKED, "flags")
"""The columns of `rows_of`."""


def rows_of(result: Document) -> list[dict[str, Any]]:
    """One flat row a trial, in order of index: for CSV. What is not known is None."""
    ranked = {item["trial_index"]: item for item in result["recommendations"]}
    return [_row(trial, ranked.get(trial["index"], {})) for trial in result["trials"]]


def _row(trial: Document, item: Document) -> dict[str, Any]:
    figures = trial["figures"] or {}
    return {
        "rank": item.get("rank"),
        "environment": words.settings((item or trial)["environment"]),
        "flags": "; ".join(trial["flags"].values()),
        **{name: trial[name] for name in _OF_TRIAL},
        **{name: figures.get(name) for name in _MEASURED},
        **{f"open_loop_{name}": (trial.get("open_loop") or {}).get(name) for name in _OPEN_LOOP},
        **{name: item.get(name) for name in _RANKED},
    }
