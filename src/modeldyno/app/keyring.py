"""The keys of an installation, as a front knows them: read anew twice a second, off the event loop."""

from __future__ import annotations

import asyncio
import threading

from modeldyno.app.orders import note
from modeldyno.ports import Clock
from modeldyno.ports.keys import KeyStore

_EVERY_SECONDS = 0.5
# Whoever asks with unknown keys makes the database be read no more often than this.
_PATIENCE_SECONDS = 0.2


class Keyring:
    """`wire.gate.Keys` over the store. `exposed`: requests must be signed even while there are no keys."""

    def __init__(self, store: KeyStore, clock: Clock, *, exposed: bool) -> None:
        self._store = store
        self._clock = clock
        self._exposed = exposed
        self._secrets: dict[str, str] = {}
        self._any = False
        self._asked = float("-inf")
        self._lock = threading.Lock()

    @property
    def required(self) -> bool:
        """Whether requests must be signed: once a key was made, also when all are revoked."""
        return self._exposed or self._any

    def secret(self, key_id: str) -> str | None:
        """Of a valid key."""
        return self._secrets.get(key_id)

    def look_again(self) -> bool:
        """Read them anew, unless that was just done; whether it was."""
        with self._lock:
            if self._clock.monotonic() - self._asked < _PATIENCE_SECONDS:
                return False
            self._asked = self._clock.monotonic()
            self.look()
            return True

    def look(self) -> None:
        """Read them anew. Raises as the store."""
        keys = self._store.access_keys()
        self._secrets = {key.id: key.secret for key in keys if key.revoked_at is None}
        self._any = bool(keys)

    async def run(self) -> None:
        """Read them anew for ever; what is known stays while the database is away."""
        away = False
        while True:
            await self._clock.sleep(_EVERY_SECONDS)
            try:
                await asyncio.to_thread(self.look)
                away = False
            except Exception as error:  # whatever it is: without this loop a key would be good for ever
                if not away:
                    note(f"the keys cannot be read, those known stay: {error}")
                away = True
