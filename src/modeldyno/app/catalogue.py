"""The catalogue: the shipped facts on AWS's instance types, with the types and prices of dyno.toml over them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib.resources import files
from typing import Any

import msgspec

from modeldyno.domain.catalog import Accelerator, Catalogue, InstanceType, PriceBasis
from modeldyno.domain.serverless import serverless_types
from modeldyno.settings import InstanceSetting, Settings

_KNOWN_ARCHITECTURES = ("x86_64", "arm64")


def build_catalogue(settings: Settings) -> Catalogue:
    """Every type Dyno knows: own types replace AWS's of the same name, own prices replace listed ones."""
    facts: dict[str, Any] = msgspec.json.decode(files("modeldyno.data").joinpath("instances.json").read_bytes())
    types = {name: _aws(name, fact) for name, fact in facts.items() if not name.startswith("_")}
    types.update({name: _own(name, setting) for name, setting in settings.instances.items()})
    for name, price in settings.prices.items():
        known = types.get(name, InstanceType(name))
        types[name] = replace(
            known, usd_per_hour=price, price_basis=PriceBasis.CONFIGURED, price_source="dyno.toml, [prices]"
        )
    chosen = settings.serverless
    return Catalogue(types, serverless_types(chosen.mb_per_vcpu, chosen.usd_per_second))


def _aws(name: str, fact: Mapping[str, Any]) -> InstanceType:
    price = fact.get("usd_hour")
    return InstanceType(
        name=name,
        vcpus=fact.get("vcpu"),
        memory_mib=fact.get("memory_mib"),
        architectures=tuple(arch for arch in fact.get("arch", ()) if arch in _KNOWN_ARCHITECTURES),
        accelerators=tuple(_accelerators(fact)),
        usd_per_hour=price,
        price_basis=_basis(price, fact.get("price_source", "")),
        price_source=fact.get("price_source", ""),
        facts_verified=fact.get("spec_source") != "unverified",
        facts_source=fact.get("spec_source", ""),
        # Source: "Burstable instance type ml.t2.medium is not allowed." (developer guide, troubleshooting)
        burstable=name.startswith("ml.t2."),
    )


def _basis(price: float | None, source: str) -> PriceBasis:
    if price is None:
        return PriceBasis.UNKNOWN
    return PriceBasis.LISTED if source.startswith("AWS Price List") else PriceBasis.ESTIMATED


def _accelerators(fact: Mapping[str, Any]) -> list[Accelerator]:
    found = []
    if gpu := fact.get("gpu"):
        found.append(Accelerator("gpu", gpu["name"], gpu["count"], gpu.get("mem_mib_each")))
    if neuron := fact.get("neuron"):
        found.append(Accelerator("neuron", neuron["name"], neuron["devices"]))
    return found


def _own(name: str, setting: InstanceSetting) -> InstanceType:
    basis = PriceBasis.EXAMPLE if setting.example else PriceBasis.CONFIGURED
    memory = setting.memory_gib
    return InstanceType(
        name=name,
        vcpus=setting.vcpus,
        memory_mib=None if memory is None else round(memory * 1024),
        architectures=(setting.architecture,) if setting.architecture else (),
        accelerators=(Accelerator("gpu", "GPU", setting.gpus),) if setting.gpus else (),
        usd_per_hour=setting.usd_per_hour,
        price_basis=PriceBasis.UNKNOWN if setting.usd_per_hour is None else basis,
        price_source="" if setting.usd_per_hour is None else f"dyno.toml, [instances.{name!r}]",
        facts_source="dyno.toml",
    )
