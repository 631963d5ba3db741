"""Who signed a request: AWS Signature Version 4, in the Authorization header or in the query of a presigned URL.

1. The scope names the key, the day, the region and the service; an unknown key ends it here.
2. The time of signing must be near: five minutes either way, fifteen for S3, or within the life of a presigned URL.
3. Host, and every X-Amz header that came, must be among what was signed.
4. The request is written in canonical form and its signature computed anew; the comparison takes constant time.

Of S3 the body's digest is what X-Amz-Content-Sha256 says (whoever reads the body holds it against that); of others it
is that of the body.

**Source:** AWS IAM user guide, *Create a signed AWS API request*; S3 API reference, *Authenticating Requests (AWS
Signature Version 4)*; the wording of refusals: the services' answers as issues of botocore and other clients quote
them.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import quote, unquote

from modeldyno.domain.errors import AccessProblem, AccessRefused
from modeldyno.wire.scope import Scope, read_scope
from modeldyno.wire.service import shortened

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
SKEW_MINUTES = {"s3": 15}
"""By service; five for others. **Source:** S3 API reference, error RequestTimeTooSkewed; IAM user guide, *Troubleshoot
Signature Version 4*."""
_SKEW_MINUTES = 5
LONGEST_LIFE_SECONDS = 7 * 86_400
"""Of a presigned URL. **Source:** S3 API reference, X-Amz-Expires."""

_HEADER = re.compile(r"AWS4-HMAC-SHA256\s+Credential=([^,\s]+),\s*SignedHeaders=([^,\s]+),\s*Signature=([0-9a-f]{64})")
_TIME = "%Y%m%dT%H%M%SZ"
_SPACES = re.compile(r"[ \t\v\f]+")

SecretOf = Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """What a signature covers. `path` and `query` are as sent, percent-encoded; `headers` in lower case, as they came,
    repeated ones too."""

    method: str
    path: str
    query: str
    headers: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Identity:
    """Who signed. `signing_key` and `signature` are what the chunks of a signed stream go on from; `signed_at` is
    ``YYYYMMDDTHHMMSSZ``."""

    scope: Scope
    signing_key: bytes
    signature: str
    signed_at: str
    payload: str


@dataclass(frozen=True, slots=True)
class _Claim:
    """What a request says of its signature."""

    scope: Scope
    signed: tuple[str, ...]
    signature: str
    time: str
    life_seconds: int | None


def verify(request: SignedRequest, secret_of: SecretOf, now: float, body_sha256: Callable[[], str]) -> Identity:
    """Who signed the request. `secret_of`: a key's secret, None where there is no such key; `now`: seconds since the
    epoch; `body_sha256`: in hexadecimal, asked where the request does not say it (any service but S3).

    Raises:
        AccessRefused: with the reason.
    """
    headers = _joined(request.headers)
    claim = _claim(request, headers)
    secret = secret_of(claim.scope.key_id)
    if secret is None or "x-amz-security-token" in headers or "X-Amz-Security-Token=" in request.query:
        raise AccessRefused(AccessProblem.UNKNOWN_KEY, "The security token included in the request is invalid.")
    _check_time(claim, now)
    _check_signed(claim, headers)
    payload = _payload(claim, headers, body_sha256)
    canonical = _canonical(request, claim, headers, payload)
    key = signing_key(secret, claim.scope)
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    expected = sign(key, f"{ALGORITHM}\n{claim.time}\n{claim.scope}\n{digest}")
    if not hmac.compare_digest(expected.encode(), claim.signature.encode()):
        text = (
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
            "Access Key and signing method."
        )
        raise AccessRefused(AccessProblem.MISMATCH, text)
    return Identity(claim.scope, key, claim.signature, claim.time, payload)


def sign(key: bytes, text: str) -> str:
    """The signature of a text, in hexadecimal."""
    return hmac.digest(key, text.encode(), "sha256").hex()


def signing_key(secret: str, scope: Scope) -> bytes:
    """The key of one day, region and service."""
    return _signing_key(secret, scope.date, scope.region, scope.service)


@lru_cache(maxsize=256)
def _signing_key(secret: str, *parts: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (*parts, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


# --- reading the claim -----------------------------------------------------------------------------------------------


def _claim(request: SignedRequest, headers: Mapping[str, str]) -> _Claim:
    given = headers.get("authorization")
    if "X-Amz-Signature=" in request.query:
        if given is not None:
            text = "A request is signed in its Authorization header or in its query, not in both."
            raise AccessRefused(AccessProblem.INCOMPLETE, text)
        return _presigned(request.query)
    if given is None:
        raise AccessRefused(
            AccessProblem.MISSING,
            "Missing Authentication Token: requests must be signed with a key of this installation (dyno keys create).",
        )
    found = _HEADER.fullmatch(given.strip())
    scope = read_scope(found[1]) if found else None
    time = headers.get("x-amz-date", "")
    if found is None or scope is None:
        text = "Authorization header requires 'Credential', 'SignedHeaders' and 'Signature' of AWS4-HMAC-SHA256."
        raise AccessRefused(AccessProblem.INCOMPLETE, text)
    if not time:
        text = "Authorization header requires existence of an 'X-Amz-Date' header."
        raise AccessRefused(AccessProblem.INCOMPLETE, text)
    return _Claim(scope, tuple(found[2].split(";")), found[3], time, None)


def _presigned(query: str) -> _Claim:
    given = {name: value for name, value in _pairs(query) if name.startswith("X-Amz-")}
    scope = read_scope(given.get("X-Amz-Credential", ""))
    life = given.get("X-Amz-Expires", "")
    complete = {"X-Amz-Date", "X-Amz-SignedHeaders", "X-Amz-Signature"} <= given.keys()
    if scope is None or not complete or given.get("X-Amz-Algorithm") != ALGORITHM:
        text = (
            "Query-string authentication requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, "
            "X-Amz-SignedHeaders, and X-Amz-Expires parameters."
        )
        raise AccessRefused(AccessProblem.INCOMPLETE, text)
    if not (life.isascii() and life.isdigit() and len(life) <= 9 and 1 <= int(life) <= LONGEST_LIFE_SECONDS):
        text = f"X-Amz-Expires must be between 1 and {LONGEST_LIFE_SECONDS} seconds, not {shortened(life, 32)!r}."
        raise AccessRefused(AccessProblem.INCOMPLETE, text)
    signed = tuple(given["X-Amz-SignedHeaders"].split(";"))
    return _Claim(scope, signed, given["X-Amz-Signature"], given["X-Amz-Date"], int(life))


# --- the rules -------------------------------------------------------------------------------------------------------


def _check_time(claim: _Claim, now: float) -> None:
    signed_at = _moment(claim.time)
    if signed_at is None:
        text = f"The time of signing {shortened(claim.time, 32)!r} has not the form YYYYMMDDTHHMMSSZ."
        raise AccessRefused(AccessProblem.INCOMPLETE, text)
    if claim.time[:8] != claim.scope.date:
        text = f"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date: {claim.time}."
        raise AccessRefused(AccessProblem.MISMATCH, text)
    minutes = SKEW_MINUTES.get(claim.scope.service, _SKEW_MINUTES)
    if signed_at - now > 60 * minutes:
        latest = _told(now + 60 * minutes)
        text = f"Signature not yet current: {claim.time} is still later than {latest} ({_told(now)} + {minutes} min.)"
        raise AccessRefused(AccessProblem.SKEWED, text)
    if claim.life_seconds is not None:
        if now > signed_at + claim.life_seconds:
            raise AccessRefused(AccessProblem.OVER, "Request has expired.")
    elif now - signed_at > 60 * minutes:
        earliest = _told(now - 60 * minutes)
        text = f"Signature expired: {claim.time} is now earlier than {earliest} ({_told(now)} - {minutes} min.)"
        raise AccessRefused(AccessProblem.SKEWED, text)


@lru_cache(maxsize=64)
def _moment(text: str) -> float | None:
    """Seconds since the epoch: the same for all that is signed in one second."""
    try:
        return datetime.strptime(text, _TIME).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def _told(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime(_TIME)


def _check_signed(claim: _Claim, headers: Mapping[str, str]) -> None:
    signed = set(claim.signed)
    if "host" not in signed:
        raise AccessRefused(AccessProblem.INCOMPLETE, "'Host' must be a 'SignedHeader' in the AWS Authorization.")
    left_out = sorted(name for name in headers if name.startswith("x-amz-") and name not in signed)
    if left_out:
        text = f"There were headers present in the request which were not signed: {', '.join(left_out)}."
        raise AccessRefused(AccessProblem.INCOMPLETE, text)


def _payload(claim: _Claim, headers: Mapping[str, str], body_sha256: Callable[[], str]) -> str:
    if claim.scope.service != "s3":
        return body_sha256()
    if claim.life_seconds is not None:
        return headers.get("x-amz-content-sha256", UNSIGNED_PAYLOAD)
    if "x-amz-content-sha256" not in headers:
        text = "Missing required header for this request: x-amz-content-sha256."
        raise AccessRefused(AccessProblem.INCOMPLETE, text)
    return headers["x-amz-content-sha256"]


# --- the canonical form ----------------------------------------------------------------------------------------------


def _canonical(request: SignedRequest, claim: _Claim, headers: Mapping[str, str], payload: str) -> str:
    s3 = claim.scope.service == "s3"  # which reads a plus sign of the query as a space
    lines = [f"{name}:{_SPACES.sub(' ', headers.get(name, '')).strip(' ')}" for name in claim.signed]
    return "\n".join(
        (
            request.method,
            _canonical_path(request.path, claim.scope.service),
            _canonical_query(request.query.replace("+", "%20") if s3 else request.query),
            *lines,
            "",
            ";".join(claim.signed),
            payload,
        )
    )


def _canonical_path(path: str, service: str) -> str:
    """Of S3 as sent; of others without dot segments and empty ones, and encoded once more."""
    if service == "s3":
        return path or "/"
    if "//" in path or "/." in path:
        path = _normalized(path)
    return quote(path or "/", safe="/-_.~")


def _normalized(path: str) -> str:
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(segment)
    return f"/{'/'.join(kept)}{'/' if path.endswith('/') and kept else ''}"


def _canonical_query(query: str) -> str:
    if not query:
        return ""
    encoded = [
        (quote(name, safe="-_.~"), quote(value, safe="-_.~"))
        for name, value in _pairs(query)
        if name != "X-Amz-Signature"
    ]
    return "&".join(f"{name}={value}" for name, value in sorted(encoded))


def _pairs(query: str) -> list[tuple[str, str]]:
    """Names and values, decoded; a plus sign is a plus sign."""
    parts = (part.partition("=") for part in query.split("&") if part)
    return [(unquote(name), unquote(value)) for name, _, value in parts]


def _joined(headers: Sequence[tuple[str, str]]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in headers:
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined
