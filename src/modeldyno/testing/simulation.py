"""A closed loop in virtual time: users, one queue, k servers. A search on it takes milliseconds, not minutes.

Windows come as the load generator gives them: a short settling window after every change of the users, then
one a second.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections.abc import Callable, Sequence

from modeldyno.domain.latency import LatencyHistogram
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


def cold_until(service: Service, factor: float, warm_after: float) -> Service:
    """`factor` times as slow until that second, then normal at once."""
    return lambda chance, now: service(chance, now) * (factor if now < warm_after else 1.0)


def leaking(service: Service, growth: float) -> Service:
    """Each invocation takes this share longer than the one before it (0.001: twice as long after a thousand)."""
    count = itertools.count()
    return lambda chance, now: service(chance, now) * (1 + growth * next(count))


def throttling(service: Service, busy_seconds: float, factor: float) -> Service:
    """`factor` times as slow once it has worked for `busy_seconds`, as a burstable machine whose credits are spent."""
    worked = 0.0

    def serve(chance: random.Random, now: float) -> float:
        nonlocal worked
        took = service(chance, now) * (factor if worked >= busy_seconds else 1.0)
        worked += took
        return took

    return serve


def pausing(service: Service, every_seconds: float, pause_seconds: float, first: float) -> Service:
    """All workers stop for `pause_seconds` at `first` and every `every_seconds` after it."""

    def serve(chance: random.Random, now: float) -> float:
        cycle = max(0, math.floor((now - first) / every_seconds))
        end = now + service(chance, now)
        while (began := first + cycle * every_seconds) < end:
            if now < began + pause_seconds:
                end += pause_seconds - max(0.0, now - began)
            cycle += 1
        return end - now

    return serve


def disturbed(service: Service, slower: float, share: float, seed: int) -> Service:
    """As on a noisy host: in each half second, with probability `share`, all takes `slower` times as long."""

    def serve(chance: random.Random, now: float) -> float:
        busy = random.Random(f"{seed} {int(now * 2)}").random() < share
        return service(chance, now) * (slower if busy else 1.0)

    return serve


def mixed(*services: tuple[float, Service]) -> Service:
    """Payloads of unlike cost: (share of the invocations, what they take)."""
    shares, choices = [share for share, _ in services], [service for _, service in services]
    return lambda chance, now: chance.choices(choices, shares)[0](chance, now)


class ClosedLoop:
    """The simulated server and its users. `gap_seconds` passes between an answer and the user's next invocation."""

    def __init__(
        self, workers: int, service: Service, seed: int = 0, gap_seconds: float = 0.0002, fail_share: float = 0.0
    ) -> None:
        self._workers = workers
        self._service = service
        self._chance = random.Random(seed)
        self._failures = random.Random(seed)
        self._gap = gap_seconds
        self._fail_share = fail_share
        self.now = 0.0
        self.served: list[float] = []
        self.windows: list[Window] = []
        self._ended: list[float] = []
        self._answers: list[tuple[float, float]] = []
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

    def truth_per_second(self, windows: Sequence[Window]) -> float:
        """What the workers could do at most in the time of these windows, from the invocations that ended in it."""
        begin, end = windows[0].started_at, windows[-1].started_at + windows[-1].duration_seconds
        took = [seconds for seconds, at in zip(self.served, self._ended, strict=True) if begin <= at < end]
        return self._workers * len(took) / sum(took)

    def _window(self, seconds: float, settling: bool) -> Window:
        end = self.now + seconds
        while self._ready[0] < end:
            self._invoke(heapq.heappop(self._ready))
        latencies, failed = [], 0
        while self._answers and self._answers[0][0] < end:
            _, latency = heapq.heappop(self._answers)
            if self._failures.random() < self._fail_share:
                failed += 1
            else:
                latencies.append(round(latency * 1e9))
        counts = LatencyHistogram.of(latencies).counts
        failures = {"http_500": failed} if failed else {}
        window = Window(len(self.windows), self.now, seconds, len(self._ready), counts, failures, settling=settling)
        self.now = end
        self.windows.append(window)
        return window

    def _invoke(self, sent: float) -> None:
        begun = max(sent, heapq.heappop(self._free))
        took = self._service(self._chance, begun)
        heapq.heappush(self._free, begun + took)
        heapq.heappush(self._ready, begun + took + self._gap)
        heapq.heappush(self._answers, (begun + took, begun + took - sent))
        self.served.append(took)
        self._ended.append(begun + took)
