"""Whatever comes to a door, signed or not, is answered; nothing that comes is the service's own failure."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modeldyno.buckets.door import Door
from modeldyno.objects.folders import Folders
from modeldyno.server.chain import App, make_app
from modeldyno.wire.gate import Gate, open_gate

many = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
NAMES = ["bucket", "other", "k", "a/b", "a", "", "..", "%2e%2e", "é", "%FF", "a//b", "%00"]
QUERIES = ["uploads", "uploadId", "partNumber", "list-type", "delete", "prefix", "delimiter", "max-keys", "versionId"]
HEADERS = [
    "range",
    "if-match",
    "if-none-match",
    "if-modified-since",
    "x-amz-copy-source",
    "x-amz-content-sha256",
    "x-amz-decoded-content-length",
    "x-amz-trailer",
    "x-amz-checksum-crc32",
    "x-amz-sdk-checksum-algorithm",
    "content-md5",
    "content-type",
    "x-amz-target",
    "x-amz-date",
    "authorization",
    "expect",
]
VALUES = st.sampled_from(
    [
        "",
        "*",
        "1",
        "-1",
        "99999999999999999999",
        "bytes=0-1",
        "bytes=9-",
        "bucket/k",
        "/bucket/é",
        "crc32",
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "Thu, 29 Feb 2024 12:30:15 GMT",
        "20240229T123015Z",
        "AWS4-HMAC-SHA256 Credential=k/20240229/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=" + "a" * 64,
        "AWS4-HMAC-SHA256 Credential=k/20240229/us-east-1/sagemaker/aws4_request, SignedHeaders=é, Signature=é",
        "AWS k:v",
        "SageMaker.ListModels",
        "application/x-www-form-urlencoded",
    ]
) | st.text(max_size=12)
BODIES = st.sampled_from(
    [
        b"",
        b"hello",
        b"5\r\nhello\r\n0\r\n\r\n",
        b"5;chunk-signature=00\r\nhello\r\n0;chunk-signature=00\r\n\r\n",
        b"fffffffffffff\r\n",
        b"<Delete><Object><Key>k</Key></Object></Delete>",
        b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>",
        b"<a",
        b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
        b"Action=GetRole&Version=2010-05-08&RoleName=r",
    ]
) | st.binary(max_size=40)


class OneKey:
    """A keyring of one."""

    required = True

    def secret(self, key_id: str) -> str | None:
        return "secret" if key_id == "k" else None

    def look_again(self) -> bool:
        return False


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    folders = Folders(tmp_path_factory.mktemp("doors"))
    folders.make_bucket("bucket")
    locked = Gate(OneKey(), lambda: 1_709_209_815.0)
    apps: list[App] = [
        make_app(lambda call: {}, lambda: {"status": "ok"}, buckets=Door(folders, gate, "0" * 12), gate=gate)
        for gate in (open_gate(), locked)
    ]
    return [*apps, Door(folders, open_gate(), "0" * 12)]


async def ask(app: Any, scope: dict[str, Any], body: bytes) -> int:
    sent: list[dict[str, Any]] = []
    pieces = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> dict[str, Any]:
        return next(pieces, {"type": "http.disconnect"})

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return int(sent[0]["status"]) if sent else 0


@many
@given(
    method=st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD", "OPTIONS"]),
    names=st.lists(st.sampled_from(NAMES), max_size=3),
    query=st.dictionaries(st.sampled_from(QUERIES) | st.text(max_size=5), VALUES, max_size=3),
    headers=st.dictionaries(st.sampled_from(HEADERS), VALUES, max_size=5),
    body=BODIES,
    door=st.sampled_from([0, 1, 2, 2, 2]),
)
def test_anything_is_answered(
    doors: list[Any],
    method: str,
    names: list[str],
    query: dict[str, str],
    headers: dict[str, str],
    body: bytes,
    door: int,
) -> None:
    path = "/" + "/".join(names)
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": "&".join(f"{name}={value}" for name, value in query.items()).encode(),
        "headers": [
            (b"host", b"127.0.0.1:8600"),
            *((name.encode(), value.encode("utf-8", "replace")) for name, value in headers.items()),
        ],
    }
    status = asyncio.run(ask(doors[door], scope, body))
    assert status < 500 or status == 501  # 501: an operation of S3 that is not there; 0: nobody is left to answer
