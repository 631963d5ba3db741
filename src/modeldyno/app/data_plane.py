"""The data plane of a front: routes, invoker, and what is done with requests afterwards."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import psutil

from modeldyno.app.compose import Dyno
from modeldyno.app.orders import note
from modeldyno.router.intake import LIMIT_BYTES
from modeldyno.router.invoke import Invoker
from modeldyno.router.meter import Meter
from modeldyno.router.metrics import Metrics
from modeldyno.router.mirror import MirrorLimits
from modeldyno.router.table import RouteTable
from modeldyno.router.tap import Tap
from modeldyno.wire.gate import Gate

# A stop waits for no shadow longer than this.
_MIRROR_SECONDS = 2.0
_MEBIBYTE = 1024**2


@contextlib.asynccontextmanager
async def data_plane(dyno: Dyno, gate: Gate) -> AsyncIterator[tuple[Invoker, Callable[[], bytes]]]:
    """What answers inference requests, and its metrics."""
    life = f"front-{dyno.entropy.token(12)}"
    chosen = dyno.settings.shadow
    meter = Meter(dyno.store, dyno.clock, life, note)
    metrics = Metrics(meter)
    table = RouteTable(dyno.store, dyno.clock, life, LIMIT_BYTES, note, dyno.settings.serverless.idle_seconds)
    tap = Tap(
        dyno.places.spool,
        life,
        dyno.clock,
        metrics,
        MirrorLimits(
            requests=chosen.queue_requests,
            total_bytes=round(chosen.queue_mib * _MEBIBYTE),
            body_bytes=chosen.max_body_bytes,
            parallel=chosen.parallel,
            seconds=chosen.timeout_seconds,
        ),
        noise_percent=chosen.noise_percent,
        most_waiting_bytes=round(chosen.queue_mib * _MEBIBYTE),
        most_spool_bytes=round(dyno.settings.capture.spool_mib * _MEBIBYTE),
        spare_bytes=round(dyno.settings.capture.spare_mib * _MEBIBYTE),
    )
    await table.look()
    lasting = [asyncio.create_task(table.run()), asyncio.create_task(meter.run())]
    try:
        yield (
            Invoker(table, dyno.clock, dyno.settings.account, tap, gate),
            lambda: metrics.text(dyno.store.servers(), psutil.disk_usage(str(dyno.places.root)).percent),
        )
    finally:
        for task in lasting:
            task.cancel()
        await asyncio.gather(*lasting, return_exceptions=True)
        await tap.end(_MIRROR_SECONDS)
        await meter.write()
        await table.end()
