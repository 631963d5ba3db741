"""Conditions and ranges of a request for an object.

**Source:** RFC 9110, 13 and 14; S3 API reference, GetObject (which condition wins where two are given).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from modeldyno.buckets.refusals import Refused, refused
from modeldyno.ports.buckets import ObjectFacts

_RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})")


class NotModified(Exception):
    """The caller has it already."""


def check(params: Mapping[str, Any], facts: ObjectFacts, prefix: str = "") -> None:
    """Return where the conditions hold. `prefix`: ``CopySource`` for those on the source of a copy.

    Raises:
        Refused: 412. NotModified: 304 is the answer (of a copy, 412).
    """
    match, no_match = params.get(f"{prefix}IfMatch"), params.get(f"{prefix}IfNoneMatch")
    before, after = params.get(f"{prefix}IfUnmodifiedSince"), params.get(f"{prefix}IfModifiedSince")
    modified = int(facts.modified_at)
    if match is not None:
        if not _names(match, facts.etag):
            raise _failed(f"{prefix}IfMatch")
    elif before is not None and modified > before:
        raise _failed(f"{prefix}IfUnmodifiedSince")
    if no_match is not None:
        if _names(no_match, facts.etag):
            raise NotModified
    elif after is not None and modified <= after:
        raise NotModified


def span(given: str | None, size: int) -> tuple[int, int] | None:
    """First byte and number of bytes; None for the whole, also where the header is not one that S3 reads.

    Raises:
        Refused: no byte of the range is there.
    """
    found = _RANGE.fullmatch(given.strip()) if given else None
    if found is None or found[0] == "bytes=-":
        return None
    first, last = found[1], found[2]
    if not first:
        start, end = max(0, size - int(last)), size - 1
    else:
        start, end = int(first), min(int(last), size - 1) if last else size - 1
        if last and int(last) < start:
            return None
    if start > end:
        text = "The requested range is not satisfiable."
        raise Refused(416, "InvalidRange", text, {"content-range": f"bytes */{size}"})
    return start, end - start + 1


def source_span(given: str | None, size: int) -> tuple[int, int]:
    """Of the source of a part, which must be there whole. Raises `Refused`."""
    if given is None:
        return 0, size
    found = _RANGE.fullmatch(given)
    if found is None or not found[1] or not found[2] or int(found[1]) > int(found[2]):
        raise refused(400, "InvalidArgument", "x-amz-copy-source-range must be bytes=FIRST-LAST.")
    if int(found[2]) >= size:
        raise refused(400, "InvalidRange", f"The range goes beyond the source, which has {size} bytes.")
    return int(found[1]), int(found[2]) - int(found[1]) + 1


def _names(condition: str, etag: str) -> bool:
    tags = [tag.strip().removeprefix("W/").strip('"') for tag in condition.split(",")]
    return "*" in tags or etag in tags


def _failed(name: str) -> Refused:
    return refused(412, "PreconditionFailed", f"At least one of the pre-conditions you specified did not hold: {name}.")
