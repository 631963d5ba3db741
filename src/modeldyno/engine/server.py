"""One hosted model server: started or adopted, watched, and taken out when it does not answer."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path

from modeldyno.domain.endpoint import Server, ServerStatus
from modeldyno.domain.errors import DynoError, InputFault, ModelFault, TrialFailure
from modeldyno.domain.metric import CPU, DISK, MEMORY, Metric, Minute, Values, minute_of
from modeldyno.domain.trial import TrialSpec
from modeldyno.engine.materials import ModelFiles
from modeldyno.engine.parts import Parts
from modeldyno.ports import DeployRequest, Instance, Tag, Usage

_LOOK_SECONDS = 0.2
# Source: SageMaker developer guide, *How Containers Serve Requests*: pinged every few seconds, 2 s for an answer.
_PING_EVERY_SECONDS = 2.0
# Chosen: two misses happen to a busy server; three are six seconds and more without an answer.
_MISSES = 3
# Chosen: a server that hangs for so long is replaced; until then it may come back.
_REPLACE_SECONDS = 30.0
_USAGE_SECONDS = 10.0
_METRICS: dict[str, Metric] = {"cpu": CPU, "memory": MEMORY, "disk": DISK}


class Superseded(Exception):
    """The row is another attempt's, or gone: what runs here is nobody's."""


class ServerRun:
    """The life of one attempt. `tell`: a line of the endpoint's story.

    `instance`: the server while it is there and ready. `strain`: how it answered ``/ping`` last, where that was not as
    it should.
    """

    def __init__(
        self,
        parts: Parts,
        server: Server,
        tag: Tag,
        files: Callable[[], Awaitable[ModelFiles]],
        tell: Callable[[str], Awaitable[None]],
    ) -> None:
        self._parts = parts
        self._server = server
        self._tag = tag
        self._files = files
        self._tell = tell
        self.instance: Instance | None = None
        self.strain: str | None = None
        self._name = f"{server.variant.name}/{server.index}"
        self._began = parts.clock.now()
        self._ordered = 0.0
        self._minute = self._minute_at(0)
        # Cold starts come and go for years: the story tells the first, and what fails.
        self._quiet = server.variant.serverless is not None and server.was_ready

    async def run(self, *, adopt: bool = False) -> None:
        """Serve until cancelled, or until the server has ended and the row says why. Nothing is left then."""
        self._ordered = self._parts.clock.monotonic()
        try:
            if not adopt and not self._quiet:
                await self._tell(f"{self._name} is being started as {self._server.variant.instance_type.name}.")
            request = await self._request()
            living = self._parts.backend.adopt(request) if adopt else None
            if adopt and living is None:
                await asyncio.to_thread(self._parts.backend.discard, self._tag)
                await self._failed("It ended while no worker watched it.", "")
                return
            await self._serve(living or self._parts.backend.deploy(request), adopted=adopt)
        except TrialFailure as fault:
            await self._failed(fault.reason, fault.log_tail)
        except Superseded:
            return

    async def _serve(self, living: AbstractAsyncContextManager[Instance], *, adopted: bool) -> None:
        async with living as instance:
            flags = {**self._server.flags, **{flag.value: words for flag, words in instance.flags.items()}}
            setup = self._server.setup_seconds if adopted else self._parts.clock.monotonic() - self._ordered
            ready = {"status": ServerStatus.READY, "url": instance.url, "was_ready": True, "reason": None}
            await self._report(**ready, flags=flags, setup_seconds=setup)
            beginning = f"{self._name} {'is adopted' if adopted else 'is ready'}: {instance.runtime}."
            if not self._quiet:
                await self._tell(f"{beginning} {self._server.flags.get('oversubscribed', '')}".rstrip())
            self.instance = instance
            try:
                await self._watch(instance)
            finally:
                self.instance = None

    async def _watch(self, instance: Instance) -> None:
        """Return never; raise `ModelFault` when the server has ended or hangs."""
        clock = self._parts.clock
        asked_at = measured_at = clock.monotonic()
        missed, out_since = 0, None
        used = instance.usage()
        while True:
            await clock.sleep(_LOOK_SECONDS)
            if (death := instance.death()) is not None:
                raise ModelFault(f"The model server {death}.", instance.log_tail())
            now = clock.monotonic()
            if now - measured_at >= _USAGE_SECONDS:
                used = await self._tell_usage(used, instance.usage(), now - measured_at)
                measured_at = now
            if now - asked_at < _PING_EVERY_SECONDS:
                continue
            self.strain = answer = await instance.ping()
            asked_at = clock.monotonic()
            missed = 0 if answer is None else missed + 1
            if missed == _MISSES and out_since is None:
                out_since = asked_at
                await self._report(status=ServerStatus.UNHEALTHY, reason=f"/ping: {answer}")
                await self._tell(f"{self._name} is taken out: /ping: {answer}.")
            elif missed == 0 and out_since is not None:
                out_since = None
                await self._report(status=ServerStatus.READY, reason=None)
                await self._tell(f"{self._name} is back.")
            if out_since is not None and asked_at - out_since > _REPLACE_SECONDS:
                raise ModelFault(
                    f"It has not answered /ping for {_REPLACE_SECONDS:g} s: {answer}.", instance.log_tail()
                )

    async def _tell_usage(self, before: Usage, after: Usage, seconds: float) -> Usage:
        placement = self._server.placement
        usage: dict[str, float] = {}
        if before.cpu_seconds is not None and after.cpu_seconds is not None:
            usage["cpu"] = 100.0 * max(0.0, after.cpu_seconds - before.cpu_seconds) / seconds
        if placement is not None and placement.memory_bytes and after.memory_bytes is not None:
            usage["memory"] = 100.0 * after.memory_bytes / placement.memory_bytes
        await self._report(usage=usage)
        disk = _disk_percent(self._parts.hosted_dir)
        await self._meter(usage if disk is None else {**usage, "disk": disk})
        return after

    async def _meter(self, usage: dict[str, float]) -> None:
        """Keep the minute's values; while the store is away there are none."""
        at = minute_of(self._parts.clock.now())
        if at != self._minute.at:
            self._minute = self._minute_at(at)
        for name, percent in usage.items():
            metric = _METRICS[name]
            self._minute.values.setdefault(metric.name, Values()).add(round(percent * metric.steps))
        with contextlib.suppress(DynoError):
            await asyncio.to_thread(self._parts.store.put_minutes, [self._minute])

    def _minute_at(self, at: int) -> Minute:
        server = self._server
        source = f"{self._tag}@{self._began:.3f}"
        return Minute(server.region, server.endpoint_name, server.variant.name, at, source, {})

    async def _failed(self, reason: str, log_tail: str) -> None:
        """One that was ready once is replaced; one that never was has failed."""
        again = self._server.was_ready
        status = ServerStatus.UNHEALTHY if again else ServerStatus.FAILED
        await self._tell(f"{self._name} {'is replaced' if again else 'failed'}: {reason}")
        try:
            await self._report(
                status=status, url=None, reason=reason, log_tail=log_tail, worker_id=None, placement=None, usage={}
            )
        except Superseded:
            return

    async def _report(self, **changes: object) -> None:
        now = self._parts.clock.now()

        def change(row: Server) -> Server:
            if "status" in changes and changes["status"] != row.status:
                changes["changed_at"] = now
            return replace(row, **changes)  # type: ignore[arg-type]

        write = self._parts.store.change_server
        written = await asyncio.to_thread(write, self._server.id, self._server.attempt, change)
        if written is None:
            raise Superseded
        self._server = written

    async def _request(self) -> DeployRequest:
        server, variant = self._server, self._server.variant
        if server.placement is None:
            raise InputFault("The server was taken without a place.")
        try:
            async with asyncio.timeout(variant.download_seconds):
                files = await self._files()
        except TimeoutError:
            raise InputFault(f"The model's data was not there within {variant.download_seconds:g} s.") from None
        log_path = self._parts.server_log(server)
        log_path.parent.mkdir(parents=True, exist_ok=True)
        return DeployRequest(
            tag=self._tag,
            spec=TrialSpec(
                server.index,
                server.endpoint_name,
                variant.instance_type,
                variant.source.environment,
                serverless=variant.serverless,
            ),
            placement=server.placement,
            source=variant.source,
            model_dir=files.model_dir,
            code_dir=files.code_dir,
            environment=dict(variant.source.environment),
            log_path=log_path,
            startup_seconds=variant.startup_seconds,
            lasting=True,
            on_progress=lambda text: self._tell(f"{self._name}: {text}"),
        )


def _disk_percent(place: Path) -> float | None:
    """Of the disk that models are on; None where the place is not there yet."""
    try:
        disk = shutil.disk_usage(place)
    except FileNotFoundError:
        return None
    return 100.0 * disk.used / disk.total
