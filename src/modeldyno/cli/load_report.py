"""What `dyno load` tells: the figures of its windows, as a document and in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from modeldyno.domain.measurement import Window, failure_share, merged_latency
from modeldyno.domain.quality import GENERATOR_CPU_LIMIT, GENERATOR_DELAY_LIMIT
from modeldyno.domain.statistics import independence_of, quantile_interval_ns, throughput_interval

PERCENTILES = {"p50": 0.50, "p90": 0.90, "p95": 0.95, "p99": 0.99, "p99_9": 0.999, "p99_99": 0.9999}


@dataclass(frozen=True, slots=True)
class RawKept:
    """Per-request records that were kept; `cut`: others were not, for the limit."""

    path: str
    records: int
    cut: bool


def report(
    measured: Sequence[Window], drained: Sequence[Window], *, processes: int, raw: RawKept | None
) -> dict[str, Any]:
    """The figures. Rates are of the measured windows; latencies and failures also of requests that ended after them,
    so that the slowest are not left out. Shares are of a core for each generator."""
    seconds = sum(window.duration_seconds for window in measured)
    every = (*measured, *drained)
    latency = merged_latency(every)
    throughput = throughput_interval(measured)
    failed: dict[str, int] = {}
    for window in every:
        for kind, count in window.failed.items():
            failed[kind] = failed.get(kind, 0) + count
    received = sum(window.bytes_received for window in measured)
    document: dict[str, Any] = {
        "processes": processes,
        "duration_seconds": seconds,
        "requests": latency.count + sum(failed.values()),
        "requests_per_second": sum(window.succeeded for window in measured) / seconds,
        "requests_per_second_interval": throughput and [throughput.low, throughput.high],
    }
    for name, fraction in PERCENTILES.items():
        value = latency.quantile_ns(fraction)
        interval = quantile_interval_ns(latency, fraction, independence=independence_of(measured, fraction))
        document[f"{name}_us"] = None if value is None else value / 1e3
        document[f"{name}_us_interval"] = interval and [bound / 1e3 for bound in interval]
    return document | {
        "failed": dict(sorted(failed.items())),
        "failure_share": failure_share(every),
        "bytes_received": received,
        "bytes_per_second": received / seconds,
        "generator_cpu_share": sum(window.generator_cpu_seconds for window in measured) / seconds / processes,
        "generator_delay_share": sum(window.generator_delay_seconds for window in measured) / seconds / processes,
        **_of_open_loop(measured, seconds),
        "raw": asdict(raw) if raw else None,
    }


def _of_open_loop(measured: Sequence[Window], seconds: float) -> dict[str, Any]:
    if measured[0].offered is None:
        return {}
    offered = sum(window.offered or 0 for window in measured)
    return {
        "offered": offered,
        "offered_per_second": offered / seconds,
        "backlog": sum(window.backlog for window in measured),
        "in_flight": measured[-1].in_flight,
        "send_lag_us": max(window.send_lag_ns for window in measured) / 1e3,
    }


def told(document: dict[str, Any]) -> str:
    """The document for a person."""
    interval = document["requests_per_second_interval"]
    sure = f"  ({interval[0]:,.1f} to {interval[1]:,.1f})" if interval else ""
    if document["loop"] == "closed":
        load = f"closed loop, users {document['users']}"
    else:
        load = f"open loop, {document['arrivals']} arrivals, {document['rate_per_second']:g}/s"
    lines = [
        f"{document['method']} {document['url']}  {load}, {document['duration_seconds']:.1f} s",
        f"requests/s  {document['requests_per_second']:>12,.1f}{sure}",
    ]
    for name in PERCENTILES:
        if (value := document[f"{name}_us"]) is None:
            continue
        interval = document[f"{name}_us_interval"]
        sure = f"({interval[0] / 1e3:.3f} to {interval[1] / 1e3:.3f})" if interval else "(too few for an interval)"
        lines.append(f"{name.replace('_', '.'):<10}  {value / 1e3:>12.3f} ms  {sure}")
    return "\n".join([*lines, *_remarks(document)])


def _remarks(document: dict[str, Any]) -> list[str]:
    """What to know about the figures."""
    failed = ", ".join(f"{kind} x {count}" for kind, count in document["failed"].items())
    lines = [f"failed      {document['failure_share']:>12.2%}  {failed}".rstrip()]
    lines.append(f"received    {document['bytes_received']:>12,} bytes, {document['bytes_per_second']:,.0f} a second")
    if document["loop"] == "open":
        lines.append(
            f"offered     {document['offered']:>12,}  ({document['offered_per_second']:,.1f}/s); "
            f"{document['in_flight']} in flight at the end, {document['backlog']} waited for a connection; "
            f"sent at most {document['send_lag_us']:,.0f} us late"
        )
    cpu, delay = document["generator_cpu_share"], document["generator_delay_share"]
    lines.append(f"generator   {cpu:>12.0%} of a core, delayed {delay:.2%} of the time")
    if cpu > GENERATOR_CPU_LIMIT:
        lines.append("The generator was busy: the server may be faster than shown.")
    if delay > GENERATOR_DELAY_LIMIT:
        lines.append("The generator had to wait for a core: latencies may be shorter than shown.")
    if document["interrupted"]:
        lines.append("It was interrupted: requests in flight then are not in these figures.")
    if (raw := document["raw"]) is not None:
        cut = ", the rest was left out" if raw["cut"] else ""
        lines.append(f"records     {raw['records']:>12,} in {raw['path']}{cut}")
    return lines
