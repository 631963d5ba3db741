"""One front door for the tests of a module."""

from __future__ import annotations

import pytest

from tests.unit.server.front import front


@pytest.fixture(scope="module")
def door():
    with front() as served:
        yield served
