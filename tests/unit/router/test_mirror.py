"""The mirror's queue is bounded, in requests and in bytes, and what does not fit is told."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from modeldyno.domain.pair import Outcome, Side
from modeldyno.domain.routing import Mirror as Shadow
from modeldyno.domain.routing import Route
from modeldyno.router.invoke import Exchange
from modeldyno.router.mirror import Copy, Mirror, MirrorLimits
from modeldyno.router.request import Invocation
from modeldyno.router.table import Target

SHADOW = Shadow("shadow", 100.0, (("s", "http://127.0.0.1:1"),))


class Silent:
    """A shadow that never answers, and how many it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    async def ask(self, *_: Any, **__: Any) -> Any:
        self.asked += 1
        await asyncio.Event().wait()


def a_target(upstream: Any) -> Target:
    route = Route("e1", "us-east-1", "e", serves=True, choices=(), mirror=SHADOW)
    return Target(route, (), (), upstreams={"s": upstream})


class Offered:
    """Copies offered to a mirror, and how they ended."""

    def __init__(self, mirror: Mirror, target: Target) -> None:
        self.mirror = mirror
        self.target = target
        self.outcomes: Counter[Outcome] = Counter()

    def offer(self, size: int) -> None:
        invocation = Invocation("us-east-1", "e", streams=False, key="e1", selected=True)
        body = b"x" * size
        exchange = Exchange(invocation, body, "main", 200, b"", b"", 1, 1, failed=False)
        self.mirror.offer(Copy(self.target, SHADOW, exchange, self.done))

    def done(self, copy: Copy, side: Side | None, outcome: Outcome) -> None:
        self.outcomes[outcome] += 1


@pytest.mark.parametrize(
    ("limits", "size", "held"),
    [
        (MirrorLimits(requests=5, total_bytes=10_000, parallel=2), 10, 5),
        (MirrorLimits(requests=1000, total_bytes=1000, parallel=2), 300, 3),
    ],
)
async def test_what_does_not_fit_is_dropped_and_told(limits: MirrorLimits, size: int, held: int) -> None:
    silent = Silent()
    mirror = Mirror(limits)
    offered = Offered(mirror, a_target(silent))
    for _ in range(20):
        offered.offer(size)
        await asyncio.sleep(0)
        assert mirror.held[0] <= held
        assert mirror.held[1] <= limits.total_bytes
    assert offered.outcomes == {Outcome.DROPPED: 20 - held}
    assert silent.asked == 2
    await mirror.end(0.0)
    assert offered.outcomes == {Outcome.DROPPED: 20 - held, Outcome.CANCELLED: held}
    assert mirror.held == (0, 0)


async def test_what_is_too_large_is_told_and_takes_no_room() -> None:
    mirror = Mirror(MirrorLimits(body_bytes=100))
    offered = Offered(mirror, a_target(Silent()))
    offered.offer(101)
    assert offered.outcomes == {Outcome.OVERSIZE: 1}
    assert mirror.held == (0, 0)
