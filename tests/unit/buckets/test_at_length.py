"""Copies of large objects hold up nobody else."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from modeldyno.buckets.exchange import Reply, at_length


async def test_short_work_does_not_wait_behind_copies() -> None:
    end = threading.Event()

    def copy(asked: Any) -> Reply:
        assert end.wait(20)
        return Reply()

    asked: Any = None
    copies = [asyncio.create_task(at_length(copy, asked)) for _ in range(100)]
    try:
        async with asyncio.timeout(10):
            await asyncio.sleep(0.05)
            await asyncio.to_thread(lambda: None)
    finally:
        end.set()
        await asyncio.gather(*copies)
