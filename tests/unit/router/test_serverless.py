"""The requests at a serverless variant: who is let in, who waits, and who gets which server."""

from __future__ import annotations

import asyncio

import pytest

from modeldyno.router.refusals import Refused
from modeldyno.router.serverless import Pool
from modeldyno.router.upstream import Upstream


async def test_so_many_are_let_in_at_once_and_the_next_is_throttled() -> None:
    pool = Pool(10.0)
    with pool.admitted("main", 2, 0.0), pool.admitted("main", 2, 0.0):
        with pytest.raises(Refused) as told, pool.admitted("main", 2, 0.0):
            pass
        assert (told.value.status, told.value.code) == (429, "ThrottlingException")
        assert pool.busy == 2
    with pool.admitted("main", 2, 1.0):
        assert pool.busy == 1


async def test_servers_are_needed_until_they_were_idle_for_long_enough() -> None:
    pool = Pool(10.0)
    with pool.admitted("main", 5, 0.0):
        assert pool.servers(100.0) == 1  # however long it takes
    assert pool.servers(109.0) == 1
    assert pool.servers(110.0) == 0


async def test_a_server_is_taken_by_one_request_at_a_time_the_first_that_is_free() -> None:
    first, second = (Upstream(name, "http://127.0.0.1:9", 1) for name in ("s0", "s1"))
    pool = Pool(10.0)
    assert pool.take([first, second]) is first
    assert pool.take([first, second]) is second
    assert pool.take([first, second]) is None
    waiting = asyncio.create_task(pool.changed(30.0))
    await asyncio.sleep(0)
    pool.give_back(first)
    assert await waiting
    assert pool.take([first, second]) is first


async def test_who_waits_for_nothing_is_told() -> None:
    assert not await Pool(10.0).changed(0.01)
