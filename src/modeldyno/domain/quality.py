"""How far a figure may be trusted: the flags that measurement itself gives, in words.

Source of the limits: experiments of this project on two-core machines (docs/explanation/measurement.md): a generator
over 30% of its core, or more than 3% foreign load on the model's cores, moved results noticeably.
"""

from __future__ import annotations

from collections.abc import Sequence

from modeldyno.domain.catalog import InstanceType, PriceBasis
from modeldyno.domain.measurement import Window, failure_share
from modeldyno.domain.trial import Flag

FEW_REQUESTS = 100
GENERATOR_CPU_LIMIT = 0.30
FOREIGN_LIMIT = 0.03
UNSETTLED_LIMIT = 0.05


def flags_of(
    windows: Sequence[Window], *, relative_half_width: float, foreign_share: float | None, stopped: bool
) -> dict[Flag, str]:
    """Flags from the windows that the figures rest on.

    relative_half_width: half of the 95% interval of the throughput over it. foreign_share: use of the model's cores by
    others, 0..1, None where not known. stopped: the load was cut short from outside.
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
    if stopped:
        flags[Flag.STOPPED_EARLY] = "the load was stopped before it had its answer"
    return flags


def price_flags(kind: InstanceType) -> dict[Flag, str]:
    """What to know about the costs of a type."""
    if kind.price_basis is PriceBasis.ESTIMATED:
        return {Flag.ESTIMATED_PRICE: f"the price of {kind.name} is estimated ({kind.price_source})"}
    if not kind.facts_verified:
        return {Flag.ESTIMATED_PRICE: f"the size of {kind.name} is not verified ({kind.facts_source or 'no source'})"}
    return {}
