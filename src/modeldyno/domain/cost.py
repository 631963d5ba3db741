"""What a configuration costs: dollars an hour, dollars an inference, instances for a target.

Source: the examples of the SageMaker developer guide obey these formulas exactly
(0.204 / (648 x 60) = 5.2469e-06 for one instance, 0.69 = 0.23 x 3 for three).
"""

from __future__ import annotations

import math

HOURS_PER_MONTH = 730.0
"""Hours in a month as cloud price pages count them (365 x 24 / 12)."""


def cost_per_hour_usd(usd_per_hour: float, instance_count: int) -> float:
    """Dollars an hour of the whole fleet."""
    return usd_per_hour * instance_count


def cost_per_inference_usd(fleet_usd_per_hour: float, fleet_per_minute: float) -> float | None:
    """Dollars an invocation when the fleet is fully used; None when it serves nothing."""
    return fleet_usd_per_hour / (fleet_per_minute * 60) if fleet_per_minute > 0 else None


def cost_per_use_usd(usd_per_second: float, mean_latency_ms: float) -> float:
    """Dollars an invocation where only the time of processing is paid.

    **Source:** developer guide, *Serverless Inference*: one pays for the compute that requests use, billed by the
    millisecond, and the amount of data processed. The latter is not in here.
    """
    return usd_per_second * mean_latency_ms / 1000


def instances_for(target_per_minute: float, capacity_per_minute: float) -> int | None:
    """Instances that carry the target; None when one instance carries nothing."""
    if capacity_per_minute <= 0:
        return None
    return max(1, math.ceil(target_per_minute / capacity_per_minute))
