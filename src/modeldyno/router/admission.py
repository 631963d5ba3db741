"""Who may invoke: the signature of a request, looked at when its body is there."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from modeldyno.domain.errors import AccessProblem, AccessRefused
from modeldyno.router.refusals import refused
from modeldyno.wire.decode import Protocol
from modeldyno.wire.faults import access_fault
from modeldyno.wire.gate import Gate, check_service
from modeldyno.wire.service import Api
from modeldyno.wire.signature import SignedRequest


async def admit(gate: Gate, scope: Mapping[str, Any], body: bytes) -> str | None:
    """The region that the request was signed for, when it may go on; None where nobody needs to sign.

    Raises:
        Refused: it is not signed, or not well.
    """
    with _told():
        try:
            return _admitted(gate, scope, body)
        except AccessRefused as error:
            if error.problem is not AccessProblem.UNKNOWN_KEY or not await asyncio.to_thread(gate.look_again):
                raise
            return _admitted(gate, scope, body)


async def glance(gate: Gate, scope: Mapping[str, Any]) -> None:
    """Return when the body may be taken in.

    Raises:
        Refused: the head alone tells that the request is not signed, or not well.
    """
    with _told():
        await asyncio.to_thread(gate.glance, _signed(scope))


@contextmanager
def _told() -> Iterator[None]:
    """Make the answer of a refusal."""
    try:
        yield
    except AccessRefused as error:
        found = access_fault(error, Protocol.JSON)
        raise refused(403, found.code, found.message) from None


def _admitted(gate: Gate, scope: Mapping[str, Any], body: bytes) -> str | None:
    identity = gate.admit(_signed(scope), lambda: hashlib.sha256(body).hexdigest())
    check_service(identity, Api.RUNTIME)
    return identity.scope.region if identity is not None else None


def _signed(scope: Mapping[str, Any]) -> SignedRequest:
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    path, query = scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1")
    return SignedRequest(scope["method"], path, query, headers)
