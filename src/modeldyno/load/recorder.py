"""What happened in the window that is open: counted as it happens, cut into a `Window` at its end."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass

from modeldyno.domain.measurement import Window
from modeldyno.domain.traffic import Arrivals
from modeldyno.load.raw import FAILURES, RawFile


@dataclass(frozen=True, slots=True)
class Level:
    """A constant load: closed-loop users, or arrivals of a rate (None: closed loop)."""

    users: int
    per_second: float | None = None
    arrivals: Arrivals = Arrivals.POISSON


class Recorder:
    """Counts of the open window. Its public attributes are written by connections and arrivals directly."""

    def __init__(self, raw: RawFile | None = None) -> None:
        self.raw = raw
        self.latency_counts: defaultdict[int, int] = defaultdict(int)
        self.failed: defaultdict[str, int] = defaultdict(int)
        self.bytes_received = 0
        self.offered = 0
        self.backlog = 0
        self.send_lag_ns = 0
        self._schedstat = _open_schedstat()
        self._cpu_ns = time.process_time_ns()
        self._delay_ns = self._run_delay_ns()
        self._epoch = time.time() - time.perf_counter_ns() / 1e9
        self.opened_ns = time.perf_counter_ns()

    @property
    def empty(self) -> bool:
        """Whether nothing has happened in the open window."""
        return not (self.latency_counts or self.failed or self.bytes_received)

    def lose(self, kind: str, intended_ns: int, sent_ns: int = 0, first_ns: int = 0, size: int = 0) -> None:
        """Count a failure that has no status."""
        self.failed[kind] += 1
        if self.raw is not None:
            self.raw.add(intended_ns, sent_ns, first_ns, time.perf_counter_ns(), FAILURES[kind], size)

    def cut(self, sequence: int, level: Level, *, settling: bool, in_flight: int) -> Window:
        """Close the window, which had that load, now; open the next at the same nanosecond."""
        now_ns, cpu_ns, delay_ns = time.perf_counter_ns(), time.process_time_ns(), self._run_delay_ns()
        window = Window(
            sequence=sequence,
            started_at=self._epoch + self.opened_ns / 1e9,
            duration_seconds=(now_ns - self.opened_ns) / 1e9,
            users=level.users,
            latency_counts=dict(self.latency_counts),
            failed=dict(self.failed),
            bytes_received=self.bytes_received,
            generator_cpu_seconds=(cpu_ns - self._cpu_ns) / 1e9,
            generator_delay_seconds=(delay_ns - self._delay_ns) / 1e9,
            settling=settling,
            rate_per_second=level.per_second,
            offered=self.offered if level.per_second is not None else None,
            in_flight=in_flight,
            backlog=self.backlog,
            send_lag_ns=self.send_lag_ns,
        )
        if self.raw is not None:
            self.raw.flush()
        self.latency_counts.clear()
        self.failed.clear()
        self.bytes_received = self.offered = self.backlog = self.send_lag_ns = 0
        self.opened_ns, self._cpu_ns, self._delay_ns = now_ns, cpu_ns, delay_ns
        return window

    def _run_delay_ns(self) -> int:
        """Time spent runnable but not running since the process began; 0 where the host does not tell.

        **Source:** Linux Documentation/scheduler/sched-stats.rst, /proc/<pid>/schedstat, second field.
        """
        if self._schedstat is None:
            return 0
        return int(os.pread(self._schedstat, 128, 0).split()[1])


def _open_schedstat() -> int | None:
    with suppress(OSError):
        return os.open("/proc/self/schedstat", os.O_RDONLY | os.O_CLOEXEC)
    return None
