"""S3 with unmodified boto3: what is stored comes back, in every way that clients read and write."""

from __future__ import annotations

import hashlib
import io
import itertools
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from modeldyno.settings import SecuritySetting, Settings
from tests.conformance.conftest import Front, running

MIB = 1024**2
_names = itertools.count(1)


@pytest.fixture
def s3(connect: Callable[..., Any], region: str) -> Any:
    return connect(region, "s3")


@pytest.fixture
def bucket(s3: Any) -> str:
    name = f"bucket-{next(_names)}"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": s3.meta.region_name})
    return name


def code_of(call: Callable[..., Any], **params: Any) -> tuple[int, str]:
    with pytest.raises(ClientError) as refused:
        call(**params)
    answer = refused.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]


def test_an_object_comes_back_as_it_was_stored(s3: Any, bucket: str, front: Front) -> None:
    told = s3.put_object(
        Bucket=bucket,
        Key="a/b é+&.txt",
        Body=b"hello",
        ContentType="text/plain",
        Metadata={"owner": "me"},
        CacheControl="no-cache",
        Expires=datetime(2030, 1, 1, tzinfo=UTC),
    )
    assert told["ETag"] == f'"{hashlib.md5(b"hello").hexdigest()}"'
    assert told["ChecksumCRC32"]
    found = s3.get_object(Bucket=bucket, Key="a/b é+&.txt", ChecksumMode="ENABLED")
    assert found["Body"].read() == b"hello"
    assert found["ContentType"] == "text/plain"
    assert found["Metadata"] == {"owner": "me"}
    assert found["CacheControl"] == "no-cache"
    assert found["ETag"] == told["ETag"]
    assert found["ChecksumCRC32"] == told["ChecksumCRC32"]
    assert abs(found["LastModified"] - datetime.now(UTC)) < timedelta(seconds=60)
    assert s3.head_object(Bucket=bucket, Key="a/b é+&.txt")["ContentLength"] == 5
    assert (front.dyno.places.objects / bucket / "a" / "b é+&.txt").read_bytes() == b"hello"


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "SHA1", "SHA256", "CRC64NVME"])
def test_checksums_are_made_and_held_against_what_is_said(s3: Any, bucket: str, algorithm: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x" * 100_000, ChecksumAlgorithm=algorithm)
    found = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert found["Body"].read() == b"x" * 100_000
    assert found[f"Checksum{algorithm}"]
    wrong = {f"Checksum{algorithm}": found[f"Checksum{algorithm}"]}
    assert code_of(s3.put_object, Bucket=bucket, Key="k", Body=b"other", **wrong) == (400, "BadDigest")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x" * 100_000


@pytest.mark.parametrize(
    ("given", "start", "end"),
    [("bytes=0-0", 0, 1), ("bytes=2-", 2, 10), ("bytes=-3", 7, 10), ("bytes=5-99", 5, 10), ("bytes=-99", 0, 10)],
)
def test_ranges(s3: Any, bucket: str, given: str, start: int, end: int) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789")
    found = s3.get_object(Bucket=bucket, Key="k", Range=given)
    assert found["Body"].read() == b"0123456789"[start:end]
    assert found["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert found["ContentRange"] == f"bytes {start}-{end - 1}/10"


def test_a_range_behind_the_end_is_refused_with_the_size(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789")
    assert code_of(s3.get_object, Bucket=bucket, Key="k", Range="bytes=10-") == (416, "InvalidRange")
    s3.put_object(Bucket=bucket, Key="empty", Body=b"")
    assert s3.get_object(Bucket=bucket, Key="empty")["Body"].read() == b""
    assert code_of(s3.get_object, Bucket=bucket, Key="empty", Range="bytes=0-") == (416, "InvalidRange")


def test_conditions(s3: Any, bucket: str) -> None:
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"one", IfNoneMatch="*")["ETag"]
    assert code_of(s3.put_object, Bucket=bucket, Key="k", Body=b"x", IfNoneMatch="*") == (412, "PreconditionFailed")
    assert code_of(s3.put_object, Bucket=bucket, Key="k", Body=b"x", IfMatch='"other"') == (412, "PreconditionFailed")
    assert code_of(s3.get_object, Bucket=bucket, Key="k", IfMatch='"other"') == (412, "PreconditionFailed")
    assert code_of(s3.get_object, Bucket=bucket, Key="k", IfNoneMatch=etag)[0] == 304
    later = datetime.now(UTC) + timedelta(hours=1)
    assert code_of(s3.head_object, Bucket=bucket, Key="k", IfModifiedSince=later)[0] == 304
    before = datetime.now(UTC) - timedelta(hours=1)
    assert code_of(s3.get_object, Bucket=bucket, Key="k", IfUnmodifiedSince=before) == (412, "PreconditionFailed")
    assert s3.get_object(Bucket=bucket, Key="k", IfMatch=etag, IfModifiedSince=before)["Body"].read() == b"one"
    s3.put_object(Bucket=bucket, Key="k", Body=b"two", IfMatch=etag)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"two"


def test_what_is_not_there_is_told(s3: Any, bucket: str) -> None:
    assert code_of(s3.get_object, Bucket=bucket, Key="k") == (404, "NoSuchKey")
    assert code_of(s3.head_object, Bucket=bucket, Key="k") == (404, "404")
    assert code_of(s3.head_bucket, Bucket="nowhere") == (404, "404")
    assert code_of(s3.list_objects_v2, Bucket="nowhere") == (404, "NoSuchBucket")
    assert code_of(s3.put_object, Bucket="nowhere", Key="k", Body=b"x") == (404, "NoSuchBucket")
    s3.delete_object(Bucket=bucket, Key="k")


def test_pages_of_a_listing_hold_every_key_in_order(s3: Any, bucket: str) -> None:
    keys = ["a", "a-b", "a/1", "a/2/x", "a/2/y", "a0", "b/c/d", "ü", "z z"]
    kept = [key for key in keys if key != "a"]  # a file and a folder cannot have one name
    for key in kept:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    for operation, token in (("list_objects_v2", 3), ("list_objects", 3), ("list_objects_v2", 1000)):
        pages = s3.get_paginator(operation).paginate(Bucket=bucket, PaginationConfig={"PageSize": token})
        found = [one for page in pages for one in page.get("Contents", [])]
        assert [one["Key"] for one in found] == sorted(kept, key=str.encode)
        assert all(one["Size"] == len(one["Key"].encode()) for one in found)
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=bucket, Prefix="a", Delimiter="/", PaginationConfig={"PageSize": 1}
    )
    told = [(page.get("Contents", []), page.get("CommonPrefixes", [])) for page in pages]
    assert [one["Key"] for objects, _ in told for one in objects] == ["a-b", "a0"]
    assert [one["Prefix"] for _, prefixes in told for one in prefixes] == ["a/"]
    after = s3.list_objects_v2(Bucket=bucket, StartAfter="a0")
    assert [one["Key"] for one in after["Contents"]] == ["b/c/d", "z z", "ü"]
    assert after["KeyCount"] == 3


def test_a_file_that_its_user_placed_is_an_object(s3: Any, bucket: str, front: Front) -> None:
    path = front.dyno.places.objects / bucket / "folder" / "model.tar.gz"
    path.parent.mkdir()
    path.write_bytes(b"first")
    first = s3.head_object(Bucket=bucket, Key="folder/model.tar.gz")
    assert first["ContentLength"] == 5
    path.write_bytes(b"second")
    second = s3.get_object(Bucket=bucket, Key="folder/model.tar.gz")
    assert second["Body"].read() == b"second"
    assert second["ETag"] != first["ETag"]


def test_objects_are_deleted_one_by_one_and_together(s3: Any, bucket: str) -> None:
    for key in ("a", "b", "c/d", "e"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    s3.delete_object(Bucket=bucket, Key="a")
    assert code_of(s3.delete_bucket, Bucket=bucket) == (409, "BucketNotEmpty")
    told = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "b"}, {"Key": "c/d"}, {"Key": "never"}]})
    assert {one["Key"] for one in told["Deleted"]} == {"b", "c/d", "never"}
    quiet = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "e"}], "Quiet": True})
    assert "Deleted" not in quiet
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    s3.delete_bucket(Bucket=bucket)
    assert bucket not in [one["Name"] for one in s3.list_buckets()["Buckets"]]


def test_copies(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="from é", Body=b"bytes", ContentType="text/csv", Metadata={"a": "b"})
    s3.copy_object(Bucket=bucket, Key="to", CopySource={"Bucket": bucket, "Key": "from é"})
    found = s3.get_object(Bucket=bucket, Key="to")
    assert (found["Body"].read(), found["ContentType"], found["Metadata"]) == (b"bytes", "text/csv", {"a": "b"})
    s3.copy_object(
        Bucket=bucket,
        Key="to",
        CopySource=f"{bucket}/to",
        MetadataDirective="REPLACE",
        ContentType="text/plain",
    )
    assert s3.head_object(Bucket=bucket, Key="to")["ContentType"] == "text/plain"
    assert code_of(s3.copy_object, Bucket=bucket, Key="to", CopySource=f"{bucket}/to") == (400, "InvalidRequest")
    assert code_of(s3.copy_object, Bucket=bucket, Key="to", CopySource=f"{bucket}/never") == (404, "NoSuchKey")


def test_a_large_object_goes_up_and_down_in_parts(bucket: str, front: Front, tmp_path: Path) -> None:
    session = boto3.session.Session("any", "any", region_name="us-east-1")
    s3 = session.client("s3", endpoint_url=front.url)
    data = os.urandom(18 * MIB + 12345)
    settings = TransferConfig(multipart_threshold=8 * MIB, multipart_chunksize=8 * MIB)
    s3.upload_fileobj(io.BytesIO(data), bucket, "large", Config=settings)
    known = s3.head_object(Bucket=bucket, Key="large")
    assert known["ContentLength"] == len(data)
    assert known["ETag"].endswith('-3"')
    s3.download_file(bucket, "large", str(tmp_path / "down"), Config=settings)
    assert (tmp_path / "down").read_bytes() == data
    s3.copy({"Bucket": bucket, "Key": "large"}, bucket, "copied", Config=settings)
    assert s3.get_object(Bucket=bucket, Key="copied")["Body"].read() == data
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)
    s3.close()


@pytest.mark.parametrize("kind", ["COMPOSITE", "FULL_OBJECT"])
def test_parts_and_their_checksums(s3: Any, bucket: str, kind: str) -> None:
    parts = [os.urandom(5 * MIB), b"tail"]
    begun = s3.create_multipart_upload(Bucket=bucket, Key="k", ChecksumAlgorithm="CRC32", ChecksumType=kind)
    place = {"Bucket": bucket, "Key": "k", "UploadId": begun["UploadId"]}
    told = [s3.upload_part(**place, PartNumber=number, Body=part) for number, part in enumerate(parts, 1)]
    listed = s3.list_parts(**place)
    assert [(one["PartNumber"], one["Size"]) for one in listed["Parts"]] == [(1, 5 * MIB), (2, 4)]
    assert [one["UploadId"] for one in s3.list_multipart_uploads(Bucket=bucket)["Uploads"]] == [begun["UploadId"]]
    names = [
        {"PartNumber": number, "ETag": one["ETag"], "ChecksumCRC32": one["ChecksumCRC32"]}
        for number, one in enumerate(told, 1)
    ]
    backwards = {"Parts": names[::-1]}
    assert code_of(s3.complete_multipart_upload, **place, MultipartUpload=backwards) == (400, "InvalidPartOrder")
    wrong = {"Parts": [{"PartNumber": 1, "ETag": '"0"'}]}
    assert code_of(s3.complete_multipart_upload, **place, MultipartUpload=wrong) == (400, "InvalidPart")
    done = s3.complete_multipart_upload(**place, MultipartUpload={"Parts": names})
    assert done["ChecksumType"] == kind
    found = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert found["Body"].read() == b"".join(parts)
    assert found["ChecksumCRC32"] == done["ChecksumCRC32"]
    assert found["ChecksumCRC32"].endswith("-2") == (kind == "COMPOSITE")
    assert code_of(s3.complete_multipart_upload, **place, MultipartUpload={"Parts": names}) == (404, "NoSuchUpload")


def test_a_part_can_be_a_stretch_of_an_object(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="from", Body=b"0123456789")
    begun = s3.create_multipart_upload(Bucket=bucket, Key="to", ContentType="text/plain")
    place = {"Bucket": bucket, "Key": "to", "UploadId": begun["UploadId"]}
    source = {"Bucket": bucket, "Key": "from"}
    told = s3.upload_part_copy(**place, PartNumber=1, CopySource=source, CopySourceRange="bytes=2-5")
    beyond = code_of(s3.upload_part_copy, **place, PartNumber=2, CopySource=source, CopySourceRange="bytes=2-10")
    assert beyond == (400, "InvalidRange")
    parts = {"Parts": [{"PartNumber": 1, "ETag": told["CopyPartResult"]["ETag"]}]}
    s3.complete_multipart_upload(**place, MultipartUpload=parts)
    found = s3.get_object(Bucket=bucket, Key="to")
    assert (found["Body"].read(), found["ContentType"]) == (b"2345", "text/plain")


def test_a_bucket_is_in_the_region_of_whoever_asks(s3: Any, bucket: str, region: str) -> None:
    assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] == region
    assert s3.head_bucket(Bucket=bucket)["BucketRegion"] == region


def test_an_upload_that_is_aborted_leaves_nothing(s3: Any, bucket: str, front: Front) -> None:
    begun = s3.create_multipart_upload(Bucket=bucket, Key="k")
    place = {"Bucket": bucket, "Key": "k", "UploadId": begun["UploadId"]}
    s3.upload_part(**place, PartNumber=1, Body=b"x" * MIB)
    s3.abort_multipart_upload(**place)
    assert code_of(s3.upload_part, **place, PartNumber=1, Body=b"x") == (404, "NoSuchUpload")
    assert code_of(s3.get_object, Bucket=bucket, Key="k") == (404, "NoSuchKey")
    assert not list((front.dyno.places.objects / ".dyno" / "uploads" / bucket).iterdir())


@pytest.mark.parametrize(
    "more",
    [
        {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "a-key"},
        {"ServerSideEncryption": "aws:kms:dsse"},
        {"Tagging": "a=b"},
        {"ACL": "public-read"},
        {"StorageClass": "GLACIER"},
        {"ExpectedBucketOwner": "123456789012"},
        {"ObjectLockLegalHoldStatus": "ON"},
    ],
)
def test_what_would_have_no_effect_is_refused(s3: Any, bucket: str, more: dict[str, str]) -> None:
    status, code = code_of(s3.put_object, Bucket=bucket, Key="k", Body=b"x", **more)
    assert status in (400, 403, 501)
    assert code
    assert code_of(s3.get_object, Bucket=bucket, Key="k") == (404, "NoSuchKey")


@pytest.mark.parametrize("encryption", ["AES256", "aws:kms"])
def test_encryption_without_a_named_key_is_taken_and_not_claimed(s3: Any, bucket: str, encryption: str) -> None:
    asked = {"Bucket": bucket, "Key": "k", "ServerSideEncryption": encryption}
    assert "ServerSideEncryption" not in s3.put_object(**asked, Body=b"x")
    assert "ServerSideEncryption" not in s3.head_object(Bucket=bucket, Key="k")
    begun = s3.create_multipart_upload(**asked)
    assert "ServerSideEncryption" not in begun
    s3.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=begun["UploadId"])
    copied = s3.copy_object(**asked | {"Key": "copy"}, CopySource=f"{bucket}/k")
    assert "ServerSideEncryption" not in copied
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == b"x"


def test_a_named_key_passes_where_a_setting_says_so(tmp_path: Path) -> None:
    settings = Settings(data_dir=str(tmp_path), security=SecuritySetting(accept_unenforced=True))
    session = boto3.session.Session("any", "any", region_name="us-east-1")
    with running(settings) as lenient:
        s3 = session.client("s3", endpoint_url=lenient.url)
        s3.create_bucket(Bucket="bucket")
        told = s3.put_object(
            Bucket="bucket",
            Key="k",
            Body=b"x",
            ServerSideEncryption="aws:kms",
            SSEKMSKeyId="key",
            BucketKeyEnabled=True,
        )
        assert "ServerSideEncryption" not in told
        with pytest.raises(ClientError, match="SSECustomer"):
            s3.put_object(Bucket="bucket", Key="k", Body=b"x", SSECustomerKey="0" * 32, SSECustomerAlgorithm="AES256")
        s3.close()


def test_a_named_key_is_refused_with_the_setting_that_lets_it_pass(s3: Any, bucket: str) -> None:
    with pytest.raises(ClientError, match=r"SSEKMSKeyId of PutObject is not done here \(accept_unenforced = true"):
        s3.put_object(Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="aws:kms", SSEKMSKeyId="key")


@pytest.mark.parametrize("key", ["a//b", "../up", "a/../b", "/a", "folder/", "x" * 1025, "a/" + "x" * 300])
def test_a_key_that_cannot_be_kept_is_refused_with_the_reason(s3: Any, bucket: str, key: str) -> None:
    status, _ = code_of(s3.put_object, Bucket=bucket, Key=key, Body=b"x")
    assert status == 400


def test_a_key_below_an_object_is_refused(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"x")
    assert code_of(s3.put_object, Bucket=bucket, Key="a/b", Body=b"x") == (400, "InvalidArgument")
    assert s3.get_object(Bucket=bucket, Key="a")["Body"].read() == b"x"


def test_an_operation_that_is_not_there_is_refused_by_name(s3: Any, bucket: str) -> None:
    with pytest.raises(ClientError, match="PutBucketPolicy is not there"):
        s3.put_bucket_policy(Bucket=bucket, Policy="{}")


def test_a_presigned_url_serves_whoever_has_it(s3: Any, bucket: str) -> None:
    put = s3.generate_presigned_url("put_object", {"Bucket": bucket, "Key": "k"}, ExpiresIn=60)
    with urllib.request.urlopen(urllib.request.Request(put, b"by link", method="PUT")) as answer:
        assert answer.status == 200
    get = s3.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "k"}, ExpiresIn=60)
    with urllib.request.urlopen(get) as answer:
        assert answer.read() == b"by link"
    page = urllib.request.Request(get, headers={"Origin": "http://evil.example"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(page)
    with refused.value:
        assert refused.value.code == 403


def test_the_resource_interface_of_boto3_makes_and_finds_a_bucket(front: Front, tmp_path: Path) -> None:
    session = boto3.session.Session("any", "any", region_name="us-east-1")
    resource = session.resource("s3", endpoint_url=front.url)
    resource.create_bucket(Bucket="sagemaker-us-east-1-0")
    resource.create_bucket(Bucket="sagemaker-us-east-1-0")  # in this region that is no error
    assert resource.Bucket("sagemaker-us-east-1-0").creation_date is not None
    (tmp_path / "file").write_bytes(b"x" * 10 * MIB)
    resource.Object("sagemaker-us-east-1-0", "dir/file").upload_file(str(tmp_path / "file"))
    assert [one.key for one in resource.Bucket("sagemaker-us-east-1-0").objects.filter(Prefix="dir")] == ["dir/file"]
    resource.meta.client.close()


def test_a_bucket_may_be_called_as_a_path_of_the_service(s3: Any) -> None:
    for name in ("endpoints", "health", "metrics"):
        s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": s3.meta.region_name})
        s3.put_object(Bucket=name, Key="x/invocations", Body=b"hello")
        assert s3.get_object(Bucket=name, Key="x/invocations")["Body"].read() == b"hello"
        s3.delete_object(Bucket=name, Key="x/invocations")
        s3.delete_bucket(Bucket=name)


@pytest.mark.parametrize("value", ["a\r\nset-cookie: b=c", "\u20ac", "a\0"])
def test_an_answer_has_no_header_that_its_caller_made_up(s3: Any, bucket: str, value: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"hello")
    asked = {"Bucket": bucket, "Key": "k", "ResponseContentDisposition": value}
    assert code_of(s3.get_object, **asked) == (400, "InvalidArgument")


def test_a_page_of_no_uploads_is_empty(s3: Any, bucket: str) -> None:
    s3.create_multipart_upload(Bucket=bucket, Key="k")
    assert s3.list_multipart_uploads(Bucket=bucket, MaxUploads=0)["IsTruncated"]
