"""The front process: the API on a socket that the supervisor bound. Stateless over the store."""

from __future__ import annotations

import asyncio
import gc
import socket

from modeldyno.app.compose import Dyno, open_dyno
from modeldyno.app.orders import (
    READY,
    Orders,
    allow_many_connections,
    keep_to_first_core,
    read_orders,
    run_child,
    tell,
    wait_for_go,
)
from modeldyno.domain.errors import ServiceError


def main() -> None:
    """Serve until told to stop."""
    orders = read_orders()
    if orders.listener_fd is None:
        raise SystemExit("the front needs a listening socket")
    gc.disable()  # loading and opening make a great many objects, and all of them stay
    import uvloop

    from modeldyno.app import front_app
    from modeldyno.wire.service import service

    service()
    wait_for_go()
    keep_to_first_core()
    allow_many_connections()
    listener = socket.socket(fileno=orders.listener_fd)

    def serves() -> None:
        # What is there by now stays. Looked through by each full collection, it would hold up every request for 30 ms.
        gc.freeze()
        gc.enable()
        tell(READY)

    async def body(stop: asyncio.Event) -> None:
        dyno = open_dyno(orders.settings, migrate=False)
        try:
            _refuse_without_keys(orders, dyno)
            async with front_app.opened(dyno, exposed=orders.exposed) as app:
                await front_app.serve(app, listener, serves, stop, orders.settings.tls)
        finally:
            dyno.close()

    run_child(body, uvloop.run)


def _refuse_without_keys(orders: Orders, dyno: Dyno) -> None:
    """
    Raises:
        ServiceError: other machines could reach what nobody could speak to.
    """
    if orders.exposed and all(key.revoked_at is not None for key in dyno.store.access_keys()):
        raise ServiceError(
            "Other machines can reach Dyno here, so every request must be signed, and there is no key: make one first "
            "(dyno keys create)."
        )


if __name__ == "__main__":
    main()
