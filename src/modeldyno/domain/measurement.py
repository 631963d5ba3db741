"""A window: one second of load, as it was seen by the generator and by the instance."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from modeldyno.domain.latency import LatencyHistogram

WINDOW_SECONDS = 1.0
"""Length of a window while the load is constant."""
SETTLE_SECONDS = 0.25
"""Length of the window that follows a change of the load, in which the queue settles. Chosen: long against the
response times of most models, short against the windows that a level takes."""


@dataclass(frozen=True, slots=True)
class Window:
    """One second (about) of a trial's load.

    started_at: seconds since the Unix epoch. users: of a closed loop, constant within a window; 0 in an open loop.
    latency_counts: `LatencyHistogram.counts` of the *successful* answers that arrived in it. failed: failed invocations
    by kind: ``http_STATUS``, ``timeout``, ``connection_reset``, ``connection_refused``, ``connection_failed``,
    ``bad_answer``, ``not_sent``. generator_cpu_seconds and generator_delay_seconds: CPU used, and time spent runnable
    but not running, by the generator process. cpu_seconds, memory_bytes: of the instance, None where the host cannot
    tell. settling: it follows a change of the load, or was cut short by one: to be left out of figures on a constant
    load.

    Of an open loop, whose latencies count from the intended time: rate_per_second: the intended rate (None: closed
    loop). offered: arrivals intended in the window. backlog: those of them that had to wait in the generator because
    all connections it may open were in use. send_lag_ns: the longest that the generator was late for an intended time
    (part of the latency). in_flight, of either loop: requests at the window's end without an answer, sent or waiting.
    """

    sequence: int
    started_at: float
    duration_seconds: float
    users: int
    latency_counts: dict[int, int]
    failed: dict[str, int] = field(default_factory=dict)
    bytes_received: int = 0
    generator_cpu_seconds: float = 0.0
    generator_delay_seconds: float = 0.0
    cpu_seconds: float | None = None
    memory_bytes: int | None = None
    settling: bool = False
    rate_per_second: float | None = None
    offered: int | None = None
    in_flight: int = 0
    backlog: int = 0
    send_lag_ns: int = 0

    @property
    def succeeded(self) -> int:
        """Invocations answered well."""
        return sum(self.latency_counts.values())

    @property
    def failures(self) -> int:
        """Invocations that failed, of whatever kind."""
        return sum(self.failed.values())

    @property
    def per_second(self) -> float:
        """Successful invocations a second."""
        return self.succeeded / self.duration_seconds if self.duration_seconds > 0 else 0.0

    @property
    def latency(self) -> LatencyHistogram:
        """The histogram of successful answers."""
        return LatencyHistogram(self.latency_counts)


def merged_latency(windows: Iterable[Window]) -> LatencyHistogram:
    """The histogram of the union of the windows: merging loses nothing."""
    total: dict[int, int] = {}
    for window in windows:
        for bucket, count in window.latency_counts.items():
            total[bucket] = total.get(bucket, 0) + count
    return LatencyHistogram(total)


def throughput_per_second(windows: Sequence[Window]) -> float:
    """Successful invocations a second over all of the windows; 0 without any."""
    seconds = sum(window.duration_seconds for window in windows)
    return sum(window.succeeded for window in windows) / seconds if seconds else 0.0


def failure_share(windows: Iterable[Window]) -> float:
    """Failed invocations over all, 0..1; 0 when there were none."""
    good = bad = 0
    for window in windows:
        good += window.succeeded
        bad += window.failures
    return bad / (good + bad) if good + bad else 0.0


def joined(windows: Sequence[Window]) -> Window:
    """One window of several generators' at the same time, at least one: counts add up, the duration is their mean."""
    first = windows[0]
    failed: dict[str, int] = {}
    for window in windows:
        for kind, count in window.failed.items():
            failed[kind] = failed.get(kind, 0) + count
    open_loop = first.rate_per_second is not None
    return replace(
        first,
        duration_seconds=sum(window.duration_seconds for window in windows) / len(windows),
        users=sum(window.users for window in windows),
        latency_counts=merged_latency(windows).counts,
        failed=failed,
        bytes_received=sum(window.bytes_received for window in windows),
        generator_cpu_seconds=sum(window.generator_cpu_seconds for window in windows),
        generator_delay_seconds=sum(window.generator_delay_seconds for window in windows),
        rate_per_second=sum(window.rate_per_second or 0.0 for window in windows) if open_loop else None,
        offered=sum(window.offered or 0 for window in windows) if open_loop else None,
        in_flight=sum(window.in_flight for window in windows),
        backlog=sum(window.backlog for window in windows),
        send_lag_ns=max(window.send_lag_ns for window in windows),
    )
