"""What ``s3://bucket/key`` may be."""

from __future__ import annotations

import re
from dataclasses import dataclass

from modeldyno.domain.errors import ObjectError

# S3's rule is 3 to 63 lower-case letters, digits, dots and hyphens; old buckets have capitals and underscores, too.
# Source: Amazon S3 user guide, "General purpose bucket naming rules".
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
# Source: Amazon S3 user guide, "Naming Amazon S3 objects".
_KEY_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Location:
    """A bucket and a key in it. The key is a relative path: no empty, ``.`` or ``..`` segment."""

    bucket: str
    key: str


def locate(url: str) -> Location:
    """The bucket and key of a URL.

    Raises:
        ObjectError: not an s3:// URL, or one that Dyno keeps no object under; says why.
    """
    scheme, separator, rest = url.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme != "s3" or not separator:
        raise ObjectError(f"{url!r} is not the URL of an object: it must be s3://BUCKET/KEY.")
    if not _BUCKET.fullmatch(bucket) or ".." in bucket:
        raise ObjectError(f"{url!r} is not the URL of an object: {bucket!r} is not a bucket's name.")
    if problem := _key_problem(key):
        raise ObjectError(f"{url!r} is not the URL of an object: {problem}.")
    return Location(bucket, key)


def _key_problem(key: str) -> str | None:
    if not key:
        return "it has no key"
    if not key.isprintable():
        return "its key has a character that cannot be printed"
    if len(key.encode()) > _KEY_BYTES:
        return f"its key is longer than {_KEY_BYTES} bytes"
    if key.endswith("/"):
        return "it ends with a slash, as a folder does"
    segments = key.split("/")
    if "" in segments:
        return "its key begins with a slash or has two in a row"
    if "." in segments or ".." in segments:
        return "its key has a segment '.' or '..'"
    return None
