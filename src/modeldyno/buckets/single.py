"""Objects as a whole: put, get, head, delete, copy."""

from __future__ import annotations

import asyncio
import base64
import re
from typing import Any, BinaryIO
from urllib.parse import unquote

from modeldyno.buckets.checksums import Hash, checksum, shown_tag, tagged
from modeldyno.buckets.conditions import NotModified, check, span
from modeldyno.buckets.exchange import Asked, Reply, Span, at_length, checksum_members, kept_headers, quoted, stored
from modeldyno.buckets.refusals import refused
from modeldyno.domain.errors import ObjectError
from modeldyno.ports.buckets import BucketStore, ObjectFacts, Sink

_LARGEST = 5 * 1024**3
"""**Source:** S3 user guide, *Uploading objects*: of one request."""
_READ_BYTES = 4 * 1024**2
# Source: RFC 9110, 5.5, Field Values; a line end would begin another header.
_HEADER = re.compile("[\t -~\x80-\xff]*")
_OVERRIDES = {
    "ResponseCacheControl": "cache-control",
    "ResponseContentDisposition": "content-disposition",
    "ResponseContentEncoding": "content-encoding",
    "ResponseContentLanguage": "content-language",
    "ResponseContentType": "content-type",
    "ResponseExpires": "expires",
}


async def put_object(asked: Asked) -> Reply:
    """Store the body."""
    unless = asked.params.get("IfNoneMatch")
    if unless not in (None, "*"):
        raise refused(501, "NotImplemented", "If-None-Match of a put can be * only.")
    check_length(asked)
    headers = kept_headers(asked.headers)
    sink = await asyncio.to_thread(asked.store.sink, asked.bucket, asked.body.length or 0)
    try:
        received = await asked.body.into(sink, asked.algorithm)
        facts = ObjectFacts(asked.key, received.size, 0.0, received.tag, headers, received.checksums)
        only = asked.params.get("IfMatch")
        kept = await asyncio.to_thread(asked.store.store, asked.bucket, facts, sink, unless, only)
    finally:
        sink.discard()
    return Reply(stored(kept))


def check_length(asked: Asked) -> None:
    """
    Raises:
        Refused: a body of unknown length, or one that S3 does not take at once.
    """
    length = asked.body.length
    if length is None:
        raise refused(411, "MissingContentLength", "You must provide the Content-Length HTTP header.")
    if length > _LARGEST:
        text = f"Your proposed upload of {length} bytes exceeds the maximum of {_LARGEST}; upload it in parts."
        raise refused(400, "EntityTooLarge", text)


async def get_object(asked: Asked) -> Reply:
    """The object's bytes, or a range of them."""
    return await asyncio.to_thread(_told, asked, True)


async def head_object(asked: Asked) -> Reply:
    """What is known of the object."""
    return await asyncio.to_thread(_told, asked, False)


def _told(asked: Asked, with_bytes: bool) -> Reply:
    params = asked.params
    facts, file = asked.store.open(asked.bucket, asked.key)
    try:
        try:
            check(params, facts)
        except NotModified:
            file.close()
            return Reply({"ETag": quoted(facts.etag), "LastModified": facts.modified_at}, status=304, body=b"")
        if params.get("PartNumber") is not None and (params["PartNumber"] != 1 or facts.parts is not None):
            raise refused(501, "NotImplemented", "Objects are kept whole here: their parts cannot be asked for.")
        part = span(params.get("Range"), facts.size)
        result = _known(facts, part)
        headers = {**facts.headers, **_overridden(params)}
        if params.get("ChecksumMode") == "ENABLED" and part is None:
            result |= checksum_members(facts.checksums)
    except BaseException:
        file.close()
        raise
    start, size = part or (0, facts.size)
    result["ContentLength"] = size
    status = 200 if part is None else 206
    if with_bytes:
        return Reply(result, headers, status, span=Span(file, start, size))
    file.close()
    return Reply(result, headers, status)


def _known(facts: ObjectFacts, part: tuple[int, int] | None) -> dict[str, object]:
    known: dict[str, object] = {
        "AcceptRanges": "bytes",
        "ETag": quoted(facts.etag),
        "LastModified": facts.modified_at,
    }
    if part is not None:
        known["ContentRange"] = f"bytes {part[0]}-{part[0] + part[1] - 1}/{facts.size}"
    return known


def _overridden(params: Any) -> dict[str, str]:
    from modeldyno.wire.xml import http_date

    found = {}
    for member, header in _OVERRIDES.items():
        if (value := params.get(member)) is not None:
            found[header] = value if isinstance(value, str) else http_date(value)
            if not _HEADER.fullmatch(found[header]):
                raise refused(400, "InvalidArgument", f"The value of {member} cannot be that of a header.")
    return found


async def delete_object(asked: Asked) -> Reply:
    """Remove the object; nothing is wrong where there is none."""
    await asyncio.to_thread(asked.store.remove, asked.bucket, asked.key)
    return Reply()


async def delete_objects(asked: Asked) -> Reply:
    """Remove up to a thousand objects; each is told."""
    return await asyncio.to_thread(_delete_all, asked)


def _delete_all(asked: Asked) -> Reply:
    from modeldyno.buckets.refusals import of_failure

    wanted = asked.params["Delete"]
    if len(wanted["Objects"]) > 1000:
        raise refused(400, "MalformedXML", "At most 1000 objects are deleted at once.")
    if not asked.store.has_bucket(asked.bucket):
        raise refused(404, "NoSuchBucket", f"There is no bucket {asked.bucket}.")
    deleted, errors = [], []
    for one in wanted["Objects"]:
        if odd := set(one) - {"Key"}:
            text = f"{', '.join(sorted(odd))} of an object to delete is not taken: objects have no versions here."
            errors.append({"Key": one["Key"], "Code": "NotImplemented", "Message": text})
            continue
        try:
            asked.store.remove(asked.bucket, one["Key"])
        except ObjectError as error:
            found = of_failure(error)
            errors.append({"Key": one["Key"], "Code": found.code, "Message": found.text})
        else:
            deleted.append({"Key": one["Key"]})
    shown = [] if wanted.get("Quiet") else deleted
    return Reply({name: value for name, value in (("Deleted", shown), ("Errors", errors)) if value})


async def copy_object(asked: Asked) -> Reply:
    """Store the bytes of another object."""
    return await at_length(_copy, asked)


def _copy(asked: Asked) -> Reply:
    directive = asked.params.get("MetadataDirective", "COPY")
    bucket, key = source_of(asked.params["CopySource"])
    if (bucket, key) == (asked.bucket, asked.key) and directive == "COPY":
        text = "This copy request is illegal because it is trying to copy an object to itself without changing it."
        raise refused(400, "InvalidRequest", text)
    source, file = opened(asked.store, asked.params)
    with file:
        headers = dict(source.headers) if directive == "COPY" else kept_headers(asked.headers)
        names = (
            {asked.algorithm} if asked.algorithm else {name for name, sum in source.checksums.items() if "-" not in sum}
        )
        sink = asked.store.sink(asked.bucket, source.size)
        try:
            tag, checksums = poured(file, sink, 0, source.size, names)
            facts = ObjectFacts(asked.key, source.size, 0.0, tag, headers, checksums)
            kept = asked.store.store(
                asked.bucket, facts, sink, asked.params.get("IfNoneMatch"), asked.params.get("IfMatch")
            )
        finally:
            sink.discard()
    return Reply({"CopyObjectResult": {**stored(kept), "LastModified": kept.modified_at}})


def opened(store: BucketStore, params: Any) -> tuple[ObjectFacts, BinaryIO]:
    """The source of a copy, where the conditions on it hold. Raises `Refused`."""
    bucket, key = source_of(params["CopySource"])
    facts, file = store.open(bucket, key)
    try:
        if facts.size > _LARGEST and "CopySourceRange" not in params:
            text = f"The source has {facts.size} bytes, over the maximum of {_LARGEST}; copy it in parts."
            raise refused(400, "InvalidRequest", text)
        check(params, facts, "CopySource")
    except NotModified:
        file.close()
        raise refused(412, "PreconditionFailed", "The source is what the condition excludes.") from None
    except BaseException:
        file.close()
        raise
    return facts, file


def source_of(given: str) -> tuple[str, str]:
    """Bucket and key of x-amz-copy-source, which is ``BUCKET/KEY``, percent-encoded. Raises `Refused`."""
    path, _, version = given.partition("?versionId=")
    bucket, _, key = unquote(path).removeprefix("/").partition("/")
    if not bucket or not key:
        raise refused(400, "InvalidArgument", f"x-amz-copy-source must be BUCKET/KEY, not {given[:256]!r}.")
    if version not in ("", "null"):
        raise refused(501, "NotImplemented", "Objects have no versions here.")
    return bucket, key


def poured(
    file: BinaryIO, sink: Sink, start: int, size: int, names: set[str], *, part: bool = False
) -> tuple[str, dict[str, str]]:
    """Write a stretch of a file to a sink; its entity tag, and its checksums of those names, in base64."""
    sums = {name: checksum(name) for name in names}
    tag = tagged(sums, part=part)
    hashes: list[Hash] = list({tag, *sums.values()})
    file.seek(start)
    left = size
    while left:
        data = file.read(min(left, _READ_BYTES))
        if not data:
            raise ObjectError("The source has become shorter while it was copied.")
        for one in hashes:
            one.update(data)
        sink.write(data)
        left -= len(data)
    return shown_tag(tag, size, part=part), {
        name: base64.b64encode(one.digest()).decode() for name, one in sums.items()
    }
