"""How far a figure may be trusted: the flags that measurement itself gives, in words.

Source of the limits: experiments of this project on two-core machines (docs/explanation/measurement.md): a generator
over 30% of its core, or more than 3% foreign load on the model's cores, moved results noticeably.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from modeldyno.domain.catalog import InstanceType, PriceBasis
from modeldyno.domain.job import LatencyThreshold, StoppingRules
from modeldyno.domain.measurement import Window, failure_share, merged_latency, throughput_per_second
from modeldyno.domain.statistics import outliers, relative_error_of_mean, trend
from modeldyno.domain.trial import Figures, Flag, OpenLoop

FEW_REQUESTS = 100
GENERATOR_CPU_LIMIT = 0.30
FOREIGN_LIMIT = 0.03
GENERATOR_DELAY_LIMIT = 0.01
UNSETTLED_LIMIT = 0.05
CPU_DRIFT_LIMIT = 0.05
LITTLE_LIMIT = 0.10
OPEN_LOOP_LIMIT = 0.15
"""Half of the 95% interval of a sustainable rate, over it. Chosen: beyond it, a plan wants another measurement."""
SEND_LAG_LIMIT = 0.5
"""Of the threshold. Chosen: a lag of the generator that short moves few arrivals over the limit."""
SLOWED_LIMIT = 0.05
_SURE = 2.5  # standard errors beyond that limit
MEMORY_LIMIT = 0.02
_LEAST_GROWTH_BYTES = 1 << 20


def flags_of(
    windows: Sequence[Window],
    *,
    relative_half_width: float,
    foreign_share: float | None,
    stopped: bool,
    load: Sequence[Window] = (),
) -> dict[Flag, str]:
    """Flags from the windows that the figures rest on.

    relative_half_width: half of the 95% interval of the throughput over it. foreign_share: use of the model's cores by
    others, 0..1, None where not known. stopped: the load was cut short from outside. load: all windows of the load, the
    search for the level included.
    """
    flags: dict[Flag, str] = {}
    seconds = sum(window.duration_seconds for window in windows) or 1.0
    requests = sum(window.succeeded for window in windows)
    share = sum(window.generator_cpu_seconds for window in windows) / seconds
    if requests < FEW_REQUESTS:
        flags[Flag.FEW_REQUESTS] = f"the figures rest on {requests} requests only; percentiles are uncertain"
    if relative_half_width > UNSETTLED_LIMIT:
        flags[Flag.NOT_SETTLED] = "the throughput of the windows scatters: its 95% interval is wider than ±5%"
    if failure_share(windows) > 0:
        flags[Flag.ERRORS] = f"{failure_share(windows):.2%} of the invocations failed"
    if share > GENERATOR_CPU_LIMIT:
        flags[Flag.GENERATOR_BUSY] = (
            f"the load generator used {share:.0%} of a core; the server may be faster than shown"
        )
    if foreign_share is not None and foreign_share > FOREIGN_LIMIT:
        flags[Flag.FOREIGN_LOAD] = f"others used {foreign_share:.0%} of the model's cores meanwhile"
    delay = sum(window.generator_delay_seconds for window in windows) / seconds
    if delay > GENERATOR_DELAY_LIMIT:
        flags[Flag.GENERATOR_DELAYED] = f"the load generator waited for its core {delay:.1%} of the time"
    if stopped:
        flags[Flag.STOPPED_EARLY] = "the load was stopped before it had its answer"
    return flags | _of_the_model(windows) | _of_the_load(windows, load)


def _of_the_model(windows: Sequence[Window]) -> dict[Flag, str]:
    """What the model itself does that makes its figures doubtful."""
    flags: dict[Flag, str] = {}
    drift = cpu_drift(windows)
    if drift is not None and abs(drift) > CPU_DRIFT_LIMIT:
        flags[Flag.CPU_DRIFT] = f"the CPU time of a request changed by {drift:+.0%} from the first half to the second"
    moved = trend(windows)
    if abs(moved) > UNSETTLED_LIMIT:
        flags[Flag.TREND] = f"the throughput changed by {moved:+.0%} over the windows: it has not settled"
    missing = unexplained_users(windows)
    if missing is not None and abs(missing) > LITTLE_LIMIT:
        flags[Flag.LITTLES_LAW] = (
            f"throughput times latency explains {1 - missing:.0%} of the users only: part of the time was "
            f"spent outside the "
            "server, so its capacity may be higher"
        )
    return flags


def _of_the_load(windows: Sequence[Window], load: Sequence[Window]) -> dict[Flag, str]:
    """What shows over the whole load only: a model that is another at its end, or that stops at times."""
    flags: dict[Flag, str] = {}
    slower = slowdown(windows, load)
    if slower > SLOWED_LIMIT:
        flags[Flag.SLOWED] = (
            f"the model became slower under load: at the same number of users it served {slower:.0%} less than at "
            "first, and may go on to (a leak, throttling)"
        )
    uneven, seconds = uneven_seconds(load), sum(window.duration_seconds for window in load)
    if uneven:
        flags[Flag.UNEVEN] = (
            f"in {uneven:.0f} of {seconds:.0f} seconds some answers took far longer than usual: the server pauses at "
            "times, or some requests cost far more than others; of what comes so seldom so short a load knows little"
        )
    grown = memory_growth(windows)
    if grown is not None:
        flags[Flag.MEMORY_GROWS] = (
            f"the memory grew from second to second, by {grown:.0%} in all: a leak, or a cache that fills; the model "
            "may run out of it later"
        )
    return flags


def slowdown(windows: Sequence[Window], load: Sequence[Window]) -> float:
    """How much less these windows served than those before them with as many users, as a share, where it is more than
    their scatter explains; else 0."""
    before = [w for w in load if not w.settling and w.users == windows[0].users and w.sequence < windows[0].sequence]
    first, now = throughput_per_second(before), throughput_per_second(windows)
    if not first:
        return 0.0
    scatter = math.hypot(*(relative_error_of_mean(merged_latency(each)) for each in (before, windows)))
    share = 1 - now / first
    return share if share > SLOWED_LIMIT + _SURE * scatter else 0.0


def uneven_seconds(load: Sequence[Window]) -> float:
    """Seconds of a closed-loop load in which answers took far longer than is usual at their number of users."""
    steady = [window for window in load if not window.settling and window.users and window.succeeded]
    levels = {window.users for window in steady}
    usual = {
        users: merged_latency(window for window in steady if window.users == users).quantile_ns(0.5) or 0.0
        for users in levels
    }
    base = min(usual.values(), default=0.0)
    return sum(w.duration_seconds for w in steady if outliers(w.latency, usual[w.users], base))


def memory_growth(windows: Sequence[Window]) -> float | None:
    """By how much the memory grew over the windows, as a share; None where it did not grow nearly all the time."""
    used = [window.memory_bytes for window in windows if window.memory_bytes]
    if len(used) < 3 or used[-1] - used[0] < max(_LEAST_GROWTH_BYTES, MEMORY_LIMIT * used[0]):
        return None
    rises = sum(later > earlier for earlier, later in itertools.pairwise(used))
    return used[-1] / used[0] - 1 if rises >= 0.8 * (len(used) - 1) else None


def cpu_drift(windows: Sequence[Window]) -> float | None:
    """How much more CPU a request took in the second half than in the first, as a share; None where not known.

    It is hardly touched by foreign load, so it tells of the model: a leak, a cache that fills, throttling.
    """
    half = len(windows) // 2
    first, second = _cpu_per_request(windows[:half]), _cpu_per_request(windows[half:])
    if first is None or second is None or half < 2:
        return None
    return second / first - 1


def _cpu_per_request(windows: Sequence[Window]) -> float | None:
    known = [window for window in windows if window.cpu_seconds is not None]
    cpu = sum(window.cpu_seconds or 0.0 for window in known)
    requests = sum(window.succeeded for window in known)
    return cpu / requests if requests >= 20 and cpu > 0.05 else None


def unexplained_users(windows: Sequence[Window]) -> float | None:
    """Share of the users that throughput times latency does not explain (Little's law); None where they changed."""
    users = {window.users for window in windows}
    seconds = sum(window.duration_seconds for window in windows)
    latency = merged_latency(windows)
    mean = latency.mean_ns()
    if len(users) != 1 or not mean or seconds <= 0 or latency.count < FEW_REQUESTS:
        return None
    return 1 - latency.count / seconds * mean / 1e9 / users.pop()


def close_call(figures: Figures, rules: StoppingRules) -> dict[Flag, str]:
    """A percentile that is too close to its threshold to tell on which side it is."""
    if rules.threshold is None:
        return {}
    known = figures.latency_low_ms is not None and figures.latency_high_ms is not None
    between = f" (95%: {figures.latency_low_ms:.1f} to {figures.latency_high_ms:.1f} ms)" if known else ""
    told = f"p{figures.percentile:g} is {figures.latency_ms:.1f} ms{between}"
    return {Flag.CLOSE_CALL: f"{told}, too close to the threshold of {rules.threshold.limit_ms} ms to tell"}


def open_loop_flags(
    told: OpenLoop, windows: Sequence[Window], threshold: LatencyThreshold, foreign_share: float = 0.0
) -> dict[Flag, str]:
    """What to know about a sustainable rate. foreign_share: as of `flags_of`, meanwhile."""
    words: list[str] = []
    if told.per_minute is None:
        words.append(f"the rate of arrivals that holds the threshold could not be told: {told.note}")
    elif told.low_per_minute is not None and told.high_per_minute is not None:
        rate, low, high = told.per_minute, told.low_per_minute, told.high_per_minute
        if (high - low) / 2 / rate > OPEN_LOOP_LIMIT and not told.at_least:
            widest = max(high - rate, rate - low) / rate  # as it stands beneath the figure
            words.append(
                f"the rate of arrivals that holds the threshold is known to ±{widest:.0%} only: service times vary "
                "much, or there was too little time for a model so slow"
            )
    if foreign_share > FOREIGN_LIMIT:
        words.append(
            f"others used {foreign_share:.0%} of the model's cores while the rate of arrivals that holds the threshold "
            "was searched: on a quiet host it is higher"
        )
    late = max((window.send_lag_ns for window in windows), default=0) / 1e6
    if late > SEND_LAG_LIMIT * threshold.limit_ms:
        words.append(f"the load generator was up to {late:.1f} ms late for arrivals, which counts as latency")
    return {Flag.OPEN_LOOP: "; ".join(words)} if words else {}


def price_flags(kind: InstanceType) -> dict[Flag, str]:
    """What to know about the costs of a type."""
    if kind.price_basis is PriceBasis.ESTIMATED:
        return {Flag.ESTIMATED_PRICE: f"the price of {kind.name} is estimated ({kind.price_source})"}
    if not kind.facts_verified:
        return {Flag.ESTIMATED_PRICE: f"the size of {kind.name} is not verified ({kind.facts_source or 'no source'})"}
    return {}
