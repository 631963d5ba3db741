"""What a refusal of one member of a request says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a member is refused. `values`: only these values are; None: any. `security`: it asks for protection, which a
    user may choose to do without (``[security] accept_unenforced``)."""

    reason: str
    values: frozenset[object] | None = None
    security: bool = False

    def told(self, path: str, value: object) -> str:
        """The sentence for one member of a request."""
        shown = path if self.values is None else f"{path} {value}"
        way_out = f" ({_WAY_OUT})" if self.security else ""
        return f"{shown} is not supported: {self.reason}{way_out}."


_WAY_OUT = "accept_unenforced = true under [security] in dyno.toml accepts it, without effect"
KMS = Refusal("Dyno encrypts nothing; use an encrypted disk or bucket", security=True)
VPC = Refusal("Dyno runs model servers on its own host, in no VPC", security=True)
NESTED = Refusal("lists of structures are searched by Filters, each on its own")
NO_ISOLATION = Refusal("a model server's network is not cut off", frozenset({True}), security=True)
