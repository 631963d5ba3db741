"""InvokeEndpoint: find the variant whose turn it is, ask one of its servers, answer as AWS does.

The answer to the caller never waits for what is done with the request afterwards (mirror, capture): that is handed
over, without waiting, when the last byte has gone out.

**Source:** botocore, SageMaker Runtime service model; SageMaker developer guide, *How Containers Serve Requests*.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Any, Protocol, TypeVar

import msgspec

from modeldyno.domain.routing import Choice
from modeldyno.ports import Clock
from modeldyno.router import eventstream
from modeldyno.router.admission import admit, glance
from modeldyno.router.cold import ask_serverless, check_serverless
from modeldyno.router.intake import LIMIT_BYTES, Receive, read_body
from modeldyno.router.refusals import Refused, model_error, refused, timeout_error
from modeldyno.router.request import Invocation, read_head, upstream_head
from modeldyno.router.table import RouteTable, Target
from modeldyno.router.upstream import Reply, Stream, Upstream, UpstreamError
from modeldyno.wire.gate import LARGE_BYTES, Gate

_T = TypeVar("_T")
_log = logging.getLogger(__name__)

ANSWER_SECONDS = 60.0
"""**Source:** developer guide: a container must answer within 60 seconds."""

Send = Callable[[dict[str, Any]], Awaitable[None]]


@dataclass(slots=True)
class Exchange:
    """One request and its answer by production. Times are of `perf_counter_ns`.

    status: of the model's own answer; 0: it gave none, or not all of it. `variant`: who answered. `model_ns`: from
    sending to the last byte of the answer. `failed`: whether the caller got an error that the model is to blame for.
    `left`: the caller went away in the middle of the answer, which was given up then.
    """

    invocation: Invocation
    body: bytes
    variant: str
    status: int
    content_type: bytes
    answer: bytes
    model_ns: int
    total_ns: int
    failed: bool
    first_ns: int = 0
    streamed: bool = False
    left: bool = False


class Observer(Protocol):
    """What is done with a request when it has been answered. Nothing here may wait."""

    def arrived(self, target: Target, invocation: Invocation) -> None:
        """A request has come for an endpoint that is there."""
        ...

    def answered(self, target: Target, exchange: Exchange) -> None:
        """The caller has its whole answer."""
        ...

    def refused(self, target: Target, invocation: Invocation, status: int) -> None:
        """The request did not reach a model."""
        ...


class Invoker:
    """The data plane. `observer` sees every request of an endpoint. `gate`: who may invoke."""

    def __init__(self, table: RouteTable, clock: Clock, account: str, observer: Observer, gate: Gate) -> None:
        self._table = table
        self._clock = clock
        self._account = account
        self._observer = observer
        self._gate = gate

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """ASGI, for paths below ``/endpoints/``."""
        began = perf_counter_ns()
        request_id = _request_id()
        try:
            invocation = read_head(scope)
            body = await (
                self._let_in(scope, receive, invocation) if self._gate.required else read_body(receive, invocation)
            )
            if body is None:
                return  # the caller has gone
            target = await self._find(invocation)
        except Refused as refusal:
            await _send_refusal(send, refusal, request_id)
            return
        self._observer.arrived(target, invocation)
        try:
            choice = _serving(target, invocation) or await self._sought(target, invocation)
            check_serverless(choice, invocation, len(body))
            if invocation.streams:
                await self._stream(receive, send, target, choice, invocation, body, began, request_id)
            else:
                await self._answer(send, target, choice, invocation, body, began, request_id)
            return
        except Refused as refusal:
            known = refusal
        except asyncio.CancelledError:  # the front ends
            self._observer.refused(target, invocation, 503)
            raise
        except Exception as error:  # whatever it was: the caller gets an answer, the log gets the reason
            known = _inside(error, request_id)
        self._observer.refused(target, invocation, known.status)
        await _send_refusal(send, known, request_id)

    async def _let_in(self, scope: Mapping[str, Any], receive: Receive, invocation: Invocation) -> bytes | None:
        """The body of a request that is signed. One that has no length may be large."""
        if not 0 < invocation.length <= LARGE_BYTES:
            await glance(self._gate, scope)
        body = await read_body(receive, invocation)
        if body is not None:
            invocation.region = await admit(self._gate, scope, body) or invocation.region
        return body

    async def _find(self, invocation: Invocation) -> Target:
        target = await self._table.find(invocation.region, invocation.endpoint)
        if target is None:
            text = f"Endpoint {invocation.endpoint} of account {self._account} not found."
            raise refused(400, "ValidationError", text)
        return target

    async def _sought(self, target: Target, invocation: Invocation) -> Choice:
        """Of a variant without servers, or one that is not known: what came since the last look counts, too."""
        await self._table.look_again()
        if (choice := _serving(target, invocation)) is not None:
            return choice
        if not target.choices:
            raise refused(503, "ServiceUnavailable", f"Endpoint {invocation.endpoint} has no variant in service.")
        choice = target.choose(invocation.target_variant)
        if choice is None:
            raise refused(
                400,
                "ValidationError",
                f"Variant {invocation.target_variant} of endpoint {invocation.endpoint} not found.",
            )
        return choice

    async def _answer(
        self,
        send: Send,
        target: Target,
        choice: Choice,
        invocation: Invocation,
        body: bytes,
        began: int,
        request_id: str,
    ) -> None:
        asked = perf_counter_ns()
        reply: Reply | None = None
        failure: UpstreamError | None = None
        try:
            reply = await self._ask(target, choice, invocation, upstream_head(invocation, len(body)), body)
        except UpstreamError as error:
            failure = error
        ended = perf_counter_ns()
        if reply is not None and 200 <= reply.status < 300:
            await _send_answer(send, reply, choice.variant, request_id)
        else:
            await _send_refusal(send, self._model_error(target, invocation, reply, failure), request_id, choice.variant)
        model_ns = ended - asked - invocation.waited_ns
        self._told(target, _exchange(invocation, body, choice.variant, reply, model_ns, perf_counter_ns() - began))

    def _told(self, target: Target, exchange: Exchange) -> None:
        """The caller has its answer: whatever goes wrong from here on is none of its business."""
        try:
            self._observer.answered(target, exchange)
        except Exception as error:
            _log.error("what follows an answer failed", exc_info=error)

    async def _ask(self, target: Target, choice: Choice, invocation: Invocation, head: bytes, body: bytes) -> Reply:
        async def ask(upstream: Upstream) -> Reply:
            reply = await upstream.ask(head, body, ANSWER_SECONDS)
            _remember(target, upstream, reply)
            return reply

        return await self._somewhere(target, choice, invocation, ask)

    async def _somewhere(
        self, target: Target, choice: Choice, invocation: Invocation, ask: Callable[[Upstream], Awaitable[_T]]
    ) -> _T:
        """Ask one server, of a session the one that holds it; another where it took no connection, so that it cannot
        have seen the request."""
        if choice.concurrency:
            return await ask_serverless(self._table, self._clock, target, choice, invocation, ask)
        passed_over: frozenset[str] = frozenset()
        holder = target.of_session(invocation.session_id, choice)
        while True:
            upstream = holder or self._upstream(target, choice, passed_over)
            try:
                return await ask(upstream)
            except UpstreamError as error:
                if error.sent:
                    raise
                target.shun(upstream, self._clock.monotonic())
                passed_over |= {upstream.server_id}
                holder = None

    def _upstream(self, target: Target, choice: Choice, passed_over: frozenset[str]) -> Upstream:
        upstream = target.upstream(choice, self._clock.monotonic() if len(choice.servers) > 1 else 0.0, passed_over)
        if upstream is None and passed_over and (other := target.choose(choice.variant)) is not None:
            upstream = target.upstream(other, self._clock.monotonic(), passed_over)  # the route is another meanwhile
        if upstream is None:
            text = f"Variant {choice.variant} of endpoint {target.route.name} has no instance in service."
            raise refused(503, "ServiceUnavailable", text)
        return upstream

    async def _begun(self, target: Target, choice: Choice, invocation: Invocation, head: bytes, body: bytes) -> Stream:
        async def ask(upstream: Upstream) -> Stream:
            stream = await upstream.stream(head, body, ANSWER_SECONDS)
            _remember(target, upstream, stream.reply)
            return stream

        return await self._somewhere(target, choice, invocation, ask)

    async def _stream(
        self,
        receive: Receive,
        send: Send,
        target: Target,
        choice: Choice,
        invocation: Invocation,
        body: bytes,
        began: int,
        request_id: str,
    ) -> None:
        asked = perf_counter_ns()
        head = upstream_head(invocation, len(body))
        stream: Stream | None = None
        reply: Reply | None = None
        failure: UpstreamError | None = None
        try:
            stream = await self._begun(target, choice, invocation, head, body)
        except UpstreamError as error:
            failure = error
        else:
            reply = stream.reply
            try:
                if reply.flows:
                    kept = target.route.mirror is not None or target.route.capture is not None
                    reply.body = await _send_stream(receive, send, stream, choice.variant, request_id, kept=kept)
            finally:
                stream.close()
        if reply is None or not reply.flows:
            await _send_refusal(send, self._model_error(target, invocation, reply, failure), request_id, choice.variant)
        ended = perf_counter_ns()
        exchange = _exchange(invocation, body, choice.variant, reply, ended - asked, ended - began)
        exchange.streamed = True
        if stream is not None and stream.is_cut:
            exchange.left, exchange.failed, exchange.status = True, False, stream.reply.status
        self._told(target, exchange)

    def _model_error(
        self, target: Target, invocation: Invocation, reply: Reply | None, failure: UpstreamError | None
    ) -> Refused:
        where = (target.route.region, target.route.name, self._account)
        if failure is not None:
            return timeout_error(*where) if failure.timed_out else model_error(*where, 0, failure.reason)
        assert reply is not None
        return model_error(*where, reply.status, reply.body[:1024].decode("utf-8", "replace"))


def _serving(target: Target, invocation: Invocation) -> Choice | None:
    """Who answers; None where that is nobody as far as is known."""
    choice = target.choose(invocation.target_variant) if target.choices else None
    return choice if choice is not None and (choice.servers or choice.concurrency) else None


def _remember(target: Target, upstream: Upstream, reply: Reply) -> None:
    for name, value in reply.headers:
        if name == _OPENED:
            target.remember(upstream, value, None)
        elif name == _CLOSED:
            target.remember(upstream, None, value)


def _request_id() -> str:
    """A UUID of version 4's form; that of the uuid module asks the kernel each time, which a request would feel."""
    digits = f"{random.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def _exchange(
    invocation: Invocation, body: bytes, variant: str, reply: Reply | None, model_ns: int, total_ns: int
) -> Exchange:
    status = reply.status if reply is not None else 0
    if reply is not None and reply.error is not None:
        status = 0
    return Exchange(
        invocation=invocation,
        body=body,
        variant=variant,
        status=status,
        content_type=(reply.header(b"content-type") or b"") if reply is not None else b"",
        answer=reply.body if reply is not None else b"",
        model_ns=model_ns,
        total_ns=total_ns,
        failed=not 200 <= status < 300,
        first_ns=reply.first_ns if reply is not None else 0,
    )


def _inside(error: Exception, request_id: str) -> Refused:
    _log.error("request %s failed", request_id, exc_info=error)
    text = f"The request failed inside Dyno. Its id is {request_id}; the service's log has the reason under it."
    return refused(500, "InternalFailure", text)


_OPENED, _CLOSED = b"x-amzn-sagemaker-new-session-id", b"x-amzn-sagemaker-closed-session-id"
_PASSED = (b"x-amzn-sagemaker-custom-attributes", _OPENED, _CLOSED)


async def _send_answer(send: Send, reply: Reply, variant: str, request_id: str) -> None:
    headers = [
        (b"x-amzn-requestid", request_id.encode()),
        (b"x-amzn-invoked-production-variant", variant.encode()),
        (b"content-length", str(len(reply.body)).encode()),
    ]
    for name, value in reply.headers:
        if name == b"content-type" or name in _PASSED:
            headers.append((name, value))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


async def _send_stream(
    receive: Receive, send: Send, stream: Stream, variant: str, request_id: str, *, kept: bool
) -> bytes:
    """Send it part by part; the whole of it when it is `kept` and not too large, else nothing. A caller that goes away
    ends it."""
    reply = stream.reply
    headers = [
        (b"x-amzn-requestid", request_id.encode()),
        (b"x-amzn-invoked-production-variant", variant.encode()),
        (b"content-type", eventstream.CONTENT_TYPE),
        (b"x-amzn-sagemaker-content-type", reply.header(b"content-type") or b"application/octet-stream"),
    ]
    headers += [(name, value) for name, value in reply.headers if name in _PASSED]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    end = b""
    whole: list[bytes] = []
    size = 0
    leaving = asyncio.ensure_future(_left(receive, stream))
    try:
        async for part in stream:
            size += len(part)
            if kept and size <= LIMIT_BYTES:
                whole.append(part)
            await send({"type": "http.response.body", "body": eventstream.payload_part(part), "more_body": True})
    except UpstreamError as error:
        code = "ModelInvocationTimeExceeded" if error.timed_out else "StreamBroken"
        end = eventstream.exception("ModelStreamError", f"The stream ended early: {error.reason}.", code)
    finally:
        leaving.cancel()
    await send({"type": "http.response.body", "body": end})
    return b"".join(whole) if size <= LIMIT_BYTES else b""


async def _left(receive: Receive, stream: Stream) -> None:
    """When the caller goes away, the server need not go on."""
    while (await receive())["type"] != "http.disconnect":
        pass
    stream.cut("the caller went away")


async def _send_refusal(send: Send, refusal: Refused, request_id: str, variant: str | None = None) -> None:
    body = msgspec.json.encode(refusal.body)
    headers = [] if refusal.status != 408 else [(b"connection", b"close")]
    headers += [
        (b"content-type", b"application/json"),
        (b"x-amzn-requestid", request_id.encode()),
        (b"x-amzn-errortype", refusal.code.encode()),
        (b"content-length", str(len(body)).encode()),
    ]
    if variant is not None:
        headers.append((b"x-amzn-invoked-production-variant", variant.encode()))
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
