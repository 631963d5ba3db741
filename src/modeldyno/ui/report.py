"""The report of a job: one HTML file with everything in it, readable anywhere, for ever, without a network."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template, select_autoescape
from markupsafe import Markup, escape

from modeldyno.ui import words
from modeldyno.ui.words import Document

_OPEN_AT_MOST = 4  # more trials than this start folded, so that the page stays a page


def render_report(result: Document, target_per_minute: float | None = None) -> str:
    """The page for a result document (``dyno-result/1``).

    `target_per_minute` adds the instances and the monthly cost that such a load takes; without it the job's own target
    is used where it has one. Every text of the document is escaped: a model's log cannot become a part of the page.
    """
    target = target_per_minute or result["job"]["target_per_minute"]
    ranked = result["recommendations"]
    return _template().render(
        result=result,
        job=result["job"],
        recommendations=ranked,
        trials=_in_order(result),
        ranks={item["trial_index"]: item["rank"] for item in ranked},
        run_off=words.run_off_lines(result),
        unpriced=[item for item in ranked if item["cost_per_inference_usd"] is None],
        target=target,
        opened=any(item.get("open_loop") for item in ranked),
        fleets={item["rank"]: words.fleet(result, item, target) for item in ranked} if target else {},
        headline=words.headline(result, target),
        charts=_charts(result),
        open_at_most=_OPEN_AT_MOST,
    )


def environment() -> Environment:
    """How pages are made: what is inserted is escaped, and an unknown name is a defect."""
    return Environment(
        loader=PackageLoader("modeldyno.ui"),
        autoescape=select_autoescape(["html", "j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _template() -> Template:
    made = environment()
    made.globals |= {"own": own}
    made.filters |= {
        "count": words.count,
        "ms": words.milliseconds,
        "percent": words.percent,
        "mib": words.mebibytes,
        "usd": words.dollars,
        "seconds": words.seconds,
        "percentile": words.percentile,
        "price_words": words.price_words,
        "sentence": words.sentence,
        "moment": _moment,
        "breakable": _breakable,
    }
    made.globals |= {
        "per_million": words.per_million,
        "cost_label": words.cost_label,
        "plural": words.plural,
        "latency_of": words.latency_ms,
        "sureness": words.sureness,
        "sustained": words.sustained,
        "plan_basis": words.plan_basis,
        "least": words.least,
        "between_ms": words.between_ms,
        "plus_minus": words.plus_minus,
    }
    return made.get_template("report.html.j2")


def own(path: str) -> Markup:
    """A file of this room, as it stands: only what is shipped with Dyno is ever trusted as markup."""
    return Markup((files("modeldyno.ui") / path).read_text(encoding="utf-8"))


def _breakable(name: str) -> Markup:
    """A name that may be broken after its underscores."""
    return escape(name).replace("_", Markup("_<wbr>"))


def _moment(at: float | None) -> str:
    return "" if at is None else datetime.fromtimestamp(at, UTC).strftime("%-d %B %Y, %H:%M UTC")


def _in_order(result: Document) -> list[Document]:
    """Trials as a reader wants them: the recommended by rank, then the others by index."""
    ranks = {item["trial_index"]: item["rank"] for item in result["recommendations"]}
    return sorted(result["trials"], key=lambda trial: (ranks.get(trial["index"], len(ranks) + 1), trial["index"]))


def _charts(result: Document) -> dict[str, Any]:
    """What the page's script draws: columns of numbers, nothing to be interpreted."""
    return {
        "threshold_ms": result["job"]["threshold_ms"],
        "points": [
            _point(result, item) for item in result["recommendations"] if item["cost_per_inference_usd"] is not None
        ],
        "trials": {str(trial["index"]): _series(trial) for trial in result["trials"] if trial["windows"]},
    }


def _point(result: Document, item: Document) -> dict[str, Any]:
    return {
        "rank": item["rank"],
        "name": item["instance_type"],
        "settings": words.settings(item["environment"]),
        "latency_ms": words.latency_ms(result, item),
        "usd_per_million": item["cost_per_inference_usd"] * 1e6,
        "pareto": item["pareto"],
        "latency_between_ms": [item["latency_low_ms"], item["latency_high_ms"]],
        "usd_between": [_usd_per_million(item, item[f"capacity_{end}_per_minute"]) for end in ("high", "low")],
    }


def _usd_per_million(item: Document, per_minute: float | None) -> float | None:
    """The cost at the end of the throughput's interval; None when that is not known or not above 0, and of what is paid
    by use."""
    hourly = item["cost_per_hour_usd"]
    return hourly / (per_minute * 60) * 1e6 if per_minute and hourly is not None else None


def _series(trial: Document) -> dict[str, Any]:
    closed = [window for window in trial["windows"] if window.get("rate_per_minute") is None and window["users"]]
    windows = sorted(closed, key=lambda window: window["started_at"])
    first = windows[0]["started_at"]
    return {
        "chosen_users": trial["figures"]["users"] if trial["figures"] else None,
        "levels": _columns(
            sorted(trial["levels"], key=lambda level: level["users"]),
            ("users", "per_minute", "p50_ms", "p95_ms", "p99_ms"),
        ),
        "rates": _columns(trial.get("rates", []), ("rate_per_minute", "p50_ms", "p95_ms", "p99_ms")),
        "sustained_per_minute": words.sustained_per_minute(trial),
        "time": {"seconds": [round(window["started_at"] - first + window["duration_seconds"], 2) for window in windows]}
        | _columns(windows, ("users", "per_minute", "p50_ms", "p95_ms", "p99_ms", "cpu_percent")),
    }


def _columns(rows: list[Mapping[str, Any]], names: tuple[str, ...]) -> dict[str, list[Any]]:
    return {name: [_rounded(row[name]) for row in rows] for name in names}


def _rounded(value: Any) -> Any:
    return round(value, 3) if isinstance(value, float) else value
