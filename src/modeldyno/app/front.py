"""The front process: the API on a socket that the supervisor bound. Stateless over the store."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import Mapping
from typing import Any

from modeldyno import __version__
from modeldyno.app.compose import Dyno, open_dyno
from modeldyno.app.orders import READY, keep_to_first_core, read_orders, run_child, tell, wait_for_go


def main() -> None:
    """Serve until told to stop."""
    orders = read_orders()
    if orders.listener_fd is None:
        raise SystemExit("the front needs a listening socket")
    gc.disable()  # loading makes a great many objects, and all of them stay
    import uvloop

    import modeldyno.store.sql  # noqa: F401 - while the worker makes it ready
    from modeldyno.app.data_plane import data_plane
    from modeldyno.operations.dispatch import call
    from modeldyno.server.chain import make_app
    from modeldyno.server.serve import serve
    from modeldyno.wire.service import service

    service()
    gc.freeze()
    gc.enable()
    wait_for_go()
    keep_to_first_core()
    listener = socket.socket(fileno=orders.listener_fd)

    async def body(stop: asyncio.Event) -> None:
        dyno = open_dyno(orders.settings, migrate=False)

        def dispatch(region: str, operation: str, params: dict[str, Any]) -> Mapping[str, Any]:
            return call(dyno.context(region), operation, params)

        try:
            async with data_plane(dyno) as (invoker, metrics):
                app = make_app(dispatch, lambda: _health(dyno), data_plane=invoker, metrics=metrics)
                await serve(app, listener, lambda: tell(READY), stop)
        finally:
            dyno.close()

    run_child(body, uvloop.run)


def _health(dyno: Dyno) -> Mapping[str, Any]:
    return {"status": "ok", "version": __version__, "installation": dyno.store.installation}


if __name__ == "__main__":
    main()
