"""What stands behind requests that are signed for S3: the directory of objects, or word of where objects are."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from modeldyno.app.compose import Dyno
from modeldyno.app.orders import note
from modeldyno.buckets.door import Closed, Door
from modeldyno.objects.folders import Folders
from modeldyno.ports import Clock
from modeldyno.wire.gate import Gate

_TIDY_SECONDS = 3600.0


@contextlib.asynccontextmanager
async def bucket_plane(dyno: Dyno, gate: Gate) -> AsyncIterator[Door | Closed]:
    """Dyno's own S3, unless real S3 is configured. What uploads have left is removed, now and every hour."""
    chosen = dyno.settings.objects
    if chosen.s3:
        where = chosen.endpoint_url or "AWS"
        yield Closed(
            f"Objects are kept in the S3 that [objects] in dyno.toml names ({where}), not in Dyno: give clients of S3 "
            "an endpoint of their own (AWS_ENDPOINT_URL_S3)."
        )
        return
    folders = Folders(dyno.places.objects)
    await asyncio.to_thread(folders.tidy)
    tidying = asyncio.create_task(keep_tidy(folders, dyno.clock))
    try:
        yield Door(folders, gate, dyno.settings.account, unenforced=dyno.settings.security.accept_unenforced)
    finally:
        tidying.cancel()
        await asyncio.gather(tidying, return_exceptions=True)


async def keep_tidy(folders: Folders, clock: Clock) -> None:
    """Remove what uploads have left, every hour, for ever."""
    while True:
        await clock.sleep(_TIDY_SECONDS)
        try:
            await asyncio.to_thread(folders.tidy)
        except Exception as error:  # whatever it is, the next hour may go well
            note(f"what uploads have left could not be removed: {error}")
