"""Who is let in. Without keys everybody is (and then Dyno serves its own machine only); with keys, whoever signed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Protocol

from modeldyno.domain.errors import AccessProblem, AccessRefused
from modeldyno.wire.service import Api
from modeldyno.wire.signature import Identity, SignedRequest, verify

SIGNING_NAMES = {
    Api.SAGEMAKER: "sagemaker",
    Api.RUNTIME: "sagemaker",
    Api.LOGS: "logs",
    Api.METRICS: "monitoring",
    Api.STS: "sts",
    Api.IAM: "iam",
    Api.S3: "s3",
    Api.SCALING: "application-autoscaling",
}
"""What a credential scope calls each service. **Source:** botocore, signingName or endpointPrefix of each model."""


class Keys(Protocol):
    """The keys, as they were a moment ago."""

    @property
    def required(self) -> bool:
        """Whether requests must be signed."""
        ...

    def secret(self, key_id: str) -> str | None:
        """Of a valid key; None where there is no such key."""
        ...

    def look_again(self) -> bool:
        """Read them anew, unless that was just asked; whether it was done. May block."""
        ...


LARGE_BYTES = 65_536
"""Chosen: a body over this is taken in only from those whose head has passed a glance."""


class _Enough(Exception):
    """The head is good, as far as it goes."""


class Gate:
    """Lets requests in. Safe to use from several threads."""

    def __init__(self, keys: Keys, now: Callable[[], float]) -> None:
        self._keys = keys
        self._now = now

    @property
    def required(self) -> bool:
        """Whether requests must be signed."""
        return self._keys.required

    def secret(self, key_id: str) -> str | None:
        """Of a valid key."""
        return self._keys.secret(key_id)

    def admit(self, request: SignedRequest, body_sha256: Callable[[], str]) -> Identity | None:
        """Who signed; None where nobody needs to. Does not block.

        Raises:
            AccessRefused: with the reason. Where it is UNKNOWN_KEY, `look_again` may bring the key.
        """
        if not self._keys.required:
            return None
        return verify(request, self._keys.secret, self._now(), body_sha256)

    def glance(self, request: SignedRequest) -> None:
        """What the head alone tells: return where a key of ours may have signed it. May block.

        Raises:
            AccessRefused: it is not signed, or not with a valid key, or not now.
        """

        def digest() -> str:
            raise _Enough

        try:
            self._patiently(request, digest)
        except _Enough:
            return

    def admit_patiently(self, request: SignedRequest, body: bytes) -> Identity | None:
        """As `admit`, and the keys are read anew where the key is not among them: it may be new. May block."""
        return self._patiently(request, lambda: hashlib.sha256(body).hexdigest())

    def _patiently(self, request: SignedRequest, digest: Callable[[], str]) -> Identity | None:
        try:
            return self.admit(request, digest)
        except AccessRefused as refused:
            if refused.problem is not AccessProblem.UNKNOWN_KEY or not self._keys.look_again():
                raise
        return self.admit(request, digest)

    def look_again(self) -> bool:
        """Read the keys anew, unless that was just done; whether it was. May block."""
        return self._keys.look_again()


class _Nobody:
    """Where there are no keys."""

    required = False

    def secret(self, key_id: str) -> str | None:
        return None

    def look_again(self) -> bool:
        return False


def open_gate() -> Gate:
    """Lets everybody in."""
    return Gate(_Nobody(), lambda: 0.0)


def check_service(identity: Identity | None, api: Api) -> None:
    """A signature is good for one service.

    Raises:
        AccessRefused: it was made for another.
    """
    if identity is not None and identity.scope.service != SIGNING_NAMES[api]:
        text = f"Credential should be scoped to correct service: '{SIGNING_NAMES[api]}'."
        raise AccessRefused(AccessProblem.MISMATCH, text)
