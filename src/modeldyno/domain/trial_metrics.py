"""A trial's windows as metrics: what its load generator and its instance saw, second by second."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from modeldyno.domain.latency import bucket_bounds_ns
from modeldyno.domain.measurement import Window
from modeldyno.domain.metric import (
    CLIENT_ERRORS,
    CLIENT_INVOCATIONS,
    CLIENT_LATENCY,
    CPU,
    ERRORS_4XX,
    ERRORS_5XX,
    INVOCATIONS,
    MEMORY,
    MODEL_ERRORS,
    MODEL_LATENCY,
    PER_INSTANCE,
    USERS,
    Metric,
    Values,
    minute_of,
)


def trial_values(metric: Metric, windows: Iterable[Window], memory_limit: int | None) -> dict[int, Values]:
    """The values of a metric by minute (when it began, seconds since the Unix epoch); {} where windows tell nothing of
    it. A window belongs to the minute in which it began. `memory_limit`: bytes of the instance, None: unknown.

    Latencies and users are those of the closed loop: in the open loop nobody waits, and latencies count from the
    intended time of sending, which is another thing. There is no overhead, as the load goes to the model server
    itself, and one instance.
    """
    told: dict[int, Values] = {}
    take = _TAKES.get(metric)
    for window in windows if take is not None else ():
        values = Values()
        assert take is not None
        take(values, window, memory_limit)
        if values.count:
            told.setdefault(minute_of(window.started_at), Values()).merge(values)
    return told


_Take = Callable[[Values, Window, int | None], None]


def _sent(window: Window) -> int:
    """Requests that came to an end in the window."""
    return window.succeeded + window.failures - window.failed.get(_NOT_SENT, 0)


def _each(metric: Metric) -> _Take:
    def take(values: Values, window: Window, limit: int | None) -> None:
        if sent := _sent(window):
            values.add(metric.steps, sent)

    return take


def _errors(begins: str = "") -> _Take:
    """One or zero for each request. `begins`: of the kinds that count."""

    def take(values: Values, window: Window, limit: int | None) -> None:
        kinds = [kind for kind in window.failed if kind.startswith(begins) and kind != _NOT_SENT]
        failed = sum(window.failed[kind] for kind in kinds)
        for value, times in ((0, _sent(window) - failed), (1, failed)):
            if times:
                values.add(value, times)

    return take


def _latency(values: Values, window: Window, limit: int | None) -> None:
    if window.rate_per_second is None:
        for bucket, count in window.latency_counts.items():
            low, high = bucket_bounds_ns(bucket)
            values.add((low + high - 1) // 2, count)


def _users(values: Values, window: Window, limit: int | None) -> None:
    if window.rate_per_second is None:
        values.add(window.users)


def _cpu(values: Values, window: Window, limit: int | None) -> None:
    if window.cpu_seconds is not None and window.duration_seconds > 0:
        values.add(round(100.0 * window.cpu_seconds / window.duration_seconds * CPU.steps))


def _memory(values: Values, window: Window, limit: int | None) -> None:
    if window.memory_bytes is not None and limit:
        values.add(round(100.0 * window.memory_bytes / limit * MEMORY.steps))


_NOT_SENT = "not_sent"  # by the generator: the model knows nothing of it
_TAKES: dict[Metric, _Take] = {
    CLIENT_INVOCATIONS: _each(CLIENT_INVOCATIONS),
    CLIENT_ERRORS: _errors(),
    CLIENT_LATENCY: _latency,
    USERS: _users,
    INVOCATIONS: _each(INVOCATIONS),
    PER_INSTANCE: _each(PER_INSTANCE),
    ERRORS_4XX: _errors("http_4"),
    ERRORS_5XX: _errors("http_5"),
    MODEL_ERRORS: _errors(),
    MODEL_LATENCY: _latency,
    CPU: _cpu,
    MEMORY: _memory,
}
TRIAL_METRICS = tuple(_TAKES)
"""What a trial's windows tell."""
