"""What must not repeat, from the system's randomness (`ports.Entropy`)."""

from __future__ import annotations

import secrets

_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"


class SystemEntropy:
    """The operating system's generator."""

    def token(self, length: int) -> str:
        """`length` characters of ``[a-z0-9]``."""
        return "".join(secrets.choice(_ALPHABET) for _ in range(length))

    def seed(self) -> int:
        """A seed below 2**32."""
        return secrets.randbelow(2**32)
