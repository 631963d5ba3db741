"""Clocks for tests: one that runs faster than the world, one that stands still."""

from __future__ import annotations

import asyncio
import time


class FastClock:
    """A clock `factor` times as fast as the machine's (`ports.Clock`): sleeps are that much shorter."""

    def __init__(self, factor: float = 50.0, start: float = 1_700_000_000.0) -> None:
        self._factor = factor
        self._start = start
        self._begun = time.monotonic()

    def now(self) -> float:
        """Seconds since the Unix epoch, as this clock has it."""
        return self._start + self.monotonic()

    def monotonic(self) -> float:
        """Seconds since the clock was made."""
        return (time.monotonic() - self._begun) * self._factor

    async def sleep(self, seconds: float) -> None:
        """Wait `seconds` of this clock."""
        await asyncio.sleep(seconds / self._factor)

    def pause(self, seconds: float) -> None:
        """Wait, in a thread."""
        time.sleep(seconds / self._factor)


class ManualClock:
    """A clock that stands still until it is told (`ports.Clock`); `sleep` only moves it on."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self.time = start

    def now(self) -> float:
        """The time it was set to."""
        return self.time

    def monotonic(self) -> float:
        """The same."""
        return self.time

    async def sleep(self, seconds: float) -> None:
        """Move on by `seconds`, at once."""
        self.time += seconds
        await asyncio.sleep(0)
