"""A benchmark counted back to a CPU use."""

from __future__ import annotations

from dataclasses import replace

import pytest

from modeldyno.domain.latency import bucket_of
from modeldyno.domain.measurement import Window
from modeldyno.domain.scaling import Benchmark, at_cpu, instances_between
from tests.unit.domain.builders import a_trial, a_type


def benchmark(per_minute: float = 6000, cpu: float | None = 80.0, **more: float) -> Benchmark:
    result = a_trial(0, a_type("one"), per_minute, 40.0).result
    assert result is not None
    figures = replace(result.figures, cpu_percent=cpu)
    return Benchmark(figures, (), **{"vcpus": 1, **more})  # type: ignore[arg-type]


def level(sequence: int, users: int, per_second: int, latency_ms: int, **more: bool) -> Window:
    counts = {bucket_of(latency_ms * 1_000_000): per_second}
    return Window(sequence, float(sequence), 1.0, users, counts, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(("target", "expected"), [(20, 1500), (40, 3000), (80, 6000), (100, 6000)])
def test_invocations_are_proportional_up_to_what_was_measured(target: int, expected: int) -> None:
    operating = at_cpu(benchmark(), target)
    assert operating is not None
    assert operating.per_minute == expected


def test_the_use_of_a_core_is_that_of_one_of_all_cores_of_all_instances() -> None:
    several = benchmark(12000, 240.0, vcpus=2, instances=2)
    operating = at_cpu(several, 30)
    assert operating is not None
    assert operating.per_minute == 3000


def test_the_latency_is_of_the_least_loaded_level_that_gave_as_many() -> None:
    windows = (
        level(0, 1, 30, 10),
        level(1, 2, 40, 12, settling=True),
        *(level(2 + place, 2, 60, 20) for place in range(3)),
        *(level(5 + place, 4, 100, 40) for place in range(3)),
    )
    measured = replace(benchmark(), windows=windows)
    latencies = []
    for target in (20, 40, 60, 80):
        operating = at_cpu(measured, target)
        assert operating is not None
        latencies.append(round(operating.latency_ms))
    assert latencies == [20, 20, 40, 40]  # 30 answers at one user tell no percentile


def test_without_a_cpu_use_nothing_is_told() -> None:
    assert at_cpu(benchmark(cpu=None), 50) is None
    assert at_cpu(benchmark(cpu=0.0), 50) is None


def test_instances_carry_the_least_and_the_most_of_the_traffic() -> None:
    operating = at_cpu(benchmark(), 40)
    assert operating is not None
    assert instances_between(operating, None, None) == (1, None)
    assert instances_between(operating, 3001, 9001) == (2, 4)
    assert instances_between(operating, 0, 1) == (1, 1)
