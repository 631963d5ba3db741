"""The front's application: every door, over one installation."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from typing import Any

import modeldyno.store.sql  # noqa: F401 - while the worker makes it ready
from modeldyno import __version__
from modeldyno.app.bucket_plane import bucket_plane
from modeldyno.app.compose import Dyno
from modeldyno.app.data_plane import data_plane
from modeldyno.app.keyring import Keyring
from modeldyno.operations.dispatch import call
from modeldyno.server import serve as server
from modeldyno.server.chain import App, make_app
from modeldyno.settings import TlsSetting
from modeldyno.wire.decode import Call
from modeldyno.wire.gate import Gate


@contextlib.asynccontextmanager
async def opened(dyno: Dyno, *, exposed: bool) -> AsyncIterator[App]:
    """The application. `exposed`: other machines can reach it, so requests must be signed."""

    def dispatch(asked: Call) -> Mapping[str, Any]:
        return call(dyno.context(asked.region, asked.key_id), asked.operation, asked.params, asked.api)

    def health() -> Mapping[str, Any]:
        return {"status": "ok", "version": __version__, "installation": dyno.store.installation}

    keyring = Keyring(dyno.store, dyno.clock, exposed=exposed)
    keyring.look()
    gate = Gate(keyring, dyno.clock.now)
    async with (
        _background(keyring.run()),
        bucket_plane(dyno, gate) as buckets,
        data_plane(dyno, gate) as (invoker, metrics),
    ):
        yield make_app(dispatch, health, data_plane=invoker, metrics=metrics, buckets=buckets, gate=gate)


async def serve(
    app: App, listener: socket.socket, ready: Callable[[], None], stop: asyncio.Event, tls: TlsSetting
) -> None:
    """Serve until `stop`."""
    await server.serve(app, listener, ready, stop, certificate=tls.cert, private_key=tls.key)


@contextlib.asynccontextmanager
async def _background(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
