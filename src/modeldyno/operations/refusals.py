"""What a refusal of one member of a request says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a member is refused. `values`: only these values are; None: any."""

    reason: str
    values: frozenset[object] | None = None


KMS = Refusal("Dyno encrypts nothing; use an encrypted disk or bucket")
VPC = Refusal("Dyno runs model servers on its own host, in no VPC")
SERVERLESS = Refusal("serverless inference is not simulated")
NO_ISOLATION = Refusal("a model server's network is not cut off", frozenset({True}))
