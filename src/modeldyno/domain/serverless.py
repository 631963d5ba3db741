"""Serverless: no server runs until an invocation comes, and so many invocations are processed at once.

1. A server of a serverless variant has the memory that was asked for and a share of a core in proportion to it
   (Assumption A-0120), and processes one invocation at a time (Assumption A-0121).
2. Nobody waits behind another: an invocation takes a server that is free, or a new one is started for it (a cold
   start). What comes when as many as MaxConcurrency are in process is refused.
3. A server that no invocation needed for a while is ended; `Demand` tells how many are needed.

**Source:** SageMaker developer guide, *Deploy models with Amazon SageMaker Serverless Inference*.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from modeldyno.domain.catalog import InstanceType, PriceBasis

MEMORY_SIZES_MB = (1024, 2048, 3072, 4096, 5120, 6144)
"""**Source:** botocore, ProductionVariantServerlessConfig.MemorySizeInMB: "in 1 GB increments"."""
MB_PER_VCPU = 1769.0
"""Assumption A-0120: as AWS Lambda's, on which serverless inference rests. **Source:** Lambda developer guide,
*Configure Lambda function memory*: "At 1,769 MB, a function has the equivalent of one vCPU"."""
LIMIT_BYTES = 4 * 1024 * 1024
"""Of a body, either way. **Source:** SageMaker developer guide, *Inference options*: payloads up to 4 MB."""
IDLE_SECONDS = 300.0
"""Assumption A-0122: how long a server that nobody needs is kept."""


@dataclass(frozen=True, slots=True)
class Serverless:
    """A ServerlessConfig. `concurrency`: invocations in process at once, at most; `provisioned`: servers that always
    run."""

    memory_mb: int
    concurrency: int
    provisioned: int = 0


def type_name(memory_mb: int) -> str:
    """What a server of that size is called where instance types have their names."""
    return f"serverless {memory_mb} MB"


def serverless_types(mb_per_vcpu: float, usd_per_second: Mapping[int, float]) -> dict[str, InstanceType]:
    """What one server of each size is, by name. `usd_per_second`: of processing, by size in MB; a size without a price
    has no cost."""
    return {type_name(size): _type(size, mb_per_vcpu, usd_per_second.get(size)) for size in MEMORY_SIZES_MB}


def _type(memory_mb: int, mb_per_vcpu: float, usd_per_second: float | None) -> InstanceType:
    priced = usd_per_second is not None
    return InstanceType(
        name=type_name(memory_mb),
        vcpus=memory_mb / mb_per_vcpu,
        memory_mib=memory_mb,
        usd_per_second=usd_per_second,
        price_basis=PriceBasis.CONFIGURED if priced else PriceBasis.UNKNOWN,
        price_source="dyno.toml, [serverless.usd_per_second]" if priced else "",
        facts_source="vCPUs in proportion to memory: dyno.toml, [serverless] mb_per_vcpu",
    )


def servers_wanted(serverless: Serverless, demand: int, *, proven: bool) -> int:
    """How many servers a variant should have. `proven`: it has served before; else one server shows that it can.

    **Source:** developer guide, *Troubleshooting* of serverless endpoints: one "fails to create or update due to a ping
    health check failure", so its model is started then.
    """
    least = serverless.provisioned if proven else max(1, serverless.provisioned)
    return min(serverless.concurrency, max(least, demand))


def demand_key(endpoint_id: str, variant: str) -> str:
    """Names a variant where demand is told."""
    return f"{endpoint_id}/{variant}"


@dataclass(slots=True)
class Demand:
    """How many servers invocations need: the most that were in process at once in the last `idle_seconds`."""

    idle_seconds: float = IDLE_SECONDS
    _needed: list[float] = field(default_factory=list)
    """At [k], when more than k invocations were last in process at once."""

    def see(self, concurrent: int, now: float) -> None:
        """So many are in process now."""
        kept = self._needed[concurrent:]
        self._needed = [now] * concurrent + kept

    def servers(self, now: float) -> int:
        """How many servers are needed now."""
        while self._needed and now - self._needed[-1] >= self.idle_seconds:
            self._needed.pop()
        return len(self._needed)
