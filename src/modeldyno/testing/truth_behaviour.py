"""How a known-truth server behaves: what an invocation takes, when all workers stop, what it keeps, when it closes."""

from __future__ import annotations

import argparse
import math
import random
import re
from dataclasses import dataclass, fields

_COST = re.compile(rb"\s*([0-9]{1,9}(?:\.[0-9]{1,9})?)")
_WARMING_UP = _BEYOND_THE_CLIFF = 3.0


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How long an invocation takes, and what else becomes of it; 0 = that does not happen.

    distribution: ``fixed`` or ``exponential`` sleeps of mean `service_ms` (0: an answer at once), or ``cpu``: a process
    for each worker burns that much CPU. The first `warm_up_seconds` take three times as long, and so does an invocation
    with more than `cliff` in the server. Each takes `leak_share` longer than the one before, and leaves `leak_bytes`
    behind. Every `pause_every` seconds all workers stop for `pause_seconds`. After `throttle_after` seconds of work
    each takes `throttle_factor` times as long. Every `close_every`th answer ends its connection, and says so unless
    `close_silently`. cost_from_body: the time is multiplied by the number that the request begins with. fail_share: of
    the answers, 0 to 1, are 500. startup_seconds: /ping says 503 so long.
    """

    workers: int = 1
    service_ms: float = 20.0
    distribution: str = "fixed"
    seed: int = 0
    fail_share: float = 0.0
    startup_seconds: float = 0.0
    warm_up_seconds: float = 0.0
    cliff: int = 0
    leak_share: float = 0.0
    leak_bytes: int = 0
    pause_every: float = 0.0
    pause_seconds: float = 0.0
    throttle_after: float = 0.0
    throttle_factor: float = 1.0
    close_every: int = 0
    close_silently: bool = False
    cost_from_body: bool = False

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> Behaviour:
        """As the command line says."""
        return cls(**{field.name: getattr(arguments, field.name) for field in fields(cls)})


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of a behaviour, but for the workers."""
    add = parser.add_argument
    add("--service-ms", type=float, default=20.0, help="mean service time; 0: an answer at once")
    add("--distribution", choices=("fixed", "exponential", "cpu"), default="fixed")
    add("--seed", type=int, default=0)
    add("--fail-share", type=float, default=0.0, help="share of invocations answered 500, 0 to 1")
    add("--startup-seconds", type=float, default=0.0, help="answer /ping with 503 for so long")
    add("--warm-up-seconds", type=float, default=0.0, help="three times as slow for so long")
    add("--cliff", type=int, default=0, help="three times as slow with more invocations in the server than this")
    add("--leak-share", type=float, default=0.0, help="each invocation takes this share longer than the one before")
    add("--leak-bytes", type=int, default=0, help="each invocation leaves so much memory behind")
    add("--pause-every", type=float, default=0.0, metavar="SECONDS", help="all workers stop so often")
    add("--pause-seconds", type=float, default=0.0, help="for so long")
    add("--throttle-after", type=float, default=0.0, metavar="SECONDS", help="of work: from then on it is slower")
    add("--throttle-factor", type=float, default=2.0, help="by so much")
    add("--close-every", type=int, default=0, metavar="N", help="every Nth answer ends its connection")
    add("--close-silently", action="store_true", help="without the header Connection: close")
    add("--cost-from-body", action="store_true", help="the time is multiplied by the number that the body begins with")


class ServiceTimes:
    """The service times of one server, drawn one after the other."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self._random = random.Random(behaviour.seed)
        self._count = 0
        self._worked = 0.0

    def next_seconds(self, age: float, inside: int, body: bytes) -> float:
        """What the next one takes, in a server `age` seconds old with so many invocations in it; pauses come on top."""
        behaviour = self._behaviour
        seconds = behaviour.service_ms / 1e3
        if behaviour.distribution == "exponential" and seconds > 0:
            seconds = self._random.expovariate(1 / seconds)
        seconds *= 1 + behaviour.leak_share * self._count
        self._count += 1
        if age < behaviour.warm_up_seconds:
            seconds *= _WARMING_UP
        if behaviour.cliff and inside > behaviour.cliff:
            seconds *= _BEYOND_THE_CLIFF
        if behaviour.cost_from_body and (cost := _COST.match(body)):
            seconds *= float(cost[1])
        return self._throttled(seconds)

    def _throttled(self, seconds: float) -> float:
        behaviour = self._behaviour
        if behaviour.throttle_after and self._worked >= behaviour.throttle_after:
            seconds *= behaviour.throttle_factor
        self._worked += seconds
        return seconds


def with_pauses(behaviour: Behaviour, age: float, seconds: float) -> float:
    """How long `seconds` of work take that begin at this age: while all workers stop, nothing goes on."""
    every, pause = behaviour.pause_every, behaviour.pause_seconds
    if not every or not pause:
        return seconds
    end, cycle = age + seconds, max(1, math.floor(age / every))
    while (began := cycle * every) < end or began <= age < began + pause:
        if age < began + pause:
            end += pause - max(0.0, age - began)
        cycle += 1
    return end - age
