"""A level: what one number of users gave, and whether it can be the answer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from modeldyno.domain.job import StoppingRules
from modeldyno.domain.measurement import Window, failure_share, merged_latency, throughput_per_second
from modeldyno.domain.statistics import rarer_than, relative_error_of_mean, unexplained_share
from modeldyno.domain.stopping import FAILURE_LIMIT, failing, percentile_ms

FLAT_GAIN = 0.08
MAX_FRESH_WINDOWS = 30
FAILURE_ALPHA = 0.005  # of one look at the failures; there are several
SURE = 2.5  # standard errors that two levels must lie apart
_LIKELY = 2.0


@dataclass(frozen=True, slots=True)
class Level:
    """What one number of users gave. `broke` says why it cannot be the answer, None when it can.

    error: the relative standard error of the throughput. unexplained: `statistics.unexplained_share`. mean_ns: of the
    latencies.
    """

    users: int
    per_second: float
    error: float
    broke: str | None
    unexplained: float = 0.0
    mean_ns: float = 0.0

    def surely_above(self, other: Level, factor: float) -> bool:
        """Whether its throughput is above `factor` times the other's, by more than their scatter explains."""
        scatter = SURE * math.hypot(self.error, other.error)
        return self.per_second > other.per_second * (factor + scatter)

    def surely_slower_or_faster(self, other: Level, share: float) -> bool:
        """Whether its latencies differ from the other's by more than `share` and their scatter explain."""
        if not self.mean_ns or not other.mean_ns:
            return False
        return abs(math.log(self.mean_ns / other.mean_ns)) > share + _LIKELY * math.hypot(self.error, other.error)


def is_flat(held: Sequence[Level]) -> bool:
    """Whether the last of these levels, in order of users, brought hardly more than the one before."""
    return len(held) > 1 and held[-1].per_second < held[-2].per_second * (1 + FLAT_GAIN)


def count_of(windows: Sequence[Window]) -> int:
    """Invocations, answered or failed."""
    return sum(window.succeeded + window.failures for window in windows)


def level_of(users: int, windows: Sequence[Window], rules: StoppingRules) -> Level:
    """What these windows say of one number of users."""
    latency = merged_latency(windows)
    return Level(
        users,
        throughput_per_second(windows),
        relative_error_of_mean(latency),
        _broke(users, windows, rules),
        unexplained_share(windows),
        latency.mean_ns() or 0.0,
    )


def fails(windows: Sequence[Window]) -> bool:
    """Whether 1% of the invocations fail. One of a few is no evidence: it has to be too many for chance."""
    failures = sum(window.failures for window in windows)
    if failure_share(windows) < FAILURE_LIMIT:
        return False
    rarer = rarer_than(FAILURE_LIMIT, failures, count_of(windows), FAILURE_ALPHA)
    return rarer is False or (rarer is None and len(windows) >= MAX_FRESH_WINDOWS)


def _broke(users: int, windows: Sequence[Window], rules: StoppingRules) -> str | None:
    latency = percentile_ms(merged_latency(windows), rules.percentile)
    if latency is None or fails(windows):
        return failing(windows)
    limit = rules.threshold
    if limit is None or latency <= limit.limit_ms:
        return None
    load = f"{users} user" if users == 1 else f"{users} users"
    return (
        f"the p{limit.percentile:g} latency was {latency:.1f} ms at {load}, over the threshold of {limit.limit_ms} ms"
    )
