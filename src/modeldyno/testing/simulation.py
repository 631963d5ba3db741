"""A closed loop in virtual time: users, one queue, k servers. A search on it takes milliseconds, not minutes.

Windows come as the load generator gives them: a short settling window after every change of the users, then
one a second.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable

from modeldyno.domain.latency import bucket_of
from modeldyno.domain.measurement import SETTLE_SECONDS, Window
from modeldyno.domain.stopping import ClosedLoopPolicy, Measured, Stop, Users

Service = Callable[[random.Random, float], float]
"""(randomness, virtual time in seconds) -> service time in seconds."""


def fixed(seconds: float, spread: float = 0.02) -> Service:
    """Nearly the same time for each invocation; `spread` is its coefficient of variation."""
    return lambda chance, now: max(seconds * chance.gauss(1.0, spread), 1e-6)


def exponential(seconds: float) -> Service:
    """Exponentially distributed times of this mean."""
    return lambda chance, now: chance.expovariate(1 / seconds)


def warming_up(seconds: float, cold_factor: float, warm_after: float) -> Service:
    """`cold_factor` times as slow at first, falling steadily to normal in `warm_after` seconds."""

    def serve(chance: random.Random, now: float) -> float:
        cold = max(0.0, 1 - now / warm_after)
        return max(seconds * (1 + (cold_factor - 1) * cold) * chance.gauss(1.0, 0.02), 1e-6)

    return serve


class ClosedLoop:
    """The simulated server and its users. `gap_seconds` passes between an answer and the user's next invocation."""

    def __init__(self, workers: int, service: Service, seed: int = 0, gap_seconds: float = 0.0002) -> None:
        self._workers = workers
        self._service = service
        self._chance = random.Random(seed)
        self._gap = gap_seconds
        self.now = 0.0
        self.served: list[float] = []
        self._sequence = 0
        self._free = [0.0] * workers
        self._ready: list[float] = []

    def drive(self, policy: ClosedLoopPolicy, limit_seconds: float = 1000.0) -> Measured:
        """Load it as the policy says until it stops.

        Raises:
            AssertionError: the policy did not stop in time.
        """
        self._resize(policy.users)
        settling = False
        while self.now < limit_seconds:
            match policy.observe(self._window(SETTLE_SECONDS if settling else 1.0, settling)):
                case Stop():
                    return policy.measured()
                case Users(users):
                    self._resize(users)
                    settling = True
                    continue
            settling = False
        raise AssertionError(f"the policy did not stop within {limit_seconds:g} s")

    def _resize(self, users: int) -> None:
        del self._ready[users:]
        heapq.heapify(self._ready)
        while len(self._ready) < users:
            heapq.heappush(self._ready, self.now)

    def _window(self, seconds: float, settling: bool) -> Window:
        counts: dict[int, int] = {}
        end = self.now + seconds
        while self._ready[0] < end:
            sent = heapq.heappop(self._ready)
            begun = max(sent, heapq.heappop(self._free))
            took = self._service(self._chance, begun)
            heapq.heappush(self._free, begun + took)
            heapq.heappush(self._ready, begun + took + self._gap)
            self.served.append(took)
            bucket = bucket_of(round((begun + took - sent) * 1e9))
            counts[bucket] = counts.get(bucket, 0) + 1
        started, self.now, self._sequence = self.now, end, self._sequence + 1
        return Window(self._sequence - 1, started, seconds, len(self._ready), counts, settling=settling)
