"""Time cut into windows: about one a second, and one at once where the load changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import perf_counter_ns

from modeldyno.domain.measurement import Window
from modeldyno.load.recorder import Level, Recorder


class Shutter:
    """Windows one after the other, with no time between them. `level`: the load of the open one from its beginning."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        recorder: Recorder,
        lengths_seconds: tuple[float, float],
        in_flight: Callable[[], int],
        emit: Callable[[Window], None],
    ) -> None:
        self.level = Level(0)
        self._loop = loop
        self._recorder = recorder
        self._in_flight = in_flight
        self._emit = emit
        self._sequence = 0
        self._window_ns, self._settle_ns = (round(seconds * 1e9) for seconds in lengths_seconds)
        self._settling = False
        self._due_ns = recorder.opened_ns
        self._open(self._window_ns)

    def change(self, level: Level, *, unseen: bool) -> None:
        """End the open window here and begin a settling one of `level`; `unseen`: the one that ends is not told."""
        self._timer.cancel()
        short = perf_counter_ns() - self._recorder.opened_ns < self._window_ns
        window = self._cut(settling=self._settling or short)
        self.level = level
        self._settling = True
        self._due_ns = self._recorder.opened_ns
        self._open(self._settle_ns)
        if not unseen:
            self._tell(window)

    def _boundary(self) -> None:
        window = self._cut(settling=self._settling)
        self._settling = False
        self._open(self._window_ns)
        self._tell(window)

    def _cut(self, *, settling: bool) -> Window:
        return self._recorder.cut(self._sequence, self.level, settling=settling, in_flight=self._in_flight())

    def _tell(self, window: Window) -> None:
        self._sequence += 1
        self._emit(window)

    def _open(self, length_ns: int) -> None:
        now_ns = perf_counter_ns()
        self._due_ns += length_ns
        if self._due_ns <= now_ns:  # the loop was held up: that window was long, the next is not
            self._due_ns = now_ns + length_ns
        self._timer = self._loop.call_later((self._due_ns - now_ns) / 1e9, self._boundary)
