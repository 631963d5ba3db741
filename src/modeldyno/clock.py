"""The only module that reads the time."""

from __future__ import annotations

import asyncio
import time


class SystemClock:
    """The machine's clock (`ports.Clock`)."""

    def now(self) -> float:
        """Seconds since the Unix epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait; cancellable."""
        await asyncio.sleep(seconds)

    def pause(self, seconds: float) -> None:
        """Wait, in a thread."""
        time.sleep(seconds)
