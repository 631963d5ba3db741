"""An access key: what requests are signed with."""

from __future__ import annotations

from dataclasses import dataclass

KEY_PREFIX = "DYNO"
"""Of a key's id: it is not mistaken for one of AWS's, which begin with AKIA or ASIA."""


@dataclass(frozen=True, slots=True)
class AccessKey:
    """One key. Its secret is kept as it is: a signature is computed with it, not compared with a digest of it.

    Times are seconds since the Unix epoch; `revoked_at` None: it is valid. `note`: whose it is, for people.
    """

    id: str
    secret: str
    created_at: float
    note: str = ""
    revoked_at: float | None = None
