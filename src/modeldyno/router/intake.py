"""The body of an invocation, as the caller sends it."""

from __future__ import annotations

import asyncio
import functools
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from typing import Any, TypeVar

from modeldyno.router.refusals import Refused, refused
from modeldyno.router.request import Invocation

_T = TypeVar("_T")

LIMIT_BYTES = 6_291_456
"""Of a body, either way. **Source:** botocore, SageMaker Runtime shape BodyBlob."""
BODY_SECONDS = 60.0
"""Chosen: how long a caller may take to send a body; as long as a model may take to answer it."""

Receive = Callable[[], Awaitable[Mapping[str, Any]]]


async def read_body(receive: Receive, invocation: Invocation) -> bytes | None:
    """The body; None when the caller goes away before it is whole.

    Nearly every body is there with its head. Only what has to be waited for is timed: a timer for each request would be
    a seventh of the front's work.
    """
    if invocation.length > LIMIT_BYTES:
        raise _too_large()
    reading = _whole(receive)
    try:
        waits_for = reading.send(None)
    except StopIteration as whole:
        body: bytes | None = whole.value
        return body
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await _resumed(reading, waits_for)
    except TimeoutError:
        raise refused(408, "RequestTimeout", f"The body took over {BODY_SECONDS:g} seconds.") from None


async def _whole(receive: Receive) -> bytes | None:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > LIMIT_BYTES:
            raise _too_large()
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


@types.coroutine
def _resumed(begun: Coroutine[Any, Any, _T], waits_for: Any) -> Generator[Any, Any, _T]:
    """Go on with a coroutine that has been stepped once and waits for something."""
    while True:
        step: Callable[[], Any] = functools.partial(begun.send, None)
        try:
            yield waits_for
        except BaseException as error:  # a cancellation: it is the coroutine's
            step = functools.partial(begun.throw, error)
        try:
            waits_for = step()
        except StopIteration as whole:
            result: _T = whole.value
            return result


def _too_large() -> Refused:
    return refused(400, "ValidationError", f"The body is over the limit of {LIMIT_BYTES} bytes.")
