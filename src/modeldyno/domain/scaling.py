"""How a fleet should grow with its traffic: a benchmark, counted back to the CPU use that is wanted.

Assumption A-0102: invocations are proportional to CPU use, from what was measured downwards. (The developer guide's
example halves them where the target doubles.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from modeldyno.domain.measurement import Window, merged_latency, throughput_per_second
from modeldyno.domain.quality import FEW_REQUESTS
from modeldyno.domain.stopping import percentile_ms
from modeldyno.domain.trial import Figures

DEFAULT_TARGET_PERCENT = 50
"""**Source:** botocore, GetScalingConfigurationRecommendationRequest.TargetCpuUtilizationPerCore."""
COOLDOWN_SECONDS = 300
"""**Source:** Application Auto Scaling user guide, *Define cooldown periods*: the default of endpoint variants,
in and out."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """What was measured of `instances` instances with `vcpus` cores each: the figures are of them all."""

    figures: Figures
    windows: Sequence[Window]
    vcpus: float
    instances: int = 1

    @property
    def per_instance(self) -> float:
        """Invocations a minute of one instance."""
        return self.figures.capacity_per_minute / self.instances

    @property
    def cpu_percent_per_core(self) -> float | None:
        """CPU use of a core, 0..100; None where it could not be measured."""
        cpu = self.figures.cpu_percent
        return None if cpu is None else cpu / (self.vcpus * self.instances)


@dataclass(frozen=True, slots=True)
class Operating:
    """One instance at a CPU use: invocations a minute, and the latency that was measured at that many or more."""

    per_minute: int
    latency_ms: float


def at_cpu(benchmark: Benchmark, target_percent: float) -> Operating | None:
    """One instance at `target_percent` of each core; None where its CPU use is not known, or 0.

    Never more than was measured: what uses less CPU than the target at its capacity is held back by something else.
    """
    used = benchmark.cpu_percent_per_core
    if not used:
        return None
    per_minute = math.floor(benchmark.per_instance * min(1.0, target_percent / used))
    return Operating(per_minute, _latency_ms(benchmark, per_minute))


def instances_between(
    operating: Operating, least_per_minute: int | None, most_per_minute: int | None
) -> tuple[int, int | None]:
    """The fewest and the most instances that carry this traffic; None: the most is not known."""
    each = max(operating.per_minute, 1)
    fewest = max(1, math.ceil((least_per_minute or 0) / each))
    return fewest, None if most_per_minute is None else max(fewest, math.ceil(most_per_minute / each))


def _latency_ms(benchmark: Benchmark, per_minute: float) -> float:
    """The latency of the least loaded level that gave as many; of the reported level where there is no other."""
    levels: dict[int, list[Window]] = {}
    for window in benchmark.windows:
        if window.users and not window.settling:
            levels.setdefault(window.users, []).append(window)
    found = benchmark.figures.capacity_per_minute, benchmark.figures.latency_ms
    for windows in levels.values():
        served = throughput_per_second(windows) * 60
        latency = percentile_ms(merged_latency(windows), benchmark.figures.percentile)
        enough = sum(window.succeeded for window in windows) >= FEW_REQUESTS
        if enough and latency is not None and per_minute * benchmark.instances <= served < found[0]:
            found = served, latency
    return found[1]
