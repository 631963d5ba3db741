"""The life of a request: a literal tuple of steps, on raw ASGI.

Only this machine is served, so a page in a browser is the stranger to keep out. A foreign name that resolves to
loopback (DNS rebinding) is seen by its Host header; a script of another origin cannot send X-Amz-Target without a
preflight, which is never granted.

Requests below ``/endpoints/`` are inference: they are handed to the data plane as they come, after the same look at the
Host header. GET ``/metrics`` is Prometheus'.

A client that trickles its headers costs a socket and some bytes in the event loop (uvicorn), no thread; one that
trickles its body is answered 408 after `body_seconds`. A client that goes away ends its request, nothing else.
"""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import msgspec

from modeldyno.wire.decode import decode_call
from modeldyno.wire.encode import encode_output
from modeldyno.wire.faults import Fault, answer_headers, fault, fault_headers

Dispatch = Callable[[str, str, dict[str, Any]], Mapping[str, Any] | None]
Health = Callable[[], Mapping[str, Any]]
Metrics = Callable[[], bytes]
_Receive = Callable[[], Awaitable[Mapping[str, Any]]]
_Send = Callable[[dict[str, Any]], Awaitable[None]]
DataPlane = Callable[[Mapping[str, Any], _Receive, _Send], Awaitable[None]]

_OWN_NAMES = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?", re.IGNORECASE)
_JSON = {"Content-Type": "application/json"}
_PROMETHEUS = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
_INFERENCE = "/endpoints/"
_WHAT_EXISTS = (
    "There are POST / (SageMaker's control plane, by X-Amz-Target), POST /endpoints/NAME/invocations, GET /metrics and "
    "GET /health."
)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole response."""

    status: int
    body: bytes
    headers: dict[str, str]


@dataclass(slots=True)
class Exchange:
    """One request on its way through the steps. `headers` have lower-case names; `hosts` holds every Host header."""

    method: str
    path: str
    headers: dict[str, str]
    hosts: tuple[str, ...]
    receive: _Receive
    body: bytes = b""
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))


class _ClientGone(Exception):
    """Nobody is left to answer."""


Step = Callable[[Exchange], Awaitable[Answer | None]]


class App:
    """The front door as an ASGI application. `steps` are tried in order; the first answer is sent."""

    def __init__(
        self,
        dispatch: Dispatch,
        health: Health,
        body_limit_bytes: int,
        body_seconds: float,
        threads: int,
        data_plane: DataPlane | None,
        metrics: Metrics | None,
    ):
        self._dispatch = dispatch
        self._health = health
        self._data_plane = data_plane
        self._metrics = metrics
        self._body_limit_bytes = body_limit_bytes
        self._body_seconds = body_seconds
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="call")
        self.steps: tuple[Step, ...] = (
            self.refuse_foreign_host,
            self.answer_health,
            self.answer_metrics,
            self.refuse_other_routes,
            self.read_body,
            self.answer_call,
        )

    async def __call__(self, scope: Mapping[str, Any], receive: _Receive, send: _Send) -> None:
        """ASGI 3."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif self._is_inference(scope):
            assert self._data_plane is not None
            await self._data_plane(scope, receive, send)
        elif scope["type"] == "http":
            exchange = _exchange(scope, receive)
            try:
                answer = await self._answer(exchange)
            except _ClientGone:
                return
            await _send(answer, send, head=exchange.method == "HEAD")

    def _is_inference(self, scope: Mapping[str, Any]) -> bool:
        """Whether it goes to the data plane; one with a foreign Host is left to the steps, which refuse it."""
        if self._data_plane is None or scope["type"] != "http" or not scope["path"].startswith(_INFERENCE):
            return False
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        return len(hosts) == 1 and _is_own(hosts[0])

    async def _answer(self, exchange: Exchange) -> Answer:
        for step in self.steps:
            answer = await step(exchange)
            if answer is not None:
                return answer
        raise AssertionError("the last step answers")

    # --- the steps, in their order -----------------------------------------------------------------------------------

    async def refuse_foreign_host(self, exchange: Exchange) -> Answer | None:
        """403 unless the request was sent to this machine by one of its own names."""
        if len(exchange.hosts) == 1 and _OWN_NAMES.fullmatch(exchange.hosts[0]):
            return None
        shown = ", ".join(exchange.hosts)[:256]
        text = f"The Host header '{shown}' is not 127.0.0.1, localhost or [::1]: Dyno serves this machine only."
        return _refusal(exchange, 403, "AccessDeniedException", text)

    async def answer_health(self, exchange: Exchange) -> Answer | None:
        """200 and the service's state to GET /health."""
        if exchange.path != "/health" or exchange.method not in ("GET", "HEAD"):
            return None
        state = await asyncio.get_running_loop().run_in_executor(self._pool, self._health)
        return Answer(200, msgspec.json.encode(state), dict(_JSON))

    async def answer_metrics(self, exchange: Exchange) -> Answer | None:
        """200 and the metrics of endpoints to GET /metrics."""
        if self._metrics is None or exchange.path != "/metrics" or exchange.method not in ("GET", "HEAD"):
            return None
        text = await asyncio.get_running_loop().run_in_executor(self._pool, self._metrics)
        return Answer(200, text, dict(_PROMETHEUS))

    async def refuse_other_routes(self, exchange: Exchange) -> Answer | None:
        """404 for paths that are not there, 405 for other methods."""
        if exchange.path not in ("/", "/health", "/metrics"):
            text = f"Nothing is at {exchange.path[:256]}. {_WHAT_EXISTS}"
            return _refusal(exchange, 404, "NotFoundException", text)
        if (exchange.method, exchange.path) != ("POST", "/"):
            text = f"{exchange.method[:32]} is not for {exchange.path}. {_WHAT_EXISTS}"
            refusal = _refusal(exchange, 405, "MethodNotAllowedException", text)
            refusal.headers["Allow"] = "POST" if exchange.path == "/" else "GET, HEAD"
            return refusal
        return None

    async def read_body(self, exchange: Exchange) -> Answer | None:
        """Take in the body; 413 as soon as it is over the limit (the server discards the rest), 408 when it takes
        too long."""
        announced = exchange.headers.get("content-length", "0")
        try:
            async with asyncio.timeout(self._body_seconds):
                if int(announced) <= self._body_limit_bytes and await self._read(exchange):
                    return None
        except TimeoutError:
            refusal = _refusal(exchange, 408, "RequestTimeout", f"The body took over {self._body_seconds:g} seconds.")
            refusal.headers["Connection"] = "close"
            return refusal
        text = f"The request is over the limit of {self._body_limit_bytes} bytes."
        return _refusal(exchange, 413, "RequestEntityTooLargeException", text)

    async def answer_call(self, exchange: Exchange) -> Answer | None:
        """Decode, dispatch, encode: in a thread, as it touches the database and may chew on a large body."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._call, exchange)

    # --- within the steps --------------------------------------------------------------------------------------------

    async def _read(self, exchange: Exchange) -> bool:
        """Whether the body is read whole; False when it is over the limit."""
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await exchange.receive()
            if message["type"] == "http.disconnect":
                raise _ClientGone
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > self._body_limit_bytes:
                return False
            chunks.append(chunk)
            if not message.get("more_body", False):
                exchange.body = b"".join(chunks)
                return True

    def _call(self, exchange: Exchange) -> Answer:
        try:
            call = decode_call(exchange.headers, exchange.body)
            result = self._dispatch(call.region, call.operation, call.params)
            body = encode_output(call.operation, result)
        except Exception as error:  # whatever it was: the caller gets an answer, the log gets the reason
            return _faulty(fault(error, exchange.request_id), exchange)
        return Answer(200, body, answer_headers(exchange.request_id))

    async def _lifespan(self, receive: _Receive, send: _Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self._pool.shutdown(wait=False, cancel_futures=True)
        await send({"type": "lifespan.shutdown.complete"})


def make_app(
    dispatch: Dispatch,
    health: Health,
    *,
    body_limit_bytes: int = 8 * 1024**2,
    body_seconds: float = 30.0,
    threads: int = 4,
    data_plane: DataPlane | None = None,
    metrics: Metrics | None = None,
) -> App:
    """The front door over `dispatch` (region, operation, typed parameters -> result; called in one of `threads`
    threads) and `health` (its state, called likewise). `data_plane`: the ASGI application for inference; `metrics`: in
    Prometheus' format.

    `dispatch` validates. What it raises is answered as `wire.faults` has it: a `RequestError` with 400, anything else
    with 500, an id and a line in the log.
    """
    return App(dispatch, health, body_limit_bytes, body_seconds, threads, data_plane, metrics)


@lru_cache(maxsize=256)
def _is_own(host: bytes) -> bool:
    return _OWN_NAMES.fullmatch(host.decode("latin-1").strip()) is not None


def _exchange(scope: Mapping[str, Any], receive: _Receive) -> Exchange:
    pairs = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]]
    hosts = tuple(value.strip() for name, value in pairs if name == "host")
    return Exchange(scope["method"], scope["path"], dict(pairs), hosts, receive)


def _refusal(exchange: Exchange, status: int, code: str, text: str) -> Answer:
    return _faulty(Fault(code, status, text), exchange)


def _faulty(found: Fault, exchange: Exchange) -> Answer:
    return Answer(found.status, found.body, fault_headers(found, exchange.request_id))


async def _send(answer: Answer, send: _Send, *, head: bool) -> None:
    headers = [(name.lower().encode(), value.encode()) for name, value in answer.headers.items()]
    headers.append((b"content-length", str(len(answer.body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head else answer.body})
