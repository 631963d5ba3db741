"""What happened in the window that is open: counted as it happens, cut into a `Window` at its end."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from contextlib import suppress

from modeldyno.domain.measurement import Window


class Recorder:
    """Counts of the open window. `latency_counts`, `failed` and `bytes_received` are written by the users directly."""

    def __init__(self) -> None:
        self.latency_counts: defaultdict[int, int] = defaultdict(int)
        self.failed: defaultdict[str, int] = defaultdict(int)
        self.bytes_received = 0
        self._schedstat = _open_schedstat()
        self._cpu_ns = time.process_time_ns()
        self._delay_ns = self._run_delay_ns()
        self._epoch = time.time() - time.perf_counter_ns() / 1e9
        self.opened_ns = time.perf_counter_ns()

    @property
    def empty(self) -> bool:
        """Whether nothing has happened in the open window."""
        return not (self.latency_counts or self.failed or self.bytes_received)

    def cut(self, sequence: int, users: int, *, settling: bool) -> Window:
        """Close the window, in which `users` were active, now; open the next at the same nanosecond."""
        now_ns, cpu_ns, delay_ns = time.perf_counter_ns(), time.process_time_ns(), self._run_delay_ns()
        window = Window(
            sequence=sequence,
            started_at=self._epoch + self.opened_ns / 1e9,
            duration_seconds=(now_ns - self.opened_ns) / 1e9,
            users=users,
            latency_counts=dict(self.latency_counts),
            failed=dict(self.failed),
            bytes_received=self.bytes_received,
            generator_cpu_seconds=(cpu_ns - self._cpu_ns) / 1e9,
            generator_delay_seconds=(delay_ns - self._delay_ns) / 1e9,
            settling=settling,
        )
        self.latency_counts.clear()
        self.failed.clear()
        self.bytes_received = 0
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
