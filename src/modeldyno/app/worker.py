"""The worker process: the engine over this host's instances. One a data directory."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from typing import Any

import msgspec

from modeldyno.app.catalogue import build_catalogue
from modeldyno.app.compose import environments_of, host_facts, job_result, open_objects, open_store_of
from modeldyno.app.entropy import SystemEntropy
from modeldyno.app.orders import OPENED, READY, keep_to_first_core, note, read_orders, run_child, tell, wait_for_go
from modeldyno.app.places import Places, places_of
from modeldyno.clock import SystemClock
from modeldyno.domain.job import Job
from modeldyno.engine.parts import Options, Parts
from modeldyno.engine.worker import Worker
from modeldyno.instances.compiler import ProcessCompiler
from modeldyno.instances.host_lock import MeasuringLock
from modeldyno.instances.process import ProcessBackend
from modeldyno.load.process import ProcessGenerator
from modeldyno.ports import Store
from modeldyno.router.spool_source import LocalSpool
from modeldyno.settings import Settings


def main() -> None:
    """Work until told to stop."""
    orders = read_orders()
    wait_for_go()

    async def body(stop: asyncio.Event) -> None:
        places = places_of(orders.settings)
        store = open_store_of(orders.settings, places, migrate=True)
        tell(OPENED)
        try:
            parts = build_parts(orders.settings, places, store)
            worker = Worker(parts, worker_id(places), hosts=orders.serves)
            keep_to_first_core()  # after the backend has seen every core, before there are threads
            await worker.run(stop, lambda: tell(READY))
        finally:
            store.close()

    run_child(body, asyncio.run)


def build_parts(settings: Settings, places: Places, store: Store) -> Parts:
    """The engine's parts on this host, while this process may use all of its cores still."""
    chosen = settings.measurement
    facts = host_facts()
    environments = environments_of(settings, places)
    backend = ProcessBackend(places.instances, environments.prepare, hidden=(places.root,))
    return Parts(
        store=store,
        objects=open_objects(settings, places),
        backend=backend,
        compiler=ProcessCompiler(backend, environments),
        generator=ProcessGenerator(),
        clock=SystemClock(),
        catalogue=build_catalogue(settings),
        runtimes=frozenset(settings.runtimes),
        permit=MeasuringLock(),
        work_dir=places.work,
        log_path=lambda job, index: places.trial_log(job.region, job.name, index),
        hosted_dir=places.hosted,
        server_log=lambda one: places.server_log(one.region, one.endpoint_name, one.variant.name, one.index),
        publish=lambda job: publish(places, store, job, facts),
        is_published=lambda job: places.result(job.region, job.name).is_file(),
        prune_files=places.prune,
        note=note,
        options=Options(
            startup_seconds=chosen.startup_seconds,
            request_timeout_seconds=chosen.request_timeout_seconds,
            max_trial_seconds=chosen.max_trial_seconds,
            max_users=chosen.max_users,
            open_loop_seconds=chosen.open_loop_seconds,
            run_off_seconds=chosen.run_off_seconds,
            lease_seconds=chosen.lease_seconds,
            retention_seconds=settings.retention_days * 86_400,
            capture_seconds=settings.capture.retention_days * 86_400,
        ),
        spool=LocalSpool(places.spool),
    )


def publish(places: Places, store: Store, job: Job, facts: Mapping[str, Any]) -> None:
    """Write the result file of an ended job, whole or not at all. `facts`: of the host."""
    target = places.result(job.region, job.name)
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_suffix(".new")
    document = job_result(store, store.job(job.region, job.name)) | {"host": facts}
    fresh.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=1))
    fresh.replace(target)


def worker_id(places: Places) -> str:
    """Stable over restarts and unique in the installation: the host's name and a token kept in the data directory."""
    path = places.root / "worker-id"
    if path.exists() and (known := path.read_text().strip()):
        return known
    name = f"{socket.gethostname()}-{SystemEntropy().token(8)}".replace("/", "-")
    path.write_text(f"{name}\n")
    return name


if __name__ == "__main__":
    main()
