"""From windows to the figures of a trial."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from modeldyno.domain.job import StoppingRules
from modeldyno.domain.measurement import Window, merged_latency, throughput_per_second
from modeldyno.domain.statistics import Interval, independence_of, quantile_interval_ns, throughput_interval
from modeldyno.domain.stopping import Measured, percentile_ms
from modeldyno.domain.sustainable import SustainableSearch
from modeldyno.domain.trial import Figures, OpenLoop


def figures_of(
    measured: Measured, all_windows: Sequence[Window], rules: StoppingRules, memory_limit_bytes: int | None
) -> Figures | None:
    """The figures of a load; None when nothing was answered in the windows that they would rest on."""
    windows = measured.windows
    seconds = sum(window.duration_seconds for window in windows)
    latency = merged_latency(windows)
    at_percentile = percentile_ms(latency, rules.percentile)
    if at_percentile is None or seconds <= 0:
        return None
    shown = {f"p{p:g}": value for p in (50.0, 90.0, 95.0, 99.0) if (value := percentile_ms(latency, p)) is not None}
    peak = max((window.memory_bytes for window in windows if window.memory_bytes is not None), default=None)
    memory = None if peak is None or not memory_limit_bytes else 100.0 * peak / memory_limit_bytes
    return Figures(
        capacity_per_minute=throughput_per_second(windows) * 60,
        percentile=rules.percentile,
        latency_ms=at_percentile,
        latencies_ms=shown,
        users=measured.users,
        requests=latency.count,
        failed=sum(window.failures for window in windows),
        measured_seconds=seconds,
        warmup_seconds=measured.warmup_seconds,
        total_requests=sum(window.succeeded for window in all_windows),
        total_failed=sum(window.failures for window in all_windows),
        total_seconds=sum(window.duration_seconds for window in all_windows),
        errors=_errors(all_windows),
        cpu_percent=_cpu_percent(windows),
        memory_percent=memory,
        memory_peak_bytes=peak,
        generator_cpu_percent=100.0 * sum(window.generator_cpu_seconds for window in windows) / seconds,
        generator_delay_percent=100.0 * sum(window.generator_delay_seconds for window in windows) / seconds,
        first_window=windows[0].sequence,
        last_window=windows[-1].sequence,
        mean_latency_ms=None if (mean := latency.mean_ns()) is None else mean / 1e6,
        **_intervals(measured, rules.percentile / 100),
    )


def capacity_interval(measured: Measured) -> Interval | None:
    """The capacity a second with its 95% interval; None with fewer than two windows."""
    interval = throughput_interval(measured.windows)
    if interval is None:
        return None
    return replace(interval, high=max(interval.high, measured.plateau_per_second or 0.0))


def open_loop_of(search: SustainableSearch, windows: Sequence[Window], died: str | None) -> OpenLoop:
    """What a search for the sustainable rate found. `died`: what ended the model server under it."""
    found = search.found() if died is None else None
    note = died or ("" if found else "no rate was low enough to hold the threshold for sure")
    rate = found.rate if found else None
    return OpenLoop(
        per_minute=rate.value * 60 if rate else None,
        low_per_minute=rate.low * 60 if rate else None,
        high_per_minute=rate.high * 60 if rate else None,
        at_least=found.at_least if found else False,
        requests=sum(window.succeeded + window.failures for window in windows),
        seconds=sum(window.duration_seconds for window in windows),
        note=note,
    )


def _intervals(measured: Measured, fraction: float) -> dict[str, float | None]:
    """The 95% intervals of capacity and latency. That of the capacity reaches up to the height of the plateau, whose
    beginning the answer is: more users brought a little more."""
    windows = measured.windows
    throughput = capacity_interval(measured)
    latency = quantile_interval_ns(merged_latency(windows), fraction, independence=independence_of(windows, fraction))
    return {
        "capacity_low_per_minute": throughput.low * 60 if throughput else None,
        "capacity_high_per_minute": throughput.high * 60 if throughput else None,
        "latency_low_ms": latency[0] / 1e6 if latency else None,
        "latency_high_ms": latency[1] / 1e6 if latency else None,
    }


def _cpu_percent(windows: Sequence[Window]) -> float | None:
    """CPU summed over cores, in percent: two busy cores are 200. Windows without a reading do not count."""
    known = [(window.cpu_seconds, window.duration_seconds) for window in windows if window.cpu_seconds is not None]
    seconds = sum(duration for _, duration in known)
    return 100.0 * sum(cpu for cpu, _ in known) / seconds if seconds else None


def _errors(windows: Sequence[Window]) -> dict[str, int]:
    errors: dict[str, int] = {}
    for window in windows:
        for kind, count in window.failed.items():
            errors[kind] = errors.get(kind, 0) + count
    return errors
