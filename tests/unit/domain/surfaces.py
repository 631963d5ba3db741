"""Response surfaces: what each configuration of a grid would cost if it were measured, with the measurement's scatter.

Shaped like measured servers: throughput follows the Universal Scalability Law over workers, Amdahl's law over threads,
is bound by the vCPUs, and suffers from more threads than cores.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from modeldyno.domain.exploration import Observation, Point, propose, start

Cost = Callable[[Point], float | None]
# name, vCPUs, MiB, dollars an hour, speed of a core
_TYPES = (
    ("c.large", 2, 4096, 0.102, 1.1),
    ("m.large", 2, 8192, 0.115, 1.0),
    ("c.xlarge", 4, 8192, 0.204, 1.1),
    ("m.xlarge", 4, 16384, 0.23, 1.0),
    ("c.2xlarge", 8, 16384, 0.408, 1.1),
)
_SPEED = {name: speed for name, *_, speed in _TYPES}


def grid() -> list[Point]:
    """60 configurations: 5 types x 4 numbers of workers x 3 of threads."""
    return [
        Point(name, vcpus, memory, 0, usd, {"WORKERS": workers, "THREADS": threads})
        for name, vcpus, memory, usd, _ in _TYPES
        for workers in ("1", "2", "4", "8")
        for threads in ("1", "2", "4")
    ]


def workers_of(point: Point) -> int:
    return int(point.settings["WORKERS"])


def threads_of(point: Point) -> int:
    return int(point.settings["THREADS"])


def server(serial: float, contention: float, coherence: float) -> Cost:
    """A server whose threads share all but `serial` of the work; contention and coherence as in the USL."""

    def cost(point: Point) -> float:
        assert point.usd_per_hour is not None
        assert point.vcpus is not None
        workers, threads = workers_of(point), threads_of(point)
        crowding = workers * threads / point.vcpus
        parallel = workers / (serial + (1 - serial) / threads) * min(1.0, 1 / crowding)
        parallel /= 1 + contention * (workers - 1) + coherence * workers * (workers - 1)
        per_second = 20 * _SPEED[point.kind] * parallel / (1 + 0.1 * max(0.0, crowding - 1))
        return point.usd_per_hour / 3600 / per_second

    return cost


def any_server(seed: int) -> Cost:
    """A server drawn at random, from hardly parallel to wholly so."""
    chance = np.random.default_rng(seed)
    return server(chance.uniform(0.02, 0.7), 10 ** chance.uniform(-3, -0.7), 10 ** chance.uniform(-4, -2))


def flat(point: Point) -> float:
    """Whatever is chosen costs about the same."""
    return 1e-6 * (1 + 0.02 * math.sin(point.vcpus or 0))


def interplay(point: Point) -> float:
    """Only the product of workers and threads matters, beside the size: no variable alone tells anything."""
    assert point.vcpus is not None
    crowding = math.log2(workers_of(point) * threads_of(point) / point.vcpus)
    return 1e-6 * math.exp(0.35 * abs(crowding) + 0.2 * (point.vcpus != 4))


def out_of_memory(point: Point) -> float | None:
    """A worker takes 1.5 GiB; what does not fit fails."""
    fits = workers_of(point) * 1536 <= (point.memory_mib or 0)
    return server(0.15, 0.02, 0.001)(point) if fits else None


def found(cost: Cost, budget: int, seed: int, points: Sequence[Point] | None = None, scatter: float = 0.02) -> float:
    """How much dearer than the optimum the search's best is, as a share; `scatter` is the measurements'."""
    points = points or grid()
    chance = np.random.default_rng(1000 + seed)
    seen: list[Observation] = []

    def look(index: int) -> None:
        true = cost(points[index])
        seen.append(Observation(index, None if true is None else true * math.exp(chance.normal(0, scatter))))

    for index in start(points, budget, seed):
        look(index)
    while (chosen := propose(points, seen, (), budget - len(seen), seed)) is not None:
        look(chosen)
    assert len({one.index for one in seen}) == len(seen) == budget
    good = [one for one in seen if one.cost is not None]
    best = cost(points[min(good, key=lambda one: one.cost or 0.0).index]) if good else None
    optimum = min(value for point in points if (value := cost(point)) is not None)
    return best / optimum - 1 if best is not None else math.inf
