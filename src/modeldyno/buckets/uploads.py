"""Objects that come in parts.

**Source:** S3 user guide, *Multipart upload overview* (limits) and *Checking object integrity* (checksums of parts and
of the whole).
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Sequence
from typing import Any

from modeldyno.buckets.checksums import checksum
from modeldyno.buckets.conditions import source_span
from modeldyno.buckets.exchange import (
    Asked,
    Reply,
    at_length,
    checksum_members,
    kept_headers,
    quoted,
    said_checksums,
    stored,
)
from modeldyno.buckets.refusals import refused
from modeldyno.buckets.single import check_length, opened, poured
from modeldyno.ports.buckets import ObjectFacts, Part, Upload

_SMALLEST = 5 * 1024**2
_MOST = 1000
_COMBINABLE = {"crc32": 4, "crc32c": 4, "crc64nvme": 8}


async def create_multipart_upload(asked: Asked) -> Reply:
    """Begin."""
    algorithm = asked.algorithm
    kind = asked.params.get("ChecksumType", "FULL_OBJECT" if algorithm == "crc64nvme" else "COMPOSITE")
    of_whole = algorithm is not None and kind == "FULL_OBJECT"
    if algorithm is not None and of_whole != (algorithm in _COMBINABLE) and (of_whole or algorithm == "crc64nvme"):
        text = f"The {kind} checksum type cannot be used with the {algorithm} checksum algorithm."
        raise refused(400, "InvalidRequest", text)
    headers = kept_headers(asked.headers)
    begun = await asyncio.to_thread(asked.store.begin_upload, asked.bucket, asked.key, headers, algorithm, of_whole)
    result: dict[str, object] = {"Bucket": asked.bucket, "Key": asked.key, "UploadId": begun.id}
    return Reply(result | _algorithm(begun))


async def upload_part(asked: Asked) -> Reply:
    """Keep one part."""
    check_length(asked)
    number = _number(asked)
    upload = await _upload(asked)
    sink = await asyncio.to_thread(asked.store.part_sink, asked.bucket, upload, number, asked.body.length or 0)
    try:
        received = await asked.body.into(sink, asked.algorithm or upload.algorithm, part=True)
        part = Part(number, received.size, received.tag, 0.0, received.checksums)
        kept = await asyncio.to_thread(asked.store.store_part, asked.bucket, upload, part, sink)
    finally:
        sink.discard()
    return Reply({"ETag": quoted(kept.etag), **_of_part(kept)})


async def upload_part_copy(asked: Asked) -> Reply:
    """Keep one part, of the bytes of an object."""
    number = _number(asked)
    upload = await _upload(asked)
    return await at_length(lambda one: _copy_part(one, upload, number), asked)


def _copy_part(asked: Asked, upload: Upload, number: int) -> Reply:
    source, file = opened(asked.store, asked.params)
    with file:
        start, size = source_span(asked.params.get("CopySourceRange"), source.size)
        sink = asked.store.part_sink(asked.bucket, upload, number, size)
        try:
            names = {upload.algorithm} if upload.algorithm else set()
            tag, sums = poured(file, sink, start, size, names, part=True)
            kept = asked.store.store_part(asked.bucket, upload, Part(number, size, tag, 0.0, sums), sink)
        finally:
            sink.discard()
    result = {"ETag": quoted(kept.etag), "LastModified": kept.modified_at, **_of_part(kept)}
    return Reply({"CopyPartResult": result})


async def complete_multipart_upload(asked: Asked) -> Reply:
    """Make the object of the parts that are named."""
    upload = await _upload(asked)
    return await at_length(lambda one: _complete(one, upload), asked)


def _complete(asked: Asked, upload: Upload) -> Reply:
    unless = asked.params.get("IfNoneMatch")
    if unless not in (None, "*"):
        raise refused(501, "NotImplemented", "If-None-Match of an upload can be * only.")
    named = asked.params.get("MultipartUpload", {}).get("Parts", [])
    chosen = _chosen(named, {part.number: part for part in asked.store.parts(asked.bucket, upload)})
    size = sum(part.size for part in chosen)
    if asked.params.get("MpuObjectSize", size) != size:
        text = f"The parts have {size} bytes, x-amz-mp-object-size says {asked.params['MpuObjectSize']}."
        raise refused(400, "InvalidRequest", text)
    checksums = _combined(upload, chosen)
    for name, value in said_checksums(asked.params).items():
        if checksums.get(name) not in (None, value):
            raise refused(400, "BadDigest", f"The {name.upper()} you specified did not match what was calculated.")
    tags = [(part.number, part.etag) for part in chosen]
    facts = ObjectFacts(asked.key, size, 0.0, _etag(chosen), upload.headers, checksums, len(chosen))
    kept = asked.store.complete(asked.bucket, upload, tags, facts, unless, asked.params.get("IfMatch"))
    place = {"Location": f"/{asked.bucket}/{asked.key}", "Bucket": asked.bucket, "Key": asked.key}
    return Reply(place | stored(kept))


def _chosen(named: Sequence[Any], known: dict[int, Part]) -> list[Part]:
    if not named:
        raise refused(400, "MalformedXML", "You must specify at least one part.")
    chosen: list[Part] = []
    for one in named:
        number, part = one.get("PartNumber"), known.get(one.get("PartNumber", 0))
        if part is None or str(one.get("ETag", "")).strip('"') != part.etag:
            raise refused(400, "InvalidPart", f"Part {number} could not be found, or has another entity tag.")
        if chosen and part.number <= chosen[-1].number:
            raise refused(400, "InvalidPartOrder", "The list of parts was not in ascending order.")
        if chosen and chosen[-1].size < _SMALLEST:
            text = f"Part {chosen[-1].number} is smaller than the minimum of {_SMALLEST} bytes."
            raise refused(400, "EntityTooSmall", text)
        for name, value in said_checksums(one).items():
            if part.checksums.get(name) not in (None, value):
                raise refused(400, "InvalidPart", f"Part {number} has another {name.upper()} than you specified.")
        chosen.append(part)
    return chosen


def _etag(parts: Sequence[Part]) -> str:
    joined = "".join(part.etag for part in parts).encode()
    return f"{hashlib.md5(joined, usedforsecurity=False).hexdigest()}-{len(parts)}"


def _combined(upload: Upload, parts: Sequence[Part]) -> dict[str, str]:
    name = upload.algorithm
    if name is None or any(name not in part.checksums for part in parts):
        return {}
    values = [base64.b64decode(part.checksums[name]) for part in parts]
    if not upload.of_whole:
        whole = checksum(name)
        whole.update(b"".join(values))
        return {name: f"{base64.b64encode(whole.digest()).decode()}-{len(parts)}"}
    from awscrt import checksums

    combine = getattr(checksums, f"combine_{name}")
    found = int.from_bytes(values[0], "big")
    for value, part in zip(values[1:], parts[1:], strict=True):
        found = combine(found, int.from_bytes(value, "big"), part.size)
    return {name: base64.b64encode(found.to_bytes(_COMBINABLE[name], "big")).decode()}


async def abort_multipart_upload(asked: Asked) -> Reply:
    """Forget the upload and its parts."""
    upload = await _upload(asked)
    await asyncio.to_thread(asked.store.abort, asked.bucket, upload)
    return Reply()


async def list_parts(asked: Asked) -> Reply:
    """The parts so far."""
    upload = await _upload(asked)
    after = int(asked.params.get("PartNumberMarker", 0))
    limit = min(max(asked.params.get("MaxParts", _MOST), 0), _MOST)
    found = await asyncio.to_thread(asked.store.parts, asked.bucket, upload)
    left = [part for part in found if part.number > after]
    page = left[:limit]
    result: dict[str, object] = {
        "Bucket": asked.bucket,
        "Key": asked.key,
        "UploadId": upload.id,
        "PartNumberMarker": after,
        "MaxParts": limit,
        "IsTruncated": len(page) < len(left),
        "StorageClass": "STANDARD",
        "Parts": [_listed(part) for part in page],
    }
    if page:
        result["NextPartNumberMarker"] = page[-1].number
    return Reply(result | _algorithm(upload))


def _listed(part: Part) -> dict[str, object]:
    known = {"PartNumber": part.number, "Size": part.size, "ETag": quoted(part.etag), "LastModified": part.modified_at}
    return known | _of_part(part)


async def list_multipart_uploads(asked: Asked) -> Reply:
    """The uploads of a bucket that have not ended."""
    params = asked.params
    after = (params.get("KeyMarker", ""), params.get("UploadIdMarker", ""))
    limit = min(max(params.get("MaxUploads", _MOST), 0), _MOST)
    found = await asyncio.to_thread(asked.store.uploads, asked.bucket)
    wanted = sorted(
        (one for one in found if one.key.startswith(params.get("Prefix", ""))), key=lambda one: (one.key, one.id)
    )
    left = [one for one in wanted if (one.key, one.id) > after and (after[1] or one.key > after[0])]
    page = left[:limit]
    result: dict[str, object] = {
        "Bucket": asked.bucket,
        "KeyMarker": after[0],
        "UploadIdMarker": after[1],
        "Prefix": params.get("Prefix", ""),
        "MaxUploads": limit,
        "IsTruncated": len(page) < len(left),
        "Uploads": [_begun(one) for one in page],
    }
    if 0 < len(page) < len(left):
        result |= {"NextKeyMarker": page[-1].key, "NextUploadIdMarker": page[-1].id}
    return Reply(result)


def _begun(upload: Upload) -> dict[str, object]:
    known: dict[str, object] = {"Key": upload.key, "UploadId": upload.id, "Initiated": upload.begun_at}
    return {**known, "StorageClass": "STANDARD", **_algorithm(upload)}


def _algorithm(upload: Upload) -> dict[str, object]:
    if upload.algorithm is None:
        return {}
    kind = "FULL_OBJECT" if upload.of_whole else "COMPOSITE"
    return {"ChecksumAlgorithm": upload.algorithm.upper(), "ChecksumType": kind}


def _of_part(part: Part) -> dict[str, str]:
    members = checksum_members(part.checksums)
    members.pop("ChecksumType", None)
    return members


def _number(asked: Asked) -> int:
    number = int(asked.params["PartNumber"])
    if not 1 <= number <= 10_000:
        raise refused(400, "InvalidArgument", f"Part number must be an integer between 1 and 10000, not {number}.")
    return number


async def _upload(asked: Asked) -> Upload:
    return await asyncio.to_thread(asked.store.upload, asked.bucket, asked.key, asked.params["UploadId"])
