"""A front's knowledge of keys, while the database is as it is."""

from __future__ import annotations

import asyncio
import contextlib

from modeldyno.app.keyring import Keyring
from modeldyno.domain.key import AccessKey
from modeldyno.testing.clock import ManualClock

KEY = AccessKey("DYNO1", "secret", 0.0)


class Moody:
    """A store of keys that fails in a way that nobody foresaw."""

    def __init__(self) -> None:
        self.keys: tuple[AccessKey, ...] = (KEY,)
        self.asked = 0
        self.broken = False

    def access_keys(self) -> tuple[AccessKey, ...]:
        self.asked += 1
        if self.broken:
            raise ZeroDivisionError
        return self.keys


async def test_a_revoked_key_is_no_longer_good_after_the_database_failed_however_it_did() -> None:
    store = Moody()
    keyring = Keyring(store, ManualClock(), exposed=False)  # type: ignore[arg-type]
    keyring.look()
    task = asyncio.create_task(keyring.run())
    async with asyncio.timeout(10):
        store.broken = True
        asked = store.asked
        while store.asked < asked + 3:
            await asyncio.sleep(0.001)
        assert keyring.secret(KEY.id) == KEY.secret  # what is known stays meanwhile
        store.broken, store.keys = False, ()
        while keyring.secret(KEY.id) is not None:
            await asyncio.sleep(0.001)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
