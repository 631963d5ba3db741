"""What an instance type is: its size, its price, and how sure we are of both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum


class PriceBasis(StrEnum):
    """Where a price comes from; decides how it is labelled wherever a cost shows."""

    LISTED = "listed"  # read from the provider's price list
    ESTIMATED = "estimated"  # derived by a factor from another price
    EXAMPLE = "example"  # an example type of the demo
    CONFIGURED = "configured"  # set by the user in dyno.toml
    UNKNOWN = "unknown"  # no price: no cost fields, ranked last


@dataclass(frozen=True, slots=True)
class Accelerator:
    """Accelerators of one kind in an instance type. `memory_mib_each` is None where unknown."""

    kind: str  # "gpu" | "neuron"
    name: str
    count: int
    memory_mib_each: int | None = None


@dataclass(frozen=True, slots=True)
class InstanceType:
    """One instance type. None means unknown, never zero.

    `vcpus` may be a fraction for own types (0.5 = half of one core). `memory_mib` is what a model may use at most.
    `facts_verified` is False when size facts are not confirmed by a source ("estimated" in reports). `usd_per_second`:
    of a serverless size, the price of a second in which it processes; it has no price an hour.
    """

    name: str
    vcpus: float | None = None
    memory_mib: int | None = None
    architectures: tuple[str, ...] = ()
    accelerators: tuple[Accelerator, ...] = ()
    usd_per_hour: float | None = None
    price_basis: PriceBasis = PriceBasis.UNKNOWN
    price_source: str = ""
    facts_verified: bool = True
    facts_source: str = ""
    burstable: bool = False
    usd_per_second: float | None = None

    @property
    def priced(self) -> bool:
        """Whether a cost may be computed at all."""
        known = self.usd_per_hour is not None or self.usd_per_second is not None
        return known and self.price_basis is not PriceBasis.UNKNOWN

    @property
    def estimated(self) -> bool:
        """Whether costs of this type must be labelled *estimated*."""
        return self.price_basis is PriceBasis.ESTIMATED or not self.facts_verified


class Catalogue(Mapping[str, InstanceType]):
    """Every instance type Dyno knows, by name. Built by `app` from `data/` and dyno.toml. `serverless`: what a server
    of each serverless size is, which no instance type of a request names."""

    def __init__(self, types: Mapping[str, InstanceType], serverless: Mapping[str, InstanceType] | None = None) -> None:
        self._types = dict(types)
        self.serverless = dict(serverless or {})

    @property
    def every(self) -> dict[str, InstanceType]:
        """With the serverless sizes."""
        return {**self._types, **self.serverless}

    def __getitem__(self, name: str) -> InstanceType:
        return self._types[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._types)

    def __len__(self) -> int:
        return len(self._types)
