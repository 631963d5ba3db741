"""Figures in words: the one place that decides how a number, a price or a setting reads on a page or a terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from modeldyno.domain.catalog import PriceBasis
from modeldyno.domain.cost import HOURS_PER_MONTH, instances_for
from modeldyno.domain.failure import without_log

Document = Mapping[str, Any]
"""A result document (``dyno-result/1``) or a part of one, as `domain.result` makes it."""

UNKNOWN = "unknown"

_PRICE_WORDS = {
    PriceBasis.LISTED: "list price",
    PriceBasis.ESTIMATED: "estimated price",
    PriceBasis.EXAMPLE: "example price",
    PriceBasis.CONFIGURED: "your price",
    PriceBasis.UNKNOWN: "price unknown",
}


@dataclass(frozen=True, slots=True)
class Fleet:
    """What a target takes: instances of one kind, and what they cost in a month of 730 hours (None: no price).

    open_loop: planned with the rate of arrivals that holds the threshold; else with the closed-loop capacity.
    """

    instances: int
    usd_per_month: float | None
    open_loop: bool


def fleet(result: Document, recommendation: Document, target_per_minute: float) -> Fleet | None:
    """The fleet that carries `target_per_minute` on this recommendation; None when one instance carries nothing."""
    trial = trial_of(result, recommendation)
    rate = sustained_per_minute(trial)
    count = instances_for(target_per_minute, trial["figures"]["capacity_per_minute"] if rate is None else rate)
    if count is None:
        return None
    hourly = recommendation["cost_per_hour_usd"]
    each = None if hourly is None else hourly / max(recommendation["instance_count"], 1)
    return Fleet(count, None if each is None else each * count * HOURS_PER_MONTH, rate is not None)


def sustained_per_minute(trial: Document) -> float | None:
    """The rate of arrivals that do not wait at which one instance holds the threshold; None: not measured."""
    told = trial.get("open_loop")
    rate: float | None = told["per_minute"] if told else None
    return rate


def sustained(item: Document) -> tuple[str, str]:
    """That rate of a trial or a recommendation and its 95% interval, in words; empty where it was not asked."""
    told = item.get("open_loop")
    if not told:
        return "", ""
    if told["per_minute"] is None:
        return UNKNOWN, ""
    if told["at_least"]:
        return f"≥ {count(told['per_minute'])}", ""
    return count(told["per_minute"]), plus_minus(told["per_minute"], told["low_per_minute"], told["high_per_minute"])


def run_off_lines(result: Document) -> list[str]:
    """What the run-off said; nothing where there was none. Results of older Dynos do not tell."""
    ended = result.get("run_off")
    return [ended["note"]] if ended else []


def trial_of(result: Document, recommendation: Document) -> Document:
    """The trial that a recommendation rests on."""
    index = recommendation["trial_index"]
    found: Document = next(trial for trial in result["trials"] if trial["index"] == index)
    return found


def latency_ms(result: Document, recommendation: Document) -> float:
    """Its exact latency in milliseconds (the wire's is whole milliseconds, rounded up)."""
    exact: float = trial_of(result, recommendation)["figures"]["latency_ms"]
    return exact


def count(value: float | None) -> str:
    """A count or a rate: whole, with thousands apart; one decimal below ten when it is not whole."""
    if value is None:
        return UNKNOWN
    return f"{value:,.1f}" if abs(value) < 10 and value != int(value) else f"{value:,.0f}"


def milliseconds(value: float | None) -> str:
    """A latency with three figures: ``0.84 ms``, ``12.3 ms``, ``1,340 ms``."""
    if value is None:
        return UNKNOWN
    decimals = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:,.{decimals}f} ms"


def plus_minus(value: float, low: float | None, high: float | None) -> str:
    """The interval of a throughput: ``±0.8%``; empty when it is not known."""
    if low is None or high is None or value <= 0:
        return ""
    half = 100 * max(high - value, value - low) / value
    return f"±{half:.1f}%" if half < 9.95 else f"±{half:.0f}%"


def between_ms(low: float | None, high: float | None) -> str:
    """The interval of a latency: ``6.31 to 6.70 ms``; empty when it is not known."""
    if low is None or high is None:
        return ""
    first, last = milliseconds(low), milliseconds(high)
    return last if first == last else f"{first.removesuffix(' ms')} to {last}"


def sureness(recommendation: Document) -> tuple[str, str]:
    """The 95% intervals of its throughput and its latency, as they stand beneath the figures."""
    item = recommendation
    bounds = item["capacity_low_per_minute"], item["capacity_high_per_minute"]
    return (
        plus_minus(item["capacity_per_minute"], *bounds),
        between_ms(item["latency_low_ms"], item["latency_high_ms"]),
    )


def percent(value: float | None) -> str:
    """``87%``."""
    return UNKNOWN if value is None else f"{value:.0f}%"


def mebibytes(value: float | None) -> str:
    """Memory given in MiB: ``512 MiB``, ``7.5 GiB``."""
    if value is None:
        return UNKNOWN
    return f"{value:,.0f} MiB" if value < 1024 else f"{value / 1024:.3g} GiB"


def dollars(value: float | None) -> str:
    """Dollars: whole from a hundred on, cents from one on, else three figures: ``$1,204``, ``$7.50``, ``$0.0624``."""
    if value is None:
        return UNKNOWN
    if value >= 1 or value == 0:
        return f"${value:,.0f}" if value >= 100 else f"${value:,.2f}"
    decimals = max(2, 2 - math.floor(math.log10(value)))
    whole, _, fraction = f"{value:.{decimals}f}".partition(".")
    return f"${whole}.{fraction[:2]}{fraction[2:].rstrip('0')}"


def per_million(recommendation: Document) -> str:
    """The cost of a million inferences: an amount that a person can compare."""
    cost = recommendation["cost_per_inference_usd"]
    return dollars(None if cost is None else cost * 1e6)


def seconds(value: float | None) -> str:
    """A duration: ``42 s``, ``3 min 10 s``, ``2 h 05 min``."""
    if value is None:
        return UNKNOWN
    whole = round(value)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min" + (f" {rest} s" if rest else "")
    return f"{minutes // 60} h {minutes % 60:02d} min"


COMPILED = "compiled"
"""What stands beside a configuration whose model was compiled to ONNX."""


def percentile(value: float) -> str:
    """``P95``, ``P99.9``."""
    return f"P{value:g}"


def settings(environment: Mapping[str, str]) -> str:
    """Environment variables on one line: ``OMP_NUM_THREADS=1, WORKERS=2``; empty when there are none."""
    return ", ".join(f"{name}={value}" for name, value in sorted(environment.items()))


def price_words(basis: str) -> str:
    """What kind of price it is: ``list price``, ``estimated price``, ``example price``, ``price unknown``."""
    return _PRICE_WORDS.get(PriceBasis(basis), basis)


def hourly(recommendation: Document) -> str:
    """What an hour costs; a serverless endpoint is paid by use."""
    return "by use" if recommendation.get("serverless") else dollars(recommendation["cost_per_hour_usd"])


def cold_start(recommendation: Document) -> str:
    """How long a server of a serverless endpoint took to be ready; empty for others."""
    seconds_taken = recommendation.get("setup_seconds")
    return "" if seconds_taken is None else f"cold start {seconds_taken:.2f} s"


def cost_label(recommendation: Document) -> str:
    """The word that must stand beside its costs; empty for a list price, the user's own price and no price."""
    if recommendation["estimated"]:
        return "estimated"
    return "example price" if recommendation["price_basis"] == PriceBasis.EXAMPLE else ""


def sentence(text: str | None) -> str:
    """A fragment as a sentence: a capital at the front, a full stop at the end."""
    if not text:
        return ""
    name = not text.split()[0].strip(",:;").isalpha()  # of an instance type, a variable: spelt as it stands
    return (text[0] if name else text[0].upper()) + text[1:] + ("" if text[-1] in ".!?:)" else ".")


def blind_spot(result: Document) -> list[str]:
    """What no load can show, where the figures rest on one."""
    lasted = [trial["figures"]["total_seconds"] for trial in result["trials"] if trial["figures"]]
    if not lasted:
        return []
    short, long = f"{min(lasted):.0f}", f"{max(lasted):.0f}"
    span = short if short == long else f"{short} to {long}"
    told = f"The load took {span} seconds a configuration: what a model does later or less often"
    return [f"{told} (slow for a minute at first, pauses now and then) is not in the figures."]


def plural(number: int, noun: str) -> str:
    """``1 trial``, ``2 trials``."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def configuration(trial: Document) -> str:
    """A trial's configuration on one line: its type and the settings it was given."""
    words = settings(trial["environment"])
    if (specification := trial.get("inference_specification")) is not None:
        words = f"{specification} · {words}" if words else str(specification)
    if trial.get("existing_endpoint"):
        return f"the endpoint {trial['endpoint_name']}"
    name = f"{trial['instance_type']} · {COMPILED}" if trial.get("compiled") else str(trial["instance_type"])
    return f"{name} · {words}" if words else name


def performance(trial: Document) -> str:
    """What an endpoint that was there already has shown, in a sentence."""
    figures = trial["figures"]
    latency = f"{milliseconds(figures['latency_ms'])} ({percentile(figures['percentile'])})"
    return f"{trial['endpoint_name']}: {count(figures['capacity_per_minute'])} invocations a minute at {latency}."


def headline(result: Document, target_per_minute: float | None = None) -> str:
    """The answer of a job in one or two sentences."""
    job = result["job"]
    if not result["recommendations"]:
        return _no_answer(job)
    best = result["recommendations"][0]
    chosen = settings(best["environment"])
    name = f"the {COMPILED} model on {best['instance_type']}" if best.get("compiled") else best["instance_type"]
    text = f"Use {name}" + (f" with {chosen}" if chosen else "")
    text += (
        f": {count(best['capacity_per_minute'])} invocations a minute at {milliseconds(latency_ms(result, best))} "
        f"({percentile(best['percentile'])})"
    )
    if best["cost_per_inference_usd"] is not None:
        label = cost_label(best)
        text += f", for {per_million(best)} a million inferences" + (f" ({label})" if label else "")
    return f"{text}.{_fleet_sentence(result, best, target_per_minute)}"


def _fleet_sentence(result: Document, best: Document, target_per_minute: float | None) -> str:
    needed = fleet(result, best, target_per_minute) if target_per_minute else None
    if needed is None or target_per_minute is None:
        return ""
    text = f" {count(target_per_minute)} a minute take {plural(needed.instances, 'instance')}"
    text += f", {dollars(needed.usd_per_month)} a month" if needed.usd_per_month is not None else ""
    return f"{text}, {plan_basis(result, needed)}."


def least(result: Document, needed: Fleet) -> str:
    """A mark before a fleet of which only the least is known: arrivals hold a latency limit at no more than the
    capacity, so they take no fewer instances."""
    return "≥ " if result["job"]["threshold_ms"] and not needed.open_loop else ""


def plan_basis(result: Document, needed: Fleet) -> str:
    """By what a fleet was planned."""
    job = result["job"]
    if needed.open_loop:
        limit = f"{percentile(job['percentile'])} within {milliseconds(job['threshold_ms'])}"
        return f"planned for arrivals that do not wait ({limit})"
    asked = "" if job["threshold_ms"] else "; with a latency limit it is planned for arrivals that do not wait"
    return f"planned by the closed-loop capacity, without head-room{asked}"


def _no_answer(job: Document) -> str:
    status = job["status"]
    if status in {"PENDING", "IN_PROGRESS", "STOPPING"}:
        return "No recommendation yet: the job is still running."
    if status == "STOPPED":
        return "No recommendation: the job was stopped."
    return f"No recommendation. {without_log(job['failure_reason'] or '')}".strip()


def log_lines(tail: str) -> list[str]:
    """The lines of a log's end; one that comes again and again stands once, with how often."""
    counted = [(line, len(list(same))) for line, same in groupby(tail.splitlines()) if line.strip()]
    return [line if times == 1 else f"{line} ({times} times)" for line, times in counted]


def printable(text: str) -> str:
    """A foreign text on one line, without what a terminal would obey: such characters are told by their escapes."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
