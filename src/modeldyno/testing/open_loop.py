"""An open loop in virtual time: Poisson arrivals, one queue, k servers. A search on it takes milliseconds, not minutes.

Windows come as the load generator gives them: latencies count from the intended time, and stand in the window in which
the answer came. What waits stays waiting when the rate changes.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable

from modeldyno.domain.latency import bucket_of
from modeldyno.domain.measurement import SETTLE_SECONDS, WINDOW_SECONDS, Window
from modeldyno.domain.stopping import Policy, Rate, Stop

Service = Callable[[random.Random, float], float]
"""(randomness, virtual time in seconds) -> service time in seconds."""


class OpenLoop:
    """The simulated server and its arrivals. `fail_share`: of the invocations, at random, fail instead."""

    def __init__(self, workers: int, service: Service, seed: int = 0, fail_share: float = 0.0) -> None:
        self._service = service
        self._chance = random.Random(seed)
        self._fail_share = fail_share
        self._free = [0.0] * workers
        self._answers: list[tuple[float, float]] = []
        self._next = 0.0
        self._per_second = 0.0
        self._sequence = 0
        self.now = 0.0

    def drive(self, policy: Policy, limit_seconds: float = 2000.0) -> float:
        """Load it as the policy says until it stops; the seconds of load that it took.

        Raises:
            AssertionError: the policy did not stop in time.
        """
        self._change(policy.beginning.per_second if isinstance(policy.beginning, Rate) else 0.0)
        settling = True
        while self.now < limit_seconds:
            match policy.observe(self._window(SETTLE_SECONDS if settling else WINDOW_SECONDS, settling)):
                case Stop():
                    return self.now
                case Rate(per_second):
                    settling = True
                    self._change(per_second)
                case _:
                    settling = False
        raise AssertionError(f"the policy did not stop within {limit_seconds:g} s")

    def _change(self, per_second: float) -> None:
        self._per_second = per_second
        if per_second:
            self._next = self.now + self._chance.expovariate(per_second)

    def _window(self, seconds: float, settling: bool) -> Window:
        end, offered = self.now + seconds, 0
        while self._per_second and self._next < end:
            self._arrive(self._next)
            offered += 1
            self._next += self._chance.expovariate(self._per_second)
        counts: dict[int, int] = {}
        failed = 0
        while self._answers and self._answers[0][0] < end:
            _, latency = heapq.heappop(self._answers)
            if self._chance.random() < self._fail_share:
                failed += 1
                continue
            bucket = bucket_of(round(latency * 1e9))
            counts[bucket] = counts.get(bucket, 0) + 1
        started, self.now, self._sequence = self.now, end, self._sequence + 1
        return Window(
            self._sequence - 1,
            started,
            seconds,
            0,
            counts,
            {"http_500": failed} if failed else {},
            settling=settling,
            rate_per_second=self._per_second or None,
            offered=offered,
            in_flight=len(self._answers),
        )

    def _arrive(self, at: float) -> None:
        begun = max(at, heapq.heappop(self._free))
        ended = begun + self._service(self._chance, begun)
        heapq.heappush(self._free, ended)
        heapq.heappush(self._answers, (ended, ended - at))
