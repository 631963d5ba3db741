"""Requests, routes and mirrors under attack: fronts in memory, model servers on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from modeldyno.clock import SystemClock
from modeldyno.domain.endpoint import Endpoint, EndpointStatus, Fleet, Server, ServerStatus
from modeldyno.domain.pair import Outcome
from modeldyno.router import intake
from modeldyno.router.invoke import Invoker
from modeldyno.router.metrics import Metrics
from modeldyno.router.mirror import MirrorLimits
from modeldyno.router.table import RouteTable
from modeldyno.router.tally import ELIGIBLE, read_tally
from modeldyno.router.tap import Tap
from modeldyno.wire.gate import open_gate
from tests.servers import serving
from tests.unit.domain.hosted import an_endpoint, fleet_spec, variant
from tests.unit.router.test_upstream import OK, Answer

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Rows:
    """As much of a store as a front reads. `between` is called while the routes are being read."""

    def __init__(self, *servers: Server, endpoint: Endpoint) -> None:
        self.rows = servers
        self.kept = (endpoint,)
        self.version = 1
        self.told: list[tuple[int, frozenset[str]]] = []
        self.between: Callable[[], None] = lambda: None

    def routes_version(self) -> int:
        return self.version

    def servers(self) -> tuple[Server, ...]:
        found = self.rows
        self.between()
        return found

    def endpoints(self) -> tuple[Endpoint, ...]:
        return self.kept

    def tell_front(
        self, front_id: str, version: int, busy: frozenset[str], expires_at: float, demand: dict[str, int]
    ) -> None:
        self.told.append((version, busy))


class Front:
    """An invoker over rows."""

    def __init__(self, root: Path, rows: Rows) -> None:
        self.rows = rows
        self.clock = SystemClock()
        self.notes: list[str] = []
        limits = MirrorLimits(requests=10, total_bytes=1 << 20, parallel=2, seconds=1.0)
        self.tap = Tap(
            root / "spool",
            "life",
            self.clock,
            Metrics(),
            limits,
            noise_percent=0.0,
            most_waiting_bytes=1 << 20,
            most_spool_bytes=1 << 30,
            spare_bytes=0,
        )
        self.table = RouteTable(rows, self.clock, "front", intake.LIMIT_BYTES, self.notes.append)  # type: ignore[arg-type]
        self.invoker = Invoker(self.table, self.clock, "0" * 12, self.tap, open_gate())
        self.root = root

    async def ask(
        self, *, path: str = "/endpoints/e/invocations", receive: Any = None, gone: asyncio.Event | None = None,
        headers: tuple[tuple[bytes, bytes], ...] = (), sent: list[dict[str, Any]] | None = None,
    ) -> tuple[int, bytes]:  # fmt: skip
        sent = [] if sent is None else sent
        first = [{"type": "http.request", "body": b"1", "more_body": False}]

        async def one() -> Mapping[str, Any]:
            if first:
                return first.pop()
            await (gone or asyncio.Event()).wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)
            await asyncio.sleep(0)

        scope = {"type": "http", "path": path, "method": "POST", "headers": list(headers)}
        await self.invoker(scope, receive or one, send)
        return sent[0]["status"] if sent else 0, b"".join(one.get("body", b"") for one in sent)

    async def counts(self) -> dict[str, int]:
        await self.tap.end(1.0)
        return {
            name: count
            for key in read_tally(self.root / "spool" / "life" / "tally").values()
            for name, count in key.items()
            if count
        }


@asynccontextmanager
async def answering(answer: Answer) -> AsyncIterator[str]:
    async with serving(answer) as port:
        yield f"http://127.0.0.1:{port}"


async def read(reader: asyncio.StreamReader) -> None:
    await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(1)


def always(data: bytes) -> Answer:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read(reader)
            writer.write(data)
            await writer.drain()

    return answer


def a_server(name: str, url: str, *, shadow: bool = False, fleet: int = 1) -> Server:
    spec = variant("shadow" if shadow else "main")
    return Server(name, "e1", "us-east-1", "e", fleet, spec, 0, shadow, status=ServerStatus.READY, url=url)


def in_service(*, shadow: float | None = None, **changes: object) -> Endpoint:
    spec = fleet_spec(variant(), shadows=() if shadow is None else (variant("shadow", weight=shadow),))
    return replace(an_endpoint(spec, EndpointStatus.IN_SERVICE), **changes)  # type: ignore[arg-type]


async def a_front(root: Path, *servers: Server, **changes: Any) -> Front:
    front = Front(root, Rows(*servers, endpoint=in_service(**changes)))
    await front.table.look()
    return front


async def test_a_caller_that_trickles_its_body_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "BODY_SECONDS", 0.1)
    front = await a_front(tmp_path, a_server("s1", "http://127.0.0.1:1"))

    async def trickle() -> Mapping[str, Any]:
        await asyncio.sleep(0.02)
        return {"type": "http.request", "body": b"x", "more_body": True}

    assert (await front.ask(receive=trickle))[0] == 408


async def test_a_caller_that_leaves_a_stream_ends_it_at_the_server(tmp_path: Path) -> None:
    ended = asyncio.Event()

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read(reader)
        writer.write(CHUNKED)
        try:
            while True:
                writer.write(b"1\r\nx\r\n")
                await writer.drain()
                await asyncio.sleep(0.01)
        finally:
            ended.set()

    async with answering(endless) as url:
        shadow = a_server("s2", url, shadow=True)
        front = await a_front(tmp_path, a_server("s1", url), shadow, shadow=1.0)
        gone = asyncio.Event()
        asking = asyncio.create_task(front.ask(path="/endpoints/e/invocations-response-stream", gone=gone))
        await asyncio.sleep(0.1)
        gone.set()
        await asyncio.wait_for(asking, 2)
        await asyncio.wait_for(ended.wait(), 2)
        assert all(not one.in_flight for one in front.table.targets["us-east-1", "e"].upstreams.values())
        assert await front.counts() == {ELIGIBLE: 1, Outcome.CANCELLED: 1}


async def test_a_stream_that_breaks_is_a_failure_of_production(tmp_path: Path) -> None:
    async def broken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read(reader)
        writer.write(CHUNKED + b"1\r\nx\r\n")
        await writer.drain()

    async with answering(broken) as url, answering(always(OK)) as other:
        shadow = a_server("s2", other, shadow=True)
        front = await a_front(tmp_path, a_server("s1", url), shadow, shadow=1.0)
        status, body = await front.ask(path="/endpoints/e/invocations-response-stream")
        assert status == 200
        assert b"ModelStreamError" in body
        await asyncio.sleep(0.1)
        assert await front.counts() == {ELIGIBLE: 1, Outcome.PRODUCTION_FAILED: 1}


async def test_a_stream_goes_to_another_server_where_one_takes_no_connection(tmp_path: Path) -> None:
    async with answering(always(OK)) as url:
        front = await a_front(tmp_path, a_server("s1", "http://127.0.0.1:1"), a_server("s2", url))
        assert (await front.ask(path="/endpoints/e/invocations-response-stream"))[0] == 200


async def test_a_route_that_changes_under_a_request_takes_it_along(tmp_path: Path) -> None:
    async with answering(always(OK)) as url:
        front = await a_front(tmp_path, a_server("s1", "http://127.0.0.1:1"), a_server("s2", "http://127.0.0.1:1"))
        target = front.table.targets["us-east-1", "e"]
        old = target.choices[0]
        front.rows.rows, front.rows.version = (a_server("s3", url),), 2
        await front.table.look()
        assert target.upstream(old, 0.0) is None
        upstream = front.invoker._upstream(target, old, frozenset({"s1"}))
        assert upstream.server_id == "s3"


@pytest.mark.parametrize("target", ["b", None])
@pytest.mark.parametrize("weight", [1.0, 0.0])
async def test_a_variant_that_has_just_come_into_service_answers(
    tmp_path: Path, target: str | None, weight: float
) -> None:
    spec = fleet_spec(variant("a"), variant("b", weight=weight))
    endpoint = an_endpoint(spec, EndpointStatus.IN_SERVICE)
    named = ((b"x-amzn-sagemaker-target-variant", target.encode()),) if target else ()
    async with answering(always(OK)) as url:
        first = replace(a_server("s1", url), variant=variant("a"))
        front = Front(tmp_path, Rows(first, endpoint=endpoint))
        await front.table.look()
        front.rows.rows = (first, replace(a_server("s2", url), variant=variant("b", weight=weight)))
        front.rows.version = 2
        assert [(await front.ask(headers=named))[0] for _ in range(2)] == [200, 200]


async def test_a_variant_that_is_not_there_is_looked_for_and_refused(tmp_path: Path) -> None:
    async with answering(always(OK)) as url:
        front = await a_front(tmp_path, a_server("s1", url))
        assert (await front.ask(headers=((b"x-amzn-sagemaker-target-variant", b"other"),)))[0] == 400


async def test_what_waits_for_the_shadow_of_a_deleted_endpoint_is_cancelled(tmp_path: Path) -> None:
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read(reader)
        await asyncio.sleep(0.3)
        writer.write(OK)
        await writer.drain()

    async with answering(always(OK)) as url, answering(slow) as shadow:
        front = await a_front(tmp_path, a_server("s1", url), a_server("s2", shadow, shadow=True), shadow=1.0)
        for _ in range(5):
            assert (await front.ask())[0] == 200
        front.rows.kept, front.rows.rows, front.rows.version = (), (), 2
        await front.table.look()
        await asyncio.sleep(0.5)
        assert front.tap.held == (0, 0)
        counts = await front.counts()
        assert counts[ELIGIBLE] == 5 == sum(counts.values()) - 5
        assert counts[Outcome.CANCELLED] == 3


async def test_what_waits_for_one_experiment_is_no_evidence_of_the_next(tmp_path: Path) -> None:
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read(reader)
        await asyncio.sleep(0.2)
        writer.write(OK)
        await writer.drain()

    async with answering(always(OK)) as url, answering(slow) as shadow:
        servers = a_server("s1", url), a_server("s2", shadow, shadow=True)
        front = await a_front(tmp_path, *servers, shadow=1.0, experiment_id="x1")
        for _ in range(4):
            await front.ask()
        front.rows.kept, front.rows.version = (in_service(shadow=1.0, experiment_id="x2"),), 2
        await front.table.look()
        await asyncio.sleep(0.4)
        counts = await front.counts()
        assert (counts[ELIGIBLE], counts[Outcome.COMPARED], counts[Outcome.CANCELLED]) == (4, 2, 2)


async def test_routes_that_change_while_they_are_read_are_read_again(tmp_path: Path) -> None:
    async with answering(always(OK)) as old, answering(always(OK)) as new:
        front = await a_front(tmp_path, a_server("s1", old))

        def update() -> None:
            """Between the servers and the endpoints the whole update happens."""
            front.rows.between = lambda: None
            front.rows.rows = (a_server("s2", new, fleet=2),)
            front.rows.kept = (in_service(fleet=Fleet(2, in_service().fleet.spec)),)
            front.rows.version = 3

        front.rows.between, front.rows.version = update, 2
        await front.table.look()
        assert (await front.ask())[0] == 200
        assert front.rows.told[-1][0] == 3


async def test_a_front_goes_on_looking_whatever_the_store_says(tmp_path: Path) -> None:
    front = await a_front(tmp_path, a_server("s1", "http://127.0.0.1:1"))

    def broken() -> None:
        front.rows.between = lambda: None
        raise ValueError("a row that cannot be read")

    front.rows.between, front.rows.version = broken, 2
    looking = asyncio.create_task(front.table.run())
    await asyncio.sleep(0.3)
    assert not looking.done()
    assert front.rows.told[-1][0] == 2
    assert len(front.notes) == 1
    looking.cancel()


async def test_retries_are_known_by_ids_of_any_length_in_bounded_memory(tmp_path: Path) -> None:
    async with answering(always(OK)) as url:
        front = await a_front(tmp_path, a_server("s1", url), a_server("s2", url, shadow=True), shadow=0.0)
        for _ in range(3):
            for letter in (b"a", b"b"):
                await front.ask(headers=((b"amz-sdk-invocation-id", letter * 50_000),))
        assert sum(map(len, front.tap._seen)) < 200
        assert (await front.counts())[ELIGIBLE] == 2


async def test_no_name_of_a_header_or_a_path_reaches_a_model(tmp_path: Path) -> None:
    heads: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        await reader.readexactly(1)
        writer.write(OK)
        await writer.drain()

    async with answering(answer) as url:
        front = await a_front(tmp_path, a_server("s1", url))
        hostile = ((b"x-evil", b"1"), (b"transfer-encoding", b"chunked"), (b"content-length", b"1"), (b"host", b"evil"))
        assert (await front.ask(headers=hostile))[0] == 200
        assert heads == [b"POST /invocations HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1\r\n\r\n"]
        for path in ("/endpoints/e/invocations/", "/endpoints/../e/invocations", "/endpoints/e/invocations\n"):
            assert (await front.ask(path=path))[0] == 404
        assert (await front.ask(headers=((b"content-length", b"%d" % (intake.LIMIT_BYTES + 1)),)))[0] == 400
