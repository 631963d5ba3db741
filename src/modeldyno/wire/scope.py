"""What a request says it is signed with, and for which region and service: read before anything is verified.

**Source:** AWS Signature Version 4: ``Credential=KEY/DATE/REGION/SERVICE/aws4_request``, in the Authorization header
or, of a presigned URL, in the query parameter X-Amz-Credential. The key may hold slashes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from modeldyno.domain.errors import MalformedRequest
from modeldyno.wire.service import shortened

DEFAULT_REGION = "us-east-1"
_IN_HEADER = re.compile(r"Credential=([^,\s]+)")
_IN_QUERY = re.compile(r"(?:^|&)X-Amz-Credential=([^&]+)")
_REGION = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


@dataclass(frozen=True, slots=True)
class Scope:
    """The credential of a request, in its parts. `date` is ``YYYYMMDD``."""

    key_id: str
    date: str
    region: str
    service: str

    def __str__(self) -> str:
        return f"{self.date}/{self.region}/{self.service}/aws4_request"


def scope_of(headers: Mapping[str, str], query: str = "") -> Scope | None:
    """The scope; None where there is none, or none that can be read. `headers` have lower-case names."""
    if found := _IN_HEADER.search(headers.get("authorization", "")):
        return read_scope(found[1])
    if found := _IN_QUERY.search(query):
        return read_scope(unquote(found[1]))
    return read_scope(headers.get("x-amz-credential", ""))


def read_scope(credential: str) -> Scope | None:
    """The parts of ``KEY/DATE/REGION/SERVICE/aws4_request``; None when it is not one."""
    key_id, *rest = credential.rsplit("/", 4)
    if len(rest) != 4 or rest[-1] != "aws4_request":
        return None
    return Scope(key_id, *rest[:3])


def region_of(scope: Scope | None) -> str:
    """The region that a request is for; the default where it does not say.

    Raises:
        MalformedRequest: it names what cannot be a region.
    """
    if scope is None:
        return DEFAULT_REGION
    if not _REGION.fullmatch(scope.region):
        raise MalformedRequest(
            f"The credential scope names the region {shortened(scope.region)!r}, which cannot be one."
        )
    return scope.region
