"""S3's door, as an ASGI application: let in, find the operation, read, carry out, answer.

Where nobody needs to sign, a page in a browser is the stranger to keep out: its scripts cannot send an Authorization
header without a preflight, which is never granted, and what it can send with a presigned URL's query names its origin.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from modeldyno.buckets.body import Body, CallerGone, Receive
from modeldyno.buckets.direct import taker
from modeldyno.buckets.exchange import Asked, Reply, Span
from modeldyno.buckets.listings import NAMESPACE
from modeldyno.buckets.refusals import Refused, of_access, of_failure, refused
from modeldyno.buckets.table import TABLE, check_members
from modeldyno.domain.errors import (
    AccessProblem,
    AccessRefused,
    InvalidRequest,
    MalformedRequest,
    ObjectError,
    RequestError,
)
from modeldyno.ports.buckets import BucketStore
from modeldyno.wire.gate import Gate, check_service
from modeldyno.wire.rest import RestRequest, match, read_head, read_request, write_answer
from modeldyno.wire.scope import region_of, scope_of
from modeldyno.wire.service import Api
from modeldyno.wire.signature import EMPTY_SHA256, Identity, SignedRequest
from modeldyno.wire.validate import validate_input

Send = Callable[[dict[str, Any]], Awaitable[None]]

_DOCUMENT_BYTES = 2 * 1024**2
"""**Source:** S3 API reference, DeleteObjects: the document of a thousand keys fits."""
_SEND_BYTES = 512 * 1024
_TAKE_IN_SECONDS = 5.0
"""Chosen: what a body may take that is only taken in to keep the connection."""
_XML = {"content-type": "application/xml"}
_log = logging.getLogger(__name__)


class Door:
    """Objects over `store`, for whom `gate` lets in. `account`: whose the buckets are; `unenforced`: requests to
    encrypt with a named key pass, without effect."""

    def __init__(self, store: BucketStore, gate: Gate, account: str, *, unenforced: bool = False) -> None:
        self._store = store
        self._gate = gate
        self._account = account
        self._unenforced = unenforced

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """ASGI 3, HTTP."""
        exchange = _Exchange(scope, receive, send)
        try:
            await self._carry_out(exchange)
        except CallerGone:
            return
        except Exception as error:
            if exchange.begun:
                raise  # the caller sees that the answer is not whole
            await exchange.refuse(_refusal(error, exchange))

    async def _carry_out(self, exchange: _Exchange) -> None:
        identity = await self._admit(exchange)
        head = exchange.head()
        operation = match(Api.S3, head)
        if operation is None:
            raise refused(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")
        if operation not in TABLE:
            raise refused(501, "NotImplemented", f"{operation} is not there. There are: {', '.join(TABLE)}.")
        body = Body(exchange.receive, head.headers, identity, exchange.take)
        document = await body.whole(_DOCUMENT_BYTES) if TABLE[operation].reads else b""
        params = read_request(Api.S3, operation, head, document)
        region = region_of(scope_of(head.headers, exchange.query))
        validate_input(operation, params, api=Api.S3, extra_enum_values={"BucketLocationConstraint": (region,)})
        check_members(operation, params, self._account, unenforced=self._unenforced)
        reply = await TABLE[operation].handler(Asked(params, head.headers, region, body, self._store))
        await exchange.answer(operation, reply)

    async def _admit(self, exchange: _Exchange) -> Identity | None:
        if not self._gate.required:
            if exchange.origin is not None:
                raise refused(403, "AccessDenied", "Without keys, pages of a browser are not served.")
            return None
        request = exchange.signed()
        if exchange.is_of_version_2():
            text = (
                "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256 (boto3: "
                "Config(signature_version='s3v4'))."
            )
            raise refused(400, "InvalidRequest", text)
        try:
            identity = self._gate.admit(request, lambda: EMPTY_SHA256)
        except AccessRefused as error:
            if error.problem is not AccessProblem.UNKNOWN_KEY or not await asyncio.to_thread(self._gate.look_again):
                raise
            identity = self._gate.admit(request, lambda: EMPTY_SHA256)
        check_service(identity, Api.S3)
        return identity


class Closed:
    """A door that is shut; `text` says why, and where to go."""

    def __init__(self, text: str) -> None:
        self._text = text

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """ASGI 3, HTTP."""
        await _Exchange(scope, receive, send).refuse(refused(403, "AccessDenied", self._text))


class _Exchange:
    """One request and its answer."""

    def __init__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        self.method: str = scope["method"]
        raw = scope.get("raw_path") or scope["path"].encode()
        self.path: str = raw.decode("latin-1")
        self.query: str = scope["query_string"].decode("latin-1")
        self.headers = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]]
        self.origin = next((value for name, value in self.headers if name == "origin"), None)
        self.request_id = uuid.uuid4().hex.upper()
        self.begun = False
        self.take = taker(scope)
        self._unasked = any(name == "expect" for name, _ in self.headers)
        self._receive = receive
        self._send = send

    async def receive(self) -> Mapping[str, Any]:
        """More of the body; a caller that waits to be asked for it is asked now."""
        self._unasked = False
        return await self._receive()

    def signed(self) -> SignedRequest:
        """What a signature covers."""
        return SignedRequest(self.method, self.path, self.query, self.headers)

    def is_of_version_2(self) -> bool:
        """Whether it is signed in the way that AWS has given up."""
        given = next((value for name, value in self.headers if name == "authorization"), "")
        return given.startswith("AWS ") or "AWSAccessKeyId=" in self.query

    def head(self) -> RestRequest:
        """Raises MalformedRequest."""
        return read_head(self.method, self.path, self.query, self.headers, 2)

    async def answer(self, operation: str, reply: Reply) -> None:
        """Send what was asked for."""
        try:
            status, headers, body = write_answer(Api.S3, operation, reply.result, TABLE[operation].root, NAMESPACE)
            headers = {name.lower(): value for name, value in headers.items()} | dict(reply.headers)
            if body or reply.body:
                headers |= _XML
            size = headers.pop("content-length", None)
            body = body if reply.body is None else reply.body
            await self._begin(reply.status or status, headers, len(body) if size is None else int(size))
            await (self._body(body) if reply.span is None else self._file(reply.span))
        finally:
            if reply.span is not None:
                reply.span.file.close()

    async def refuse(self, refusal: Refused) -> None:
        """Send an error. A small body is taken in first, so that the connection can be used again."""
        await self._take_in()
        body = b"" if self.method == "HEAD" else refusal.body(self.path, self.request_id)
        await self._begin(refusal.status, _XML | refusal.headers, len(body))
        await self._body(body)

    async def _take_in(self) -> None:
        length = next((value for name, value in self.headers if name == "content-length"), "")
        if not self._unasked or not length.isdigit() or int(length) > _SEND_BYTES:
            return
        try:
            async with asyncio.timeout(_TAKE_IN_SECONDS):
                while (message := await self.receive())["type"] == "http.request" and message.get("more_body", False):
                    pass
        except TimeoutError:
            self._unasked = True

    async def _begin(self, status: int, headers: Mapping[str, str], size: int) -> None:
        self.begun = True
        pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        pairs.append((b"x-amz-request-id", self.request_id.encode()))
        if self._unasked:  # whether the body will come is not known
            pairs.append((b"connection", b"close"))
        if status not in (204, 304):
            pairs.append((b"content-length", str(size).encode()))
        await self._send({"type": "http.response.start", "status": status, "headers": pairs})

    async def _body(self, body: bytes) -> None:
        await self._send({"type": "http.response.body", "body": body})

    async def _file(self, span: Span) -> None:
        span.file.seek(span.start)
        left = span.size
        while left:
            data = await asyncio.to_thread(span.file.read, min(left, _SEND_BYTES))
            if not data:
                raise ObjectError("The object has become shorter while it was read.")
            left -= len(data)
            await self._send({"type": "http.response.body", "body": data, "more_body": left > 0})
        if not span.size:
            await self._body(b"")


def _refusal(error: Exception, exchange: _Exchange) -> Refused:
    """What an error is on the wire; the reason of one that nobody foresaw is in the log."""
    match error:
        case Refused():
            return error
        case AccessRefused():
            return of_access(error)
        case MalformedRequest():
            return refused(400, "MalformedXML" if "XML" in str(error) else "InvalidArgument", str(error))
        case InvalidRequest() | RequestError():
            return refused(400, "InvalidArgument", str(error))
    if not isinstance(error, ObjectError) or of_failure(error).status == 500:
        _log.error("request %s failed", exchange.request_id, exc_info=error)
    if isinstance(error, ObjectError):
        return of_failure(error)
    return refused(500, "InternalError", "We encountered an internal error; the service's log has the reason.")
