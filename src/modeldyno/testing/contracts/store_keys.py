"""What every `ports.Store` does with access keys."""

# ruff: noqa: D102  (the name of a test says what it shows)

from __future__ import annotations

from collections.abc import Callable

import pytest

from modeldyno.domain.errors import ResourceInUse, ResourceNotFound
from modeldyno.domain.key import AccessKey
from modeldyno.ports import Store

FIRST = AccessKey("DYNO1", "a secret", 10.0, "mine")
SECOND = AccessKey("DYNO2", "another", 20.0)


class KeyContract:
    """Part of `StoreContract`."""

    def test_keys_are_told_oldest_first_to_every_process(self, store: Store, open_again: Callable[[], Store]) -> None:
        store.add_key(SECOND)
        store.add_key(FIRST)
        assert open_again().access_keys() == (FIRST, SECOND)

    def test_a_key_is_added_once(self, store: Store) -> None:
        store.add_key(FIRST)
        with pytest.raises(ResourceInUse, match="DYNO1"):
            store.add_key(AccessKey("DYNO1", "stolen", 30.0))
        assert store.access_keys() == (FIRST,)

    def test_a_revoked_key_stays_with_the_time_of_its_first_revocation(self, store: Store) -> None:
        store.add_key(FIRST)
        store.add_key(SECOND)
        assert store.revoke_key("DYNO1", 50.0).revoked_at == 50.0
        assert store.revoke_key("DYNO1", 60.0).revoked_at == 50.0
        assert [key.revoked_at for key in store.access_keys()] == [50.0, None]
        with pytest.raises(ResourceNotFound, match="DYNO9"):
            store.revoke_key("DYNO9", 60.0)
