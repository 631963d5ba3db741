"""A front alone on one core, with an endpoint whose servers are where they are told to be. For the benchmarks.

``python -m benchmarks.front DIRECTORY PRODUCTION_URL [SHADOW_URL PERCENT]`` prints ``ready URL`` and serves until its
standard input ends; a line with a number there sets the percentage that is mirrored, and is answered when it holds.
"""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import sys
from dataclasses import replace
from pathlib import Path

import uvloop

from modeldyno.app.compose import Dyno, open_dyno
from modeldyno.app.data_plane import data_plane
from modeldyno.domain.catalog import InstanceType
from modeldyno.domain.endpoint import Endpoint, EndpointStatus, Fleet, FleetSpec, Server, ServerStatus, VariantSpec
from modeldyno.domain.experiment import with_percent
from modeldyno.domain.model import ModelSource
from modeldyno.domain.rollout import Step
from modeldyno.server.chain import make_app
from modeldyno.server.serve import serve
from modeldyno.settings import Settings
from modeldyno.wire.gate import Gate, open_gate

NAME = "bench"
KEY = "DYNO_BENCH_KEY"
"""The variable with a key's id and secret, joined by a colon: then requests must be signed with it."""
_REGION = "us-east-1"


def endpoint_of(dyno: Dyno, production: str, shadow: str | None, percent: int) -> None:
    """An endpoint in service with these servers, as the engine would have written it."""
    one = InstanceType("local.one", 1.0, 512)
    variant = VariantSpec("main", ModelSource("bench", None), one)
    shadows = (VariantSpec("shadow", ModelSource("bench", None), one),) if shadow else ()
    spec = with_percent(FleetSpec("bench", (variant,), shadows), percent)
    arn = f"arn:aws:sagemaker:{_REGION}:000000000000:endpoint/{NAME}"
    endpoint = Endpoint("bench", _REGION, NAME, arn, EndpointStatus.IN_SERVICE, Fleet(1, spec), 1.0, 1.0)
    servers = [(variant, production, False), *((one, shadow, True) for one in shadows)]
    rows = tuple(
        Server(
            id=f"bench-{of.name}",
            endpoint_id="bench",
            region=_REGION,
            endpoint_name=NAME,
            fleet=1,
            variant=of,
            index=0,
            shadow=is_shadow,
            status=ServerStatus.READY,
            url=url,
        )
        for of, url, is_shadow in servers
    )
    dyno.store.add_endpoint(endpoint)
    dyno.store.step_endpoint(_REGION, NAME, lambda row, _: Step(row, add=rows))


def set_percent(dyno: Dyno, percent: int) -> None:
    """Mirror so many percent of the requests from now on."""
    dyno.store.change_endpoint(
        _REGION, NAME, lambda row: replace(row, fleet=replace(row.fleet, spec=with_percent(row.fleet.spec, percent)))
    )


class _OneKey:
    """A keyring of one."""

    required = True

    def __init__(self, key_id: str, secret: str) -> None:
        self._secrets = {key_id: secret}

    def secret(self, key_id: str) -> str | None:
        return self._secrets.get(key_id)

    def look_again(self) -> bool:
        return False


async def _serve(directory: Path, production: str, shadow: str | None, percent: int) -> None:
    dyno = open_dyno(Settings(data_dir=str(directory)))
    endpoint_of(dyno, production, shadow, percent)
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    port = listener.getsockname()[1]
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def order() -> None:
        text = os.read(0, 64).decode().strip()
        if not text:
            loop.remove_reader(0)
            stop.set()
            return
        set_percent(dyno, int(text))
        loop.call_later(0.5, lambda: print("done", flush=True))

    loop.add_reader(0, order)
    gate = Gate(_OneKey(*os.environ[KEY].split(":")), dyno.clock.now) if KEY in os.environ else open_gate()

    def serves() -> None:
        gc.freeze()  # as the front does
        print(f"ready http://127.0.0.1:{port}/endpoints/{NAME}", flush=True)

    async with data_plane(dyno, gate) as (invoker, metrics):
        app = make_app(lambda *_: {}, lambda: {"status": "ok"}, data_plane=invoker, metrics=metrics, gate=gate)
        await serve(app, listener, serves, stop)
    dyno.close()


def main() -> None:
    directory, production, *shadow = sys.argv[1:]
    percent = int(shadow[1]) if shadow else 0
    uvloop.run(_serve(Path(directory), production, shadow[0] if shadow else None, percent))


if __name__ == "__main__":
    main()
