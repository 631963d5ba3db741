"""With keys, whoever signs with one is let in, at every door; nobody else is."""

from __future__ import annotations

import base64
import contextlib
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import botocore.session
import pytest
from botocore import UNSIGNED
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from modeldyno.domain.key import AccessKey
from modeldyno.settings import Settings
from tests.conformance.conftest import Front, running

GOOD = AccessKey("DYNO0000000000000001", "secret/of+the=key", 0.0)
OLD = AccessKey("DYNO0000000000000002", "another", 0.0, revoked_at=1.0)
SERVICES = {
    "sagemaker": lambda client: client.list_models(),
    "sts": lambda client: client.get_caller_identity(),
    "iam": lambda client: client.get_role(RoleName="r"),
    "logs": lambda client: client.describe_log_groups(),
    "s3": lambda client: client.list_buckets(),
}


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    with running(Settings(data_dir=str(tmp_path_factory.mktemp("locked"))), GOOD, OLD) as front:
        yield front


@pytest.fixture(scope="module")
def client(locked: Front) -> Iterator[Callable[..., Any]]:
    session = botocore.session.get_session()
    opened = []

    def connect(service: str, key: AccessKey = GOOD, secret: str | None = None, **config: Any) -> Any:
        made = session.create_client(
            service,
            region_name="eu-west-1",
            endpoint_url=locked.url,
            aws_access_key_id=key.id,
            aws_secret_access_key=secret or key.secret,
            config=Config(retries={"total_max_attempts": 1}, **config),
        )
        opened.append(made)
        return made

    yield connect
    for made in opened:
        made.close()


def code_of(call: Callable[[], object]) -> str:
    with pytest.raises(ClientError) as refused:
        call()
    return str(refused.value.response["Error"]["Code"])


@pytest.mark.parametrize("service", SERVICES)
def test_a_key_opens_every_door(client: Callable[..., Any], service: str) -> None:
    assert SERVICES[service](client(service))["ResponseMetadata"]["HTTPStatusCode"] == 200


# Source of the codes: what AWS answers, by protocol.
@pytest.mark.parametrize(
    ("service", "wrong_secret", "unknown"),
    [
        ("sagemaker", "InvalidSignatureException", "UnrecognizedClientException"),
        ("logs", "InvalidSignatureException", "UnrecognizedClientException"),
        ("sts", "SignatureDoesNotMatch", "InvalidClientTokenId"),
        ("iam", "SignatureDoesNotMatch", "InvalidClientTokenId"),
        ("s3", "SignatureDoesNotMatch", "InvalidAccessKeyId"),
    ],
)
def test_other_keys_are_refused_with_the_services_codes(
    client: Callable[..., Any], service: str, wrong_secret: str, unknown: str
) -> None:
    call = SERVICES[service]
    assert code_of(lambda: call(client(service, GOOD, "other"))) == wrong_secret
    assert code_of(lambda: call(client(service, AccessKey("DYNO9", "s", 0.0)))) == unknown
    assert code_of(lambda: call(client(service, OLD))) == unknown


@pytest.mark.parametrize("operation", ["invoke_endpoint", "invoke_endpoint_with_response_stream"])
def test_endpoints_are_invoked_with_a_key_only(client: Callable[..., Any], operation: str) -> None:
    def invoke(key: AccessKey, secret: str | None = None) -> str:
        runtime = client("sagemaker-runtime", key, secret)
        return code_of(lambda: getattr(runtime, operation)(EndpointName="none", Body=b"1,2", ContentType="text/csv"))

    assert invoke(GOOD) == "ValidationError"  # let in: there is no such endpoint
    assert invoke(GOOD, "other") == "InvalidSignatureException"
    assert invoke(OLD) == "UnrecognizedClientException"


def test_metrics_are_read_with_a_key_as_name_and_password(locked: Front) -> None:
    def status(name: str, password: str) -> int:
        word = base64.b64encode(f"{name}:{password}".encode()).decode()
        try:
            with urllib.request.urlopen(
                urllib.request.Request(f"{locked.url}/metrics", headers={"Authorization": f"Basic {word}"})
            ) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code

    assert status(GOOD.id, GOOD.secret) == 200
    assert status(GOOD.id, "other") == 401
    assert status(OLD.id, OLD.secret) == 401


def test_a_request_without_a_signature_is_refused_and_health_is_not(locked: Front) -> None:
    request = urllib.request.Request(locked.url, b"{}", {"X-Amz-Target": "SageMaker.ListModels"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    with refused.value as answer:
        assert answer.headers["x-amzn-ErrorType"] == "MissingAuthenticationTokenException"
    with urllib.request.urlopen(f"{locked.url}/health") as answer:
        assert answer.status == 200


def test_a_body_that_was_changed_is_refused(locked: Front, client: Callable[..., Any]) -> None:
    sagemaker = client("sagemaker")

    def change(request: Any, **_: Any) -> None:
        request.body = request.body.replace(b"first", b"other")

    sagemaker.meta.events.register_last("before-send.sagemaker.DescribeModel", change)
    call = sagemaker.describe_model
    assert code_of(lambda: call(ModelName="first")) == "InvalidSignatureException"
    assert code_of(lambda: call(ModelName="f1rst")) == "ValidationException"


def test_a_presigned_url_is_good_for_its_object(locked: Front, client: Callable[..., Any], tmp_path: Path) -> None:
    s3 = client("s3", signature_version="s3v4")
    s3.create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_object(Bucket="bucket", Key="k", Body=b"bytes")
    (tmp_path / "large").write_bytes(b"y" * 9 * 1024**2)
    with (tmp_path / "large").open("rb") as file:
        s3.put_object(Bucket="bucket", Key="large", Body=file)
    url = s3.generate_presigned_url("get_object", {"Bucket": "bucket", "Key": "k"}, ExpiresIn=60)
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == b"bytes"
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(url.replace("/k?", "/large?"))
    with refused.value as answer:
        assert b"SignatureDoesNotMatch" in answer.read()


def test_a_url_of_the_old_kind_of_signature_is_refused_with_what_to_do(
    locked: Front, client: Callable[..., Any]
) -> None:
    old = client("s3", signature_version="s3")
    url = old.generate_presigned_url("get_object", {"Bucket": "bucket", "Key": "k"}, ExpiresIn=60)
    assert "AWSAccessKeyId=" in url
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(url)
    with refused.value as answer:
        assert b"Please use AWS4-HMAC-SHA256" in answer.read()
    with pytest.raises(ClientError, match="Please use AWS4-HMAC-SHA256"):
        old.list_buckets()


@pytest.mark.parametrize(
    ("operation", "params"),
    [
        ("get_object", {"Bucket": "bucket", "Key": "k"}),
        ("put_object", {"Bucket": "bucket", "Key": "k", "Body": b"x"}),
        ("list_objects_v2", {"Bucket": "bucket"}),
        ("delete_objects", {"Bucket": "bucket", "Delete": {"Objects": [{"Key": "k"}]}}),
    ],
)
def test_objects_are_refused_without_a_signature_in_their_own_words(
    client: Callable[..., Any], operation: str, params: dict[str, Any]
) -> None:
    nobody = client("s3", signature_version=UNSIGNED)
    assert code_of(lambda: getattr(nobody, operation)(**params)) == "AccessDenied"


def test_a_wrong_path_is_told_what_exists(locked: Front) -> None:
    request = AWSRequest("POST", f"{locked.url}/sagemaker", data=b"{}")
    SigV4Auth(Credentials(GOOD.id, GOOD.secret), "sagemaker", "eu-west-1").add_auth(request)
    with pytest.raises(urllib.error.HTTPError, match="404") as refused:
        urllib.request.urlopen(urllib.request.Request(request.url, request.data, dict(request.headers)))
    with refused.value as answer:
        assert b"Nothing is at /sagemaker" in answer.read()


@pytest.mark.parametrize(
    ("said", "status"),
    [("abc", b"400"), ("", b"400"), ("unsigned-payload", b"400"), ("0" * 63, b"400"), ("STREAMING-OTHER", b"501")],
)
def test_a_digest_of_the_body_that_is_none_is_refused(locked: Front, said: str, status: bytes) -> None:
    url = f"{locked.url}/digests/k"
    request = AWSRequest("PUT", url, data=b"bytes", headers={"X-Amz-Content-Sha256": said})
    signer = S3SigV4Auth(Credentials(GOOD.id, GOOD.secret), "s3", "eu-west-1")
    signer.payload = lambda _: said  # type: ignore[method-assign]
    signer.add_auth(request)
    host, port = urlsplit(locked.url).netloc.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        lines = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
        head = f"PUT /digests/k HTTP/1.1\r\nHost: {host}:{port}\r\n{lines}Content-Length: 5\r\n\r\n"
        connection.sendall(head.encode() + b"bytes")
        assert connection.recv(100).split()[1] == status


def test_a_stranger_who_waits_to_be_asked_for_a_body_and_sends_none_is_refused(
    locked: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modeldyno.buckets.door._TAKE_IN_SECONDS", 0.2)
    host, port = urlsplit(locked.url).netloc.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(b"PUT /b/k HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n")
        whole = b"".join(iter(lambda: connection.recv(65536), b""))  # until it is closed
    assert whole.startswith(b"HTTP/1.1 100 ")
    assert b"HTTP/1.1 403 " in whole


def test_a_key_is_good_soon_after_it_was_made_and_no_longer_soon_after_it_was_revoked(
    locked: Front, client: Callable[..., Any]
) -> None:
    new = AccessKey("DYNO0000000000000003", "new", 0.0)
    locked.dyno.store.add_key(new)
    call = client("sagemaker", new).list_models

    def is_good() -> bool:
        with contextlib.suppress(ClientError):
            call()
            return True
        return False

    assert becomes(is_good, True)
    locked.dyno.store.revoke_key(new.id, 1.0)
    assert becomes(is_good, False)
    assert code_of(call) == "UnrecognizedClientException"


def becomes(what: Callable[[], bool], wanted: bool) -> bool:
    for _ in range(100):
        if what() is wanted:
            return True
        time.sleep(0.1)
    return False


@pytest.mark.parametrize("path", ["/", "/endpoints/e/invocations", "/service/S/operation/O"])
@pytest.mark.parametrize("length", [b"Content-Length: 5000000", b"Transfer-Encoding: chunked"])
def test_no_large_body_is_taken_from_a_stranger(locked: Front, path: str, length: bytes) -> None:
    host, port = urlsplit(locked.url).netloc.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        head = b"POST %b HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Amz-Target: SageMaker.ListModels\r\n%b\r\n\r\n"
        connection.sendall(head % (path.encode(), length))  # and nothing of the body
        assert connection.recv(100).split()[1] in (b"400", b"403")


def test_a_large_body_is_taken_from_whoever_has_a_key(client: Callable[..., Any]) -> None:
    with pytest.raises(ClientError, match="validation error"):
        client("sagemaker").describe_model(ModelName="m" * 200_000)
    with pytest.raises(ClientError, match="not found"):
        client("sagemaker-runtime").invoke_endpoint(EndpointName="e", Body=b"x" * 200_000)
