"""The operations on objects that are there, and the members of each that have their effect; others are refused."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from modeldyno.buckets import listings, single, uploads
from modeldyno.buckets.exchange import Handler
from modeldyno.buckets.refusals import Refused, refused


@dataclass(frozen=True, slots=True)
class Entry:
    """One operation. `members`: what it takes beside `_EVERYWHERE`; `root`: the name of the answer's element;
    `reads`: whether its body is a document."""

    handler: Handler
    members: frozenset[str]
    root: str = ""
    reads: bool = False


_EVERYWHERE = frozenset({"Bucket", "Key", "ExpectedBucketOwner", "ExpectedSourceBucketOwner", "RequestPayer"})
_STORED = (
    "ACL CacheControl ContentDisposition ContentEncoding ContentLanguage ContentType Expires Metadata StorageClass "
    "WebsiteRedirectLocation ChecksumAlgorithm ServerSideEncryption"
)
_SUMS = "ChecksumCRC32 ChecksumCRC32C ChecksumCRC64NVME ChecksumSHA1 ChecksumSHA256"
_SENT = f"Body ContentLength ContentMD5 ChecksumAlgorithm {_SUMS}"
_READ = (
    "IfMatch IfModifiedSince IfNoneMatch IfUnmodifiedSince Range PartNumber ChecksumMode VersionId "
    "ResponseCacheControl ResponseContentDisposition ResponseContentEncoding ResponseContentLanguage "
    "ResponseContentType ResponseExpires"
)
_SOURCE = "CopySource CopySourceIfMatch CopySourceIfModifiedSince CopySourceIfNoneMatch CopySourceIfUnmodifiedSince"
_LISTED = "Delimiter EncodingType MaxKeys Prefix"


def _entry(handler: Handler, members: str = "", root: str = "", *, reads: bool = False) -> Entry:
    return Entry(handler, _EVERYWHERE | frozenset(members.split()), root, reads)


TABLE: Mapping[str, Entry] = {
    "ListBuckets": _entry(listings.list_buckets, "MaxBuckets ContinuationToken Prefix", "ListAllMyBucketsResult"),
    "CreateBucket": _entry(
        listings.create_bucket, "ACL CreateBucketConfiguration ObjectOwnership", "CreateBucketResult", reads=True
    ),
    "HeadBucket": _entry(listings.head_bucket),
    "DeleteBucket": _entry(listings.delete_bucket),
    "GetBucketLocation": _entry(listings.get_bucket_location, root="LocationConstraint"),
    "ListObjects": _entry(listings.list_objects, f"{_LISTED} Marker", "ListBucketResult"),
    "ListObjectsV2": _entry(
        listings.list_objects_v2, f"{_LISTED} ContinuationToken FetchOwner StartAfter", "ListBucketResult"
    ),
    "PutObject": _entry(single.put_object, f"{_STORED} {_SENT} IfMatch IfNoneMatch"),
    "GetObject": _entry(single.get_object, _READ),
    "HeadObject": _entry(single.head_object, _READ),
    "DeleteObject": _entry(single.delete_object, "VersionId"),
    "DeleteObjects": _entry(single.delete_objects, "Delete ChecksumAlgorithm", "DeleteResult", reads=True),
    "CopyObject": _entry(
        single.copy_object, f"{_STORED} {_SOURCE} IfMatch IfNoneMatch MetadataDirective", "CopyObjectResult"
    ),
    "CreateMultipartUpload": _entry(
        uploads.create_multipart_upload, f"{_STORED} ChecksumType", "InitiateMultipartUploadResult"
    ),
    "UploadPart": _entry(uploads.upload_part, f"{_SENT} PartNumber UploadId"),
    "UploadPartCopy": _entry(
        uploads.upload_part_copy, f"{_SOURCE} CopySourceRange PartNumber UploadId", "CopyPartResult"
    ),
    "CompleteMultipartUpload": _entry(
        uploads.complete_multipart_upload,
        f"MultipartUpload UploadId ChecksumType MpuObjectSize IfMatch IfNoneMatch {_SUMS}",
        "CompleteMultipartUploadResult",
        reads=True,
    ),
    "AbortMultipartUpload": _entry(uploads.abort_multipart_upload, "UploadId"),
    "ListParts": _entry(uploads.list_parts, "MaxParts PartNumberMarker UploadId", "ListPartsResult"),
    "ListMultipartUploads": _entry(
        uploads.list_multipart_uploads,
        "KeyMarker MaxUploads Prefix UploadIdMarker EncodingType",
        "ListMultipartUploadsResult",
    ),
}

# Of members with a choice, the values that say what is true here anyway.
_VALUES: Mapping[str, tuple[Collection[str], Refused]] = {
    "ACL": (
        ("private", "bucket-owner-full-control"),
        refused(400, "AccessControlListNotSupported", "The bucket does not allow ACLs: whoever has a key sees all."),
    ),
    "StorageClass": (
        ("STANDARD",),
        refused(400, "InvalidStorageClass", "There is one storage class here: STANDARD."),
    ),
    "ObjectOwnership": (
        ("BucketOwnerEnforced",),
        refused(501, "NotImplemented", "Objects are their bucket's here: ObjectOwnership can be BucketOwnerEnforced."),
    ),
    # The SDKs ask for the account's own key with every script; there is none to use, and answers claim none (ADR 0022).
    "ServerSideEncryption": (
        ("AES256", "aws:kms"),
        refused(
            501,
            "NotImplemented",
            "There are no keys to encrypt with here: ServerSideEncryption can be AES256 or aws:kms, "
            "which have no effect.",
        ),
    ),
    "VersionId": (("null",), refused(404, "NoSuchVersion", "Objects have no versions here.")),
}


# What asks for protection that there is not (ADR 0022).
_PROTECTION = frozenset({"SSEKMSKeyId", "SSEKMSEncryptionContext", "BucketKeyEnabled"})


def check_members(operation: str, params: Mapping[str, Any], account: str, *, unenforced: bool) -> None:
    """`unenforced`: a named key passes, without effect.

    Raises:
        Refused: a member, or a value of one, that would have no effect.
    """
    for name in params:
        if name in TABLE[operation].members or (unenforced and name in _PROTECTION):
            continue
        way_out = ""
        if name in _PROTECTION:
            way_out = " (accept_unenforced = true under [security] in dyno.toml accepts it, without effect)"
        raise refused(501, "NotImplemented", f"{name} of {operation} is not done here{way_out}.")
    for name, (allowed, refusal) in _VALUES.items():
        if params.get(name) not in (None, *allowed):
            raise refusal
    for name in ("ExpectedBucketOwner", "ExpectedSourceBucketOwner"):
        if params.get(name) not in (None, account):
            raise refused(403, "AccessDenied", f"{name} is {params[name]}, but the account here is {account}.")
