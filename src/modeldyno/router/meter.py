"""Metrics of endpoints by the minute, on their way to the store: counted beside the answer, written every few seconds.

What this front has seen of a variant in a minute is one row, which is written again, whole, as the minute goes on: a
repetition adds nothing, and a front that is killed loses its last few seconds of metrics, and no more.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable

from modeldyno.domain.metric import (
    ERRORS_4XX,
    ERRORS_5XX,
    INVOCATIONS,
    MINUTE_SECONDS,
    MODEL_ERRORS,
    MODEL_LATENCY,
    OVERHEAD_LATENCY,
    PER_INSTANCE,
    Minute,
    Values,
)
from modeldyno.ports import Clock, Store

# Chosen: fresh enough for a person who waits, and for a policy that goes by the minute; one transaction a time.
WRITE_SECONDS = 5.0
# Of minutes that wait while the store is away: an hour of some variants. The oldest are given up first.
_MOST_WAITING = 1_000

_Key = tuple[str, str, str]


class _Count:
    """One variant in one minute. Latencies are nanoseconds; `shares`: requests by how many instances there were."""

    __slots__ = ("changed", "errors", "minute", "model", "overhead", "shares")

    def __init__(self, minute: int) -> None:
        self.minute = minute
        self.changed = False
        self.model = Values()
        self.overhead = Values()
        self.shares: dict[int, int] = {}
        self.errors = [0, 0, 0]

    def values(self) -> dict[str, Values]:
        """By the metric's name, as they are now."""
        shares, requests = Values(), Values()
        for instances, count in self.shares.items():
            shares.add(round(PER_INSTANCE.steps / instances), count)
            requests.add(INVOCATIONS.steps, count)
        found = {INVOCATIONS.name: requests, PER_INSTANCE.name: shares, MODEL_LATENCY.name: self.model.copy()}
        if self.overhead.count:
            found[OVERHEAD_LATENCY.name] = self.overhead.copy()
        for metric, failed in zip((MODEL_ERRORS, ERRORS_4XX, ERRORS_5XX), self.errors, strict=True):
            found[metric.name] = _ones(failed, requests.count)
        return found


class Meter:
    """What this front has seen. `source`: of this life of it. Used on the event loop."""

    def __init__(self, store: Store, clock: Clock, source: str, note: Callable[[str], None]) -> None:
        self._store = store
        self._clock = clock
        self._source = source
        self._note = note
        self._away = False
        self._writing = asyncio.Lock()
        self._now: dict[_Key, _Count] = {}
        self._waiting: OrderedDict[tuple[_Key, int], Minute] = OrderedDict()

    def count(self, key: _Key, status: int, model_ns: int, overhead_ns: int | None, instances: int) -> None:
        """A model has answered. key: region, endpoint and variant. status: of its answer; 0: it gave none."""
        minute = int(self._clock.now()) // MINUTE_SECONDS
        count = self._now.get(key)
        if count is None or count.minute != minute:
            count = self._begin(key, count, minute)
        count.changed = True
        count.model.add(model_ns)
        if overhead_ns is not None:
            count.overhead.add(overhead_ns)
        count.shares[instances] = count.shares.get(instances, 0) + 1
        if not 200 <= status < 300:
            count.errors[0] += 1
            if 400 <= status < 600:
                count.errors[1 if status < 500 else 2] += 1

    def _begin(self, key: _Key, before: _Count | None, minute: int) -> _Count:
        if before is not None:
            self._put_by(key, before)
        self._now[key] = count = _Count(minute)
        return count

    def _put_by(self, key: _Key, count: _Count) -> None:
        """Let what has changed wait for the store."""
        if not count.changed:
            return
        count.changed = False
        self._waiting[key, count.minute] = Minute(*key, count.minute * MINUTE_SECONDS, self._source, count.values())
        while len(self._waiting) > _MOST_WAITING:
            self._waiting.popitem(last=False)

    async def run(self) -> None:
        """Write for ever."""
        while True:
            await asyncio.sleep(WRITE_SECONDS)
            await asyncio.shield(self.write())

    async def write(self) -> None:
        """Write what has changed; what cannot be written waits. Once at a time: what is older must not come later."""
        async with self._writing:
            await self._write()

    async def _write(self) -> None:
        minute = int(self._clock.now()) // MINUTE_SECONDS
        for key, count in list(self._now.items()):
            self._put_by(key, count)
            if count.minute != minute:
                del self._now[key]
        if not self._waiting:
            return
        told, self._waiting = self._waiting, OrderedDict()
        try:
            await asyncio.to_thread(self._store.put_minutes, list(told.values()))
            self._away = False
        except Exception as error:  # whatever it is, the next round may go well
            if not self._away:
                self._note(f"metrics wait until they can be written: {error}")
            self._away = True
            self._waiting = OrderedDict({**told, **self._waiting})


def _ones(failed: int, requests: int) -> Values:
    """One for each that failed, zero for each other."""
    values = Values()
    for value, times in ((0, requests - failed), (1, failed)):
        if times:
            values.add(value, times)
    return values
