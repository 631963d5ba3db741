"""Time cut into windows: about one a second, and one at once where the load changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import perf_counter_ns

from modeldyno.domain.measurement import Window
from modeldyno.load.recorder import Recorder


class Shutter:
    """Windows one after the other, with no time between them. `users` is what the open one had from its beginning."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        recorder: Recorder,
        window_seconds: float,
        settle_seconds: float,
        emit: Callable[[Window], None],
    ) -> None:
        self.users = 0
        self._loop = loop
        self._recorder = recorder
        self._emit = emit
        self._sequence = 0
        self._window_ns = round(window_seconds * 1e9)
        self._settle_ns = round(settle_seconds * 1e9)
        self._settling = False
        self._due_ns = recorder.opened_ns
        self._open(self._window_ns)

    def change(self, users: int, *, unseen: bool) -> None:
        """End the open window here and begin a settling one with `users`; `unseen`: the one that ends is not told."""
        self._timer.cancel()
        short = perf_counter_ns() - self._recorder.opened_ns < self._window_ns
        window = self._recorder.cut(self._sequence, self.users, settling=self._settling or short)
        self.users = users
        self._settling = True
        self._due_ns = self._recorder.opened_ns
        self._open(self._settle_ns)
        if not unseen:
            self._tell(window)

    def _boundary(self) -> None:
        window = self._recorder.cut(self._sequence, self.users, settling=self._settling)
        self._settling = False
        self._open(self._window_ns)
        self._tell(window)

    def _tell(self, window: Window) -> None:
        self._sequence += 1
        self._emit(window)

    def _open(self, length_ns: int) -> None:
        now_ns = perf_counter_ns()
        self._due_ns += length_ns
        if self._due_ns <= now_ns:  # the loop was held up: that window was long, the next is not
            self._due_ns = now_ns + length_ns
        self._timer = self._loop.call_later((self._due_ns - now_ns) / 1e9, self._boundary)
