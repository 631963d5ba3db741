"""Open-loop arrivals: sent at intended times that do not wait for answers."""

from __future__ import annotations

import random
from collections import deque
from time import perf_counter_ns

from modeldyno.domain.traffic import Arrivals
from modeldyno.load.alarm import Alarm
from modeldyno.load.connection import Connection, Scene

# Chosen: answers are read between two batches, also when the sender is late.
_BATCH = 64
# A sleeping core takes up to 0.5 ms to wake (a virtual one is given away meanwhile). So the sender gets up that much
# before an arrival is due and looks at its connections until then; never for more than this share of the time.
_EARLY_NS = 500_000
_AWAKE_SHARE = 0.05
# Chosen: 4 MB of waiting arrivals; a second of the fastest rate that one process can send.
LONGEST_QUEUE = 100_000


class Stream:
    """Arrivals of a rate, and the connections that carry them.

    An arrival takes the connection that has been idle longest. Where none is, it waits in the queue while another is
    opened, up to `most`; the first connection that is free takes the oldest arrival.
    """

    def __init__(self, scene: Scene, seed: int, most: int) -> None:
        self._scene = scene
        self._recorder = scene.recorder
        self._random = random.Random(seed)
        self._most = most
        self._mean_gap_ns = 0.0  # 0: no arrivals
        self._arrivals = Arrivals.POISSON
        self._next_ns = 0.0
        self._early_ns = 0.0
        self._alarm = Alarm(scene.loop, self._arrive)
        self._queue: deque[int] = deque()
        self._idle: deque[Carrier] = deque()
        self.carriers: set[Carrier] = set()
        self.opening = 0

    @property
    def in_flight(self) -> int:
        """Arrivals that wait or were sent, without an answer yet."""
        return len(self._queue) + sum(1 for carrier in self.carriers if carrier.intended_ns)

    def want(self, per_second: float, arrivals: Arrivals, redraw: bool) -> None:
        """Have arrivals at that rate from now on."""
        if redraw:
            for carrier in self.carriers:
                carrier.redraw()
            self._dismiss_idle()
        self._mean_gap_ns = 1e9 / per_second
        self._early_ns = min(_EARLY_NS, _AWAKE_SHARE * self._mean_gap_ns)
        self._arrivals = arrivals
        self._next_ns = perf_counter_ns() + self._gap_ns()
        self._alarm.set(int(self._next_ns - self._early_ns))

    def end(self, *, give_up: bool) -> None:
        """Have no more arrivals. Those that wait are still sent, or given up: then they count nowhere."""
        self._mean_gap_ns = 0.0
        self._alarm.set(0)
        self._dismiss_idle()
        if give_up:
            self._queue.clear()

    def _dismiss_idle(self) -> None:
        for carrier in self._idle:
            carrier.dismiss()
        self._idle.clear()

    def expire(self, limit_ns: int) -> int | None:
        """Give up what waits since before that time; since when the oldest of the rest does."""
        while self._queue and self._queue[0] <= limit_ns:
            self._recorder.lose("timeout", self._queue.popleft())
        return self._queue[0] if self._queue else None

    # --- arrivals ---

    def _gap_ns(self) -> float:
        if self._arrivals is Arrivals.CONSTANT:
            return self._mean_gap_ns
        return self._random.expovariate(1.0) * self._mean_gap_ns

    def _arrive(self) -> None:
        """Send all that are due. Shortly before the next is, look again at once instead of sleeping."""
        if not self._mean_gap_ns:
            return  # it was called for before the arrivals ended
        recorder = self._recorder
        for _ in range(_BATCH):
            lag_ns = perf_counter_ns() - int(self._next_ns)
            if lag_ns < 0:
                break
            recorder.offered += 1
            recorder.send_lag_ns = max(recorder.send_lag_ns, lag_ns)
            self._admit(int(self._next_ns))
            self._next_ns += self._gap_ns()
        wake_ns = self._next_ns - self._early_ns
        if perf_counter_ns() >= wake_ns:
            self._scene.loop.call_soon(self._arrive)
        else:
            self._alarm.set(int(wake_ns))

    def _admit(self, intended_ns: int) -> None:
        if self._idle:
            self._idle.popleft().carry(intended_ns)
        elif len(self._queue) >= LONGEST_QUEUE:
            self._recorder.lose("not_sent", intended_ns)
        else:
            self._queue.append(intended_ns)
            self._recorder.backlog += len(self.carriers) >= self._most
            self._open()

    # --- connections ---

    def _open(self) -> None:
        """One connection more, when more arrivals wait than are being opened."""
        if len(self._queue) > self.opening and len(self.carriers) < self._most:
            self.opening += 1
            self.carriers.add(Carrier(self._scene, self))

    def next_for(self, carrier: Carrier) -> int:
        """The intended time of the arrival that this free connection is to carry; 0: none waits, or none is to come."""
        if self._queue:
            return self._queue.popleft()
        if self._mean_gap_ns:
            self._idle.append(carrier)
        else:
            carrier.dismiss()
        return 0

    def unconnected(self, carrier: Carrier, kind: str) -> None:
        """A connection was not to be had: the oldest waiting arrival fails with it, but for one that may still wait."""
        self.opening -= 1
        self.carriers.discard(carrier)
        if self._queue and kind != "timeout":
            self._recorder.lose(kind, self._queue.popleft())
        self._open()

    def lost(self, carrier: Carrier) -> None:
        """A connection is gone."""
        self.carriers.discard(carrier)
        if carrier in self._idle:
            self._idle.remove(carrier)
        self._open()


class Carrier(Connection):
    """A connection of a stream: carries one arrival after the other, and is idle in between."""

    __slots__ = ("_stream",)

    def __init__(self, scene: Scene, stream: Stream) -> None:
        super().__init__(scene)
        self._stream = stream
        self._open()

    def carry(self, intended_ns: int) -> None:
        """Send what was to be sent at that time."""
        self._send(intended_ns, perf_counter_ns())

    def dismiss(self) -> None:
        """Close: nothing is to be carried any more."""
        self._drop()

    def _connected(self) -> None:
        self._stream.opening -= 1

    def _go_on(self) -> None:
        if intended_ns := self._stream.next_for(self):
            self.carry(intended_ns)

    def _unconnected(self, kind: str) -> None:
        self._stream.unconnected(self, kind)

    def _lost(self) -> None:
        self._stream.lost(self)
