"""How many instances a variant should have: target tracking, on the metrics of the last minutes.

1. A policy scales out when its metric was above the target in each of the last 3 minutes, to as many instances as bring
   the last value down to it: an instance more means that much less for each.
2. It scales in when the metric was below 90% of the target in each of the last 15 minutes, to as many as keep the
   highest of these values at the target.
3. Where one policy scales out, the greatest number wins; the variant scales in only where all that may do so say so, to
   the greatest number of theirs.
4. A minute without values says nothing: nothing is scaled by it, either way.
5. After a change, minutes before it still count towards 3 and 15, but the last must have begun after it; and the
   cooldowns of the policy have to pass.

**Source:** Application Auto Scaling user guide, *Target tracking scaling policies* (several policies, missing data,
cooldowns, ResourceId), and the alarms that it makes for SageMaker: 3 data points of a minute above the target, 15 below
90% of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

OUT_MINUTES, IN_MINUTES = 3, 15
IN_SHARE = 0.9
COOLDOWN_SECONDS = 300
"""Where a policy has none, either way. **Source:** Application Auto Scaling user guide, *Define cooldown periods*, of
SageMaker endpoint variants."""
_ROUNDING = 1e-9  # what a product of floats may be above a whole number that is meant


@dataclass(frozen=True, slots=True)
class Policy:
    """A target tracking policy. `target`: of the metric's statistic by the minute, in its unit. Cooldowns are seconds.
    `document`: the configuration as it was sent."""

    name: str
    arn: str
    namespace: str
    metric: str
    statistic: str
    target: float
    out_cooldown: int
    in_cooldown: int
    scales_in: bool
    created_at: float
    document: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ScalableTarget:
    """A variant that may be scaled, between `least` and `most` instances. Times are seconds since the Unix epoch.
    `out_at`, `in_at`: when it was scaled last; 0: never."""

    region: str
    endpoint: str
    variant: str
    arn: str
    least: int
    most: int
    role: str
    created_at: float
    policies: tuple[Policy, ...] = ()
    out_suspended: bool = False
    in_suspended: bool = False
    scheduled_suspended: bool = False
    out_at: float = 0.0
    in_at: float = 0.0

    @property
    def resource_id(self) -> str:
        """As the wire has it. **Source:** botocore, ScalableTarget.ResourceId."""
        return f"endpoint/{self.endpoint}/variant/{self.variant}"


@dataclass(frozen=True, slots=True)
class Decision:
    """To so many instances, and why."""

    count: int
    why: str


def decide(
    target: ScalableTarget, seen: Mapping[str, Sequence[float | None]], current: int, room: int, now: float
) -> Decision | None:
    """What is to be done; None: nothing.

    seen: by the policy's name, the metric of each of the last `IN_MINUTES` whole minutes, oldest first; None: no
    values. `room`: how many instances the host has cores and memory for.
    """
    out = [found for policy in target.policies if (found := _out(target, policy, seen[policy.name], current, now))]
    if out:
        return _within(target, max(out, key=lambda found: found.count), current, room)
    inwards = [policy for policy in target.policies if policy.scales_in]
    wishes = [_in(target, policy, seen[policy.name], current, now) for policy in inwards]
    ready = [found for found in wishes if found is not None]
    if not ready or len(ready) < len(wishes):
        return None
    return _within(target, max(ready, key=lambda found: found.count), current, room)


def _out(
    target: ScalableTarget, policy: Policy, seen: Sequence[float | None], current: int, now: float
) -> Decision | None:
    if target.out_suspended or now < target.out_at + policy.out_cooldown:
        return None
    values = [value for value in seen[-OUT_MINUTES:] if value is not None and value > policy.target]
    if len(values) < OUT_MINUTES:
        return None
    wished = min(current * values[-1] / policy.target, target.most)  # without end, where the target is next to nothing
    count = max(current + 1, math.ceil(wished - _ROUNDING))
    why = f"{policy.metric} was above {policy.target:g} for {OUT_MINUTES} minutes, {values[-1]:g} in the last"
    return Decision(count, f"{why} (policy {policy.name})")


def _in(
    target: ScalableTarget, policy: Policy, seen: Sequence[float | None], current: int, now: float
) -> Decision | None:
    if target.in_suspended or now < max(target.in_at, target.out_at) + policy.in_cooldown:
        return None
    bound = IN_SHARE * policy.target
    values = [value for value in seen[-IN_MINUTES:] if value is not None and value < bound]
    if len(values) < IN_MINUTES:
        return None
    count = max(1, math.ceil(current * max(values) / policy.target - _ROUNDING))
    why = f"{policy.metric} was below {bound:g} for {IN_MINUTES} minutes, {max(values):g} at most"
    return Decision(count, f"{why} (policy {policy.name})") if count < current else None


def _within(target: ScalableTarget, wished: Decision, current: int, room: int) -> Decision | None:
    """Within the bounds of the target, and what the host has room for: a bound never turns a change round."""
    count = min(max(wished.count, target.least), target.most)
    why = wished.why
    if count > max(current, room):
        count = max(current, room)
        why += f"; there is room for {count} on this host"
    if count == current or (count > current) != (wished.count > current):
        return None
    return Decision(count, why)
