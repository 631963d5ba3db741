"""What does not come from the core: the time and randomness."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """The time. `now` for people (may jump), `monotonic` for durations."""

    def now(self) -> float:
        """Seconds since the Unix epoch."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait. Cancellable at any moment."""
        ...

    def pause(self, seconds: float) -> None:
        """Wait, in a thread that may be blocked."""
        ...


class Entropy(Protocol):
    """What must not repeat."""

    def token(self, length: int) -> str:
        """`length` characters of ``[a-z0-9]``, unpredictable."""
        ...

    def seed(self) -> int:
        """A non-negative seed below 2**32."""
        ...
