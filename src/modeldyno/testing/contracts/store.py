"""What every `ports.Store` does. Subclass, and give the fixture `open_again`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from modeldyno.ports import Store
from modeldyno.testing.contracts.store_hosting import HostingContract
from modeldyno.testing.contracts.store_jobs import JobContract
from modeldyno.testing.contracts.store_keys import KeyContract
from modeldyno.testing.contracts.store_leases import LeaseContract
from modeldyno.testing.contracts.store_metrics import MetricContract
from modeldyno.testing.contracts.store_resources import ResourceContract


class StoreContract(ResourceContract, JobContract, LeaseContract, HostingContract, MetricContract, KeyContract):
    """Collected by pytest in a subclass named ``Test...``.

    `open_again`: each call opens another store on the same facts, as another process would; there are
    none when a test begins.
    """

    @pytest.fixture
    def store(self, open_again: Callable[[], Store]) -> Store:
        """The store that most tests use."""
        return open_again()
