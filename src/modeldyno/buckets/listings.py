"""Buckets, and what is in them."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Callable
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

from modeldyno.buckets.exchange import Asked, Reply, quoted
from modeldyno.buckets.refusals import refused
from modeldyno.ports.buckets import Listing, NoSuchBucket, ObjectFacts
from modeldyno.wire.scope import DEFAULT_REGION
from modeldyno.wire.xml import serialized

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
MOST = 1000
"""Of one page. **Source:** S3 API reference, ListObjectsV2."""


async def list_buckets(asked: Asked) -> Reply:
    """Every bucket."""
    prefix = asked.params.get("Prefix", "")
    after, limit = _unpack(asked.params.get("ContinuationToken")), asked.params.get("MaxBuckets")
    found = await asyncio.to_thread(asked.store.buckets)
    chosen = [(name, made) for name, made in found if name.startswith(prefix) and name > after]
    page = chosen[:limit]
    result: dict[str, object] = {"Buckets": [{"Name": name, "CreationDate": made} for name, made in page]}
    if len(page) < len(chosen):
        result["ContinuationToken"] = _pack(page[-1][0])
    if prefix:
        result["Prefix"] = prefix
    return Reply(result)


async def create_bucket(asked: Asked) -> Reply:
    """Make a bucket; in us-east-1 one that is there already is no error. **Source:** S3 API reference, CreateBucket."""
    made = await asyncio.to_thread(asked.store.make_bucket, asked.bucket)
    if not made and asked.region != DEFAULT_REGION:
        text = "Your previous request to create the named bucket succeeded and you already own it."
        raise refused(409, "BucketAlreadyOwnedByYou", text)
    return Reply({"Location": f"/{asked.bucket}"})


async def head_bucket(asked: Asked) -> Reply:
    """Whether there is a bucket."""
    await _require(asked)
    return Reply({"BucketRegion": asked.region})


async def delete_bucket(asked: Asked) -> Reply:
    """Remove an empty bucket."""
    await asyncio.to_thread(asked.store.remove_bucket, asked.bucket)
    return Reply()


async def get_bucket_location(asked: Asked) -> Reply:
    """The caller's region: buckets are in none."""
    await _require(asked)
    root = ElementTree.Element("LocationConstraint", {"xmlns": NAMESPACE})
    root.text = None if asked.region == DEFAULT_REGION else asked.region
    return Reply(body=serialized(root))


async def list_objects(asked: Asked) -> Reply:
    """One page, after a marker."""
    marker = asked.params.get("Marker", "")
    page, result, shown = await _page(asked, marker)
    result["Marker"] = shown(marker)
    if page.next is not None:
        result["NextMarker"] = shown(page.next)
    return Reply(result)


async def list_objects_v2(asked: Asked) -> Reply:
    """One page, after a token or a key."""
    params = asked.params
    token, start = params.get("ContinuationToken"), params.get("StartAfter", "")
    page, result, shown = await _page(asked, _unpack(token) if token is not None else start)
    result["KeyCount"] = len(page.objects) + len(page.prefixes)
    if page.next is not None:
        result["NextContinuationToken"] = _pack(page.next)
    if token is not None:
        result["ContinuationToken"] = token
    if start:
        result["StartAfter"] = shown(start)
    return Reply(result)


async def _page(asked: Asked, after: str) -> tuple[Listing, dict[str, Any], Callable[[str], str]]:
    params = asked.params
    prefix, delimiter = params.get("Prefix", ""), params.get("Delimiter", "")
    limit = min(params.get("MaxKeys", MOST), MOST)
    if limit < 0:
        raise refused(400, "InvalidArgument", "Argument max-keys must be an integer between 0 and 2147483647.")
    await _require(asked)
    page = Listing((), (), None)
    if limit:
        page = await asyncio.to_thread(asked.store.list, asked.bucket, prefix, delimiter, after, limit)
    encoded = params.get("EncodingType") == "url"
    shown = _encoded if encoded else str
    result: dict[str, Any] = {
        "Name": asked.bucket,
        "Prefix": shown(prefix),
        "MaxKeys": limit,
        "IsTruncated": page.next is not None,
        "Contents": [_listed(facts, shown) for facts in page.objects],
        "CommonPrefixes": [{"Prefix": shown(common)} for common in page.prefixes],
    }
    if delimiter:
        result["Delimiter"] = shown(delimiter)
    if encoded:
        result["EncodingType"] = "url"
    return page, result, shown


def _listed(facts: ObjectFacts, shown: Callable[[str], str]) -> dict[str, object]:
    found: dict[str, object] = {
        "Key": shown(facts.key),
        "LastModified": facts.modified_at,
        "ETag": quoted(facts.etag),
        "Size": facts.size,
        "StorageClass": "STANDARD",
    }
    if facts.checksums:
        found["ChecksumAlgorithm"] = [name.upper() for name in facts.checksums]
    return found


async def _require(asked: Asked) -> None:
    if not await asyncio.to_thread(asked.store.has_bucket, asked.bucket):
        raise NoSuchBucket(f"There is no bucket {asked.bucket}.")


def _encoded(text: str) -> str:
    return quote(text, safe="/")


def _pack(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode()


def _unpack(token: str | None) -> str:
    try:
        return base64.urlsafe_b64decode((token or "").encode()).decode()
    except (binascii.Error, ValueError):
        raise refused(400, "InvalidArgument", "The continuation token provided is incorrect.") from None
