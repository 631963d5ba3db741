"""What uploads left is removed while Dyno serves, too."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path

from modeldyno.app.bucket_plane import keep_tidy
from modeldyno.objects.folders import Folders
from modeldyno.testing.clock import ManualClock


async def test_what_a_crash_left_goes_without_a_restart(tmp_path: Path) -> None:
    folders = Folders(tmp_path)
    folders.make_bucket("bucket")
    sink = folders.sink("bucket", 0)
    os.utime(sink.path, (0, 0))
    task = asyncio.create_task(keep_tidy(folders, ManualClock()))
    async with asyncio.timeout(10):
        while sink.path.exists():
            await asyncio.sleep(0.01)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    sink.discard()
