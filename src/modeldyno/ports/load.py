"""How users are simulated."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from modeldyno.domain.measurement import Window
from modeldyno.domain.traffic import Arrivals


@dataclass(frozen=True, slots=True)
class LoadTarget:
    """What the generator drives: `url` + `path` with bodies drawn (seeded) from `payload_dir`'s files.

    also: further URLs where the same is served: connections are at `url` and at each of them in turn, each for good.
    payload_dir: None: requests have no body. path: with the query, percent-encoded. headers: beside (or instead of)
    Host, Content-Type and Accept. timeout_seconds: counted from a request's intended time. max_connections: that an
    open loop may open. raw_path: a file for per-request records (`load.raw`), `raw_limit` of them at most.
    """

    url: str
    payload_dir: Path | None
    content_type: str | None
    accept: str | None
    seed: int
    timeout_seconds: float = 60.0
    cores: tuple[int, ...] = ()
    method: str = "POST"
    path: str = "/invocations"
    headers: tuple[tuple[str, str], ...] = ()
    max_connections: int = 1024
    raw_path: Path | None = None
    raw_limit: int = 1_000_000
    also: tuple[str, ...] = ()


class LoadSession(Protocol):
    """A running generator process. It is in one loop at a time: users end arrivals, and arrivals end users."""

    async def set_users(self, users: int, *, redraw: bool = False) -> None:
        """Change the number of closed-loop users at once; `redraw`: open all connections anew.

        The open window ends here, however short it is (marked `settling` where it is shorter than a window); a
        settling window of `measurement.SETTLE_SECONDS` follows, then ordinary ones. Where nothing changes, nothing is
        cut. 0: nothing new is sent; what is in flight is still counted, in the windows in which it ends.
        """
        ...

    async def set_rate(self, per_second: float, arrivals: Arrivals = Arrivals.POISSON, *, redraw: bool = False) -> None:
        """Change the rate of open-loop arrivals at once; windows are cut as by `set_users`.

        Arrivals have intended times, drawn with the target's seed, and do not wait for answers: each takes a connection
        that is free, or a new one up to the target's `max_connections`, beyond which it waits in the generator. Its
        latency counts from the intended time, whatever it waited for. One that waits longer than the target's timeout
        fails as ``timeout``, and one that finds 100,000 waiting as ``not_sent``. Another rate leaves waiting arrivals
        where they are; after 0 they are still sent, and users give them up.

        Raises:
            ValueError: a rate below 0, infinite or not a number.
            ServiceError: the generator has died.
        """
        ...

    def windows(self) -> AsyncIterator[Window]:
        """One window a second until the session is left. The iterator ends (raises nothing) when the session is closed;
        a dead generator raises `ServiceError`. Windows are contiguous, but for idle time before the first users."""
        ...


class LoadGenerator(Protocol):
    """How users are simulated."""

    def drive(self, target: LoadTarget) -> AbstractAsyncContextManager[LoadSession]:
        """Start a generator with 0 users. Leaving the context ends its process, in-flight requests included."""
        ...
