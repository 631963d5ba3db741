"""Who may speak to an installation: the part of `Store` that credentials need."""

from __future__ import annotations

from typing import Protocol

from modeldyno.domain.key import AccessKey


class KeyStore(Protocol):
    """Access keys. One transaction a method."""

    def add_key(self, key: AccessKey) -> None:
        """Add one; `ResourceInUse` when its id is there."""
        ...

    def access_keys(self) -> tuple[AccessKey, ...]:
        """Every key, revoked ones too, oldest first."""
        ...

    def revoke_key(self, key_id: str, now: float) -> AccessKey:
        """It is not valid any more from now on; one that was revoked before stays as it is. `ResourceNotFound`."""
        ...
