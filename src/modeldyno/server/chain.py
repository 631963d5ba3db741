"""The life of a request: a literal tuple of steps, on raw ASGI.

Where nobody needs to sign, only this machine is served, and a page in a browser is the stranger to keep out. A foreign
name that resolves to loopback (DNS rebinding) is seen by its Host header; a script of another origin cannot send
X-Amz-Target, or another content type than a form's, without a preflight, which is never granted; and a form does
nothing but tell. Where requests must be signed, that is enough, under whatever name.

Requests below ``/endpoints/`` are inference, and those whose credential is scoped to S3 are about objects (where keys
are needed, S3 refuses those without a credential too, if their path is no other door's): they are handed on as they
come, after the same look at the Host header. GET ``/metrics`` is Prometheus'; where keys are needed, it asks for one as
user name and password.

A client that trickles its headers costs a socket and some bytes in the event loop, no thread, and is closed within a
minute (`server/protocol.py`); one that trickles its body is answered 408 after `body_seconds`. A client that goes away
ends its request, nothing else.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import msgspec

from modeldyno.wire.decode import Call, Protocol, api_of, decode_call, is_rpc_path, protocol_of
from modeldyno.wire.encode import encode_answer
from modeldyno.wire.faults import Fault, encode_fault, fault
from modeldyno.wire.gate import LARGE_BYTES, Gate, check_service, open_gate
from modeldyno.wire.scope import scope_of
from modeldyno.wire.service import Api
from modeldyno.wire.signature import SignedRequest

Dispatch = Callable[[Call], Mapping[str, Any] | None]
Health = Callable[[], Mapping[str, Any]]
Metrics = Callable[[], bytes]
_Receive = Callable[[], Awaitable[Mapping[str, Any]]]
_Send = Callable[[dict[str, Any]], Awaitable[None]]
Plane = Callable[[Mapping[str, Any], _Receive, _Send], Awaitable[None]]

_OWN_NAMES = re.compile(r"(127(\.\d{1,3}){3}|localhost|\[::1\])(:\d{1,5})?", re.IGNORECASE)
_JSON = {"Content-Type": "application/json"}
_PROMETHEUS = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
_INFERENCE = "/endpoints/"
_PATHS = ("/", "/health", "/metrics")
_WHAT_EXISTS = (
    "There are POST / (the control plane: SageMaker and what its clients need), POST /endpoints/NAME/invocations, "
    "requests signed for S3, GET /metrics and GET /health."
)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole response."""

    status: int
    body: bytes
    headers: dict[str, str]


@dataclass(slots=True)
class Exchange:
    """One request on its way through the steps. `headers` have lower-case names (of repeated ones the last); `hosts`
    holds every Host header."""

    method: str
    path: str
    headers: dict[str, str]
    hosts: tuple[str, ...]
    receive: _Receive
    signed: SignedRequest
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
        data_plane: Plane | None,
        metrics: Metrics | None,
        buckets: Plane | None,
        gate: Gate,
    ):
        self._dispatch = dispatch
        self._health = health
        self._data_plane = data_plane
        self._metrics = metrics
        self._buckets = buckets
        self._gate = gate
        self._body_limit_bytes = body_limit_bytes
        self._body_seconds = body_seconds
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="call")
        self.steps: tuple[Step, ...] = (
            self.refuse_foreign_host,
            self.answer_health,
            self.answer_metrics,
            self.refuse_other_routes,
            self.refuse_strangers,
            self.read_body,
            self.answer_call,
        )

    async def __call__(self, scope: Mapping[str, Any], receive: _Receive, send: _Send) -> None:
        """ASGI 3."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif (plane := self._plane_of(scope)) is not None:
            await plane(scope, receive, send)
        elif scope["type"] == "http":
            exchange = _exchange(scope, receive)
            try:
                answer = await self._answer(exchange)
            except _ClientGone:
                return
            await _send(answer, send, head=exchange.method == "HEAD")

    def _plane_of(self, scope: Mapping[str, Any]) -> Plane | None:
        """Who takes the request as it comes; one with a foreign Host is left to the steps, which refuse it."""
        if scope["type"] != "http":
            return None
        plane = self._buckets if _is_for_buckets(scope, keys=self._gate.required) else None
        if plane is None and scope["path"].startswith(_INFERENCE):
            plane = self._data_plane
        if plane is None:
            return None
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        return plane if len(hosts) == 1 and (self._gate.required or _is_own(hosts[0])) else None

    async def _answer(self, exchange: Exchange) -> Answer:
        for step in self.steps:
            answer = await step(exchange)
            if answer is not None:
                return answer
        raise AssertionError("the last step answers")

    # --- the steps, in their order -----------------------------------------------------------------------------------

    async def refuse_foreign_host(self, exchange: Exchange) -> Answer | None:
        """403 unless the request was sent to this machine by one of its own names, or must be signed anyway."""
        if len(exchange.hosts) == 1 and (self._gate.required or _OWN_NAMES.fullmatch(exchange.hosts[0])):
            return None
        shown = ", ".join(exchange.hosts)[:256]
        if self._gate.required:
            return _refusal(exchange, 400, "InvalidRequestException", f"One Host header is needed, not '{shown}'.")
        text = (
            f"The Host header '{shown}' is not 127.0.0.1, localhost or [::1]: without keys Dyno serves this machine "
            "only."
        )
        return _refusal(exchange, 403, "AccessDeniedException", text)

    async def answer_health(self, exchange: Exchange) -> Answer | None:
        """200 and the service's state to GET /health."""
        if exchange.path != "/health" or exchange.method not in ("GET", "HEAD"):
            return None
        state = await asyncio.get_running_loop().run_in_executor(self._pool, self._health)
        return Answer(200, msgspec.json.encode(state), dict(_JSON))

    async def answer_metrics(self, exchange: Exchange) -> Answer | None:
        """200 and the metrics of endpoints to GET /metrics; 401 where a key is needed and not given."""
        if self._metrics is None or exchange.path != "/metrics" or exchange.method not in ("GET", "HEAD"):
            return None
        if self._gate.required and not _knows_a_key(exchange.headers.get("authorization", ""), self._gate):
            text = "GET /metrics takes the id of a key as user name and its secret as password."
            refusal = _refusal(exchange, 401, "AccessDeniedException", text)
            refusal.headers["WWW-Authenticate"] = 'Basic realm="dyno"'
            return refusal
        found = await asyncio.get_running_loop().run_in_executor(self._pool, self._metrics)
        return Answer(200, found, dict(_PROMETHEUS))

    async def refuse_other_routes(self, exchange: Exchange) -> Answer | None:
        """404 for paths that are not there, 405 for other methods."""
        if exchange.method == "POST" and is_rpc_path(exchange.path):
            return None
        if exchange.path not in _PATHS:
            text = f"Nothing is at {exchange.path[:256]}. {_WHAT_EXISTS}"
            return _refusal(exchange, 404, "NotFoundException", text)
        if (exchange.method, exchange.path) != ("POST", "/"):
            text = f"{exchange.method[:32]} is not for {exchange.path}. {_WHAT_EXISTS}"
            refusal = _refusal(exchange, 405, "MethodNotAllowedException", text)
            refusal.headers["Allow"] = "POST" if exchange.path == "/" else "GET, HEAD"
            return refusal
        return None

    async def refuse_strangers(self, exchange: Exchange) -> Answer | None:
        """Take a large body from nobody who has no key."""
        announced = exchange.headers.get("content-length")
        if not self._gate.required or (announced is not None and int(announced) <= LARGE_BYTES):
            return None
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._stranger, exchange)

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
        """Let in, decode, dispatch, encode: in a thread, as it touches the database and may chew on a large body."""
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

    def _stranger(self, exchange: Exchange) -> Answer | None:
        try:
            self._gate.glance(exchange.signed)
        except Exception as error:
            api, protocol = api_of(exchange.headers, exchange.path), protocol_of(exchange.headers, exchange.path)
            return _faulty(fault(error, exchange.request_id, api, protocol), exchange, api, protocol)
        return None

    def _call(self, exchange: Exchange) -> Answer:
        api, protocol = api_of(exchange.headers, exchange.path), protocol_of(exchange.headers, exchange.path)
        try:
            identity = self._gate.admit_patiently(exchange.signed, exchange.body)
            call = decode_call(exchange.headers, exchange.body, exchange.path, exchange.signed.query)
            api = call.api
            check_service(identity, api)
            body, headers = encode_answer(call, self._dispatch(call), exchange.request_id)
        except Exception as error:  # whatever it was: the caller gets an answer, the log gets the reason
            return _faulty(fault(error, exchange.request_id, api, protocol), exchange, api, protocol)
        return Answer(200, body, headers)

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
    data_plane: Plane | None = None,
    metrics: Metrics | None = None,
    buckets: Plane | None = None,
    gate: Gate | None = None,
) -> App:
    """The front door over `dispatch` (a call -> its result; called in one of `threads` threads) and `health` (its
    state, called likewise). `data_plane`, `buckets`: the ASGI applications for inference and for objects; `metrics`: in
    Prometheus' format. `gate`: who is let in; None: everybody, from this machine.

    `dispatch` validates. What it raises is answered as `wire.faults` has it: a `RequestError` with 400, anything else
    with 500, an id and a line in the log.
    """
    gate = gate or open_gate()
    return App(dispatch, health, body_limit_bytes, body_seconds, threads, data_plane, metrics, buckets, gate)


@lru_cache(maxsize=256)
def _is_own(host: bytes) -> bool:
    return _OWN_NAMES.fullmatch(host.decode("latin-1").strip()) is not None


def _is_for_buckets(scope: Mapping[str, Any], *, keys: bool) -> bool:
    """Whether it is signed for S3, however badly; with `keys` also whether it is signed for nothing, and is at no other
    door."""
    given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
    query = scope["query_string"]
    if given.startswith(b"AWS ") or b"AWSAccessKeyId=" in query:  # of version 2, which only S3 had
        return True
    lost = keys and _is_at_no_door(scope)
    if not lost and b"/s3/" not in given and b"X-Amz-Credential" not in query:
        return False
    found = scope_of({"authorization": given.decode("latin-1")}, query.decode("latin-1"))
    return lost if found is None else found.service == "s3"


def _is_at_no_door(scope: Mapping[str, Any]) -> bool:
    """Whether its path is none but, perhaps, that of a bucket or an object."""
    path: str = scope["path"]
    rpc = scope["method"] == "POST" and is_rpc_path(path)
    return path not in _PATHS and not path.startswith(_INFERENCE) and not rpc


def _knows_a_key(authorization: str, gate: Gate) -> bool:
    scheme, _, given = authorization.partition(" ")
    try:
        name, _, password = base64.b64decode(given, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return False
    secret = gate.secret(name)
    return scheme.lower() == "basic" and secret is not None and hmac.compare_digest(secret.encode(), password.encode())


def _exchange(scope: Mapping[str, Any], receive: _Receive) -> Exchange:
    pairs = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]]
    hosts = tuple(value.strip() for name, value in pairs if name == "host")
    raw_path = scope.get("raw_path") or scope["path"].encode()
    query = scope.get("query_string", b"").decode("latin-1")
    signed = SignedRequest(scope["method"], raw_path.decode("latin-1"), query, pairs)
    return Exchange(scope["method"], scope["path"], dict(pairs), hosts, receive, signed)


def _refusal(exchange: Exchange, status: int, code: str, text: str) -> Answer:
    return _faulty(Fault(code, status, text), exchange)


def _faulty(found: Fault, exchange: Exchange, api: Api | None = None, protocol: Protocol = Protocol.JSON) -> Answer:
    body, headers = encode_fault(found, exchange.request_id, api, protocol)
    return Answer(found.status, body, headers)


async def _send(answer: Answer, send: _Send, *, head: bool) -> None:
    headers = [(name.lower().encode(), value.encode()) for name, value in answer.headers.items()]
    headers.append((b"content-length", str(len(answer.body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head else answer.body})
