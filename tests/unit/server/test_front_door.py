"""The front door on a real socket, spoken to by botocore, http.client and raw bytes."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading

import botocore.config
import botocore.exceptions
import botocore.session
import pytest

from tests.unit.server.front import front


@pytest.fixture(scope="module")
def boto(door):
    client = botocore.session.Session().create_client(
        "sagemaker",
        region_name="eu-west-1",
        endpoint_url=f"http://127.0.0.1:{door.port}",
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=botocore.config.Config(retries={"total_max_attempts": 1}),
    )
    yield client
    client.close()


def refused(boto, **params):
    with pytest.raises(botocore.exceptions.ClientError) as error:
        boto.describe_model(**params)
    return error.value.response


def test_botocore_gets_its_answer_and_the_call_its_region(door, boto):
    answer = boto.describe_model(ModelName="m")
    assert answer["CreationTime"].timestamp() == 1700000000.5
    assert len(answer["ResponseMetadata"]["RequestId"]) == 36
    assert answer["ResponseMetadata"]["HTTPHeaders"]["content-type"] == "application/x-amz-json-1.1"
    assert door.calls[-1] == ("eu-west-1", "DescribeModel", {"ModelName": "m"})
    assert boto.delete_model(ModelName="m")["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_botocore_raises_the_error_that_was_meant(boto):
    missing = refused(boto, ModelName="missing")
    assert missing["Error"] == {"Code": "ResourceNotFound", "Message": "No model missing."}
    assert missing["ResponseMetadata"]["HTTPStatusCode"] == 400
    with pytest.raises(boto.exceptions.ResourceLimitExceeded, match="Too many"):
        boto.describe_model(ModelName="quota")
    invalid = refused(boto, ModelName="-")
    assert invalid["Error"]["Code"] == "ValidationException"
    assert invalid["Error"]["Message"].startswith("1 validation error detected: Value '-' at 'modelName' failed")


@pytest.mark.parametrize("name", ["broken", "wrong"])
def test_a_mistake_inside_is_a_500_that_tells_nothing_but_an_id(boto, name, caplog):
    answer = refused(boto, ModelName=name)
    assert answer["Error"]["Code"] == "InternalFailure"
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 500
    assert "secret" not in answer["Error"]["Message"]
    assert answer["ResponseMetadata"]["RequestId"] in answer["Error"]["Message"]
    assert answer["ResponseMetadata"]["RequestId"] in caplog.text


def test_health_is_200_and_json(door):
    response, body = door.request("GET", "/health")
    assert (response.status, json.loads(body)) == (200, {"status": "ok"})
    response, body = door.request("HEAD", "/health")
    assert (response.status, body) == (200, b"")


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:1", "127.0.0.2:8600", "localhost", "LOCALHOST:8600", "[::1]", "[::1]:8600"]
)
def test_the_names_of_this_machine_are_served_at_any_port(door, host):
    assert door.request("GET", "/health", headers={"Host": host})[0].status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "127.0.0.evil:8600",
        "localhost.evil.example:8600",
        "10.0.0.1",
        "localhost:8600@evil",
        "",
        "::1",
    ],
)
@pytest.mark.parametrize(("method", "path"), [("GET", "/health"), ("POST", "/"), ("GET", "/elsewhere")])
def test_a_foreign_host_header_is_refused_everywhere(door, host, method, path):
    before = len(door.calls)
    response, body = door.request(method, path, b"{}", {"Host": host, "X-Amz-Target": "SageMaker.ListModels"})
    assert response.status == 403
    assert "this machine only" in json.loads(body)["message"]
    assert len(door.calls) == before


def test_two_host_headers_or_none_are_refused(door):
    for lines in (b"Host: localhost\r\nHost: evil.example\r\n", b""):
        assert door.raw(b"GET /health HTTP/1.1\r\n" + lines + b"Connection: close\r\n\r\n").startswith(b"HTTP/1.1 403")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 405),
        ("PUT", "/", 405),
        ("OPTIONS", "/", 405),
        ("POST", "/health", 405),
        ("GET", "/favicon.ico", 404),
        ("POST", "/endpoints/e/invocations", 404),
        ("GET", "//", 404),
        ("GET", "/%ff%00/..", 404),
    ],
)
def test_other_routes_are_told_what_exists(door, method, path, status):
    response, body = door.request(method, path, b"x" if method in ("PUT", "POST") else None)
    assert response.status == status
    message = json.loads(body)["message"]
    for route in ("POST / (the control plane", "POST /endpoints/NAME/invocations", "GET /metrics", "GET /health"):
        assert route in message
    assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x00\xff\xfe",
        b"null",
        b"[]",
        b'{"ModelName": 1}',
        b'{"ModelName": "\xff"}',
        b"[" * 1_000_000,
        b'{"a":' * 5000,
    ],
)
def test_bad_bodies_are_serialization_exceptions(door, body):
    response, answer = door.call("DescribeModel", body)
    assert response.status == 400
    assert response.headers["x-amzn-ErrorType"] == json.loads(answer)["__type"] == "SerializationException"


def test_deep_nesting_is_refused_wherever_it_is(door):
    inner = b'{"SubExpressions":[' * 200 + b"]}" * 200
    for body in (b'{"Unknown":' + b"[" * 300 + b"]" * 300 + b"}", b'{"SearchExpression":' + inner + b"}"):
        response, answer = door.call("Search", body)
        assert (response.status, json.loads(answer)["__type"]) == (400, "ValidationException")


@pytest.mark.parametrize("target", ["SageMaker.Nonsense", "DynamoDB_20120810.GetItem", None])
def test_an_unknown_operation_is_refused_by_name(door, target):
    response, answer = door.request("POST", "/", b"{}", {"X-Amz-Target": target} if target else {})
    fault = json.loads(answer)
    assert (response.status, fault["__type"]) == (400, "UnknownOperationException")
    assert (target or "no X-Amz-Target header") in fault["message"]


def test_ten_megabytes_of_json_are_refused_clearly_and_the_connection_lives_on(door):
    body = json.dumps({"ModelName": "m" * 10_000_000}).encode()
    connection = http.client.HTTPConnection("127.0.0.1", door.port, timeout=20)
    with contextlib.closing(connection):
        connection.request("POST", "/", body, {"X-Amz-Target": "SageMaker.DescribeModel"})
        response = connection.getresponse()
        fault = json.loads(response.read())
        assert (response.status, fault["__type"]) == (413, "RequestEntityTooLargeException")
        assert "8388608 bytes" in fault["message"]
        connection.request("GET", "/health")
        assert connection.getresponse().status == 200


def test_botocore_gets_the_clear_error_for_ten_megabytes(boto):
    answer = refused(boto, ModelName="m" * 10_000_000)
    assert answer["Error"]["Code"] == "RequestEntityTooLargeException"


def test_a_chunked_body_is_cut_off_at_the_limit_before_its_end(door):
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
    assert door.raw(head + chunk * 9, read_all=False).startswith(b"HTTP/1.1 413")


def test_a_body_just_under_the_limit_is_read_and_validated(door):
    response, answer = door.call("DescribeModel", json.dumps({"ModelName": "m" * 8_000_000}).encode())
    fault = json.loads(answer)
    assert (response.status, fault["__type"]) == (400, "ValidationException")
    assert "Member must have length less than or equal to 63" in fault["message"]
    assert len(answer) < 2000


@pytest.mark.parametrize(
    "data", [b"\x16\x03\x01garbage\r\n\r\n", b"GET / HTTP/9\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n"]
)
def test_garbage_instead_of_http_is_a_400_and_the_service_is_up(door, data):
    assert door.raw(data).startswith(b"HTTP/1.1 400")
    assert door.request("GET", "/health")[0].status == 200


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"GET /", b"a" * 4096),
        (b"GET /health HTTP/1.1\r\nX-Long: ", b"a" * 4096),
        (b"GET /health HTTP/1.1\r\n", b"X: y\r\n" * 512),
        (b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ", b"a" * 4096),
    ],
    ids=["line", "header", "headers", "trailer"],
)
def test_a_head_without_end_is_not_taken_in(door, head, piece):
    with socket.create_connection(("127.0.0.1", door.port), timeout=20) as connection:
        connection.sendall(head)
        with contextlib.suppress(ConnectionError):
            for _ in range(4096):
                connection.sendall(piece)
            raise AssertionError("16 MiB of a head were taken in")
    assert door.request("GET", "/health")[0].status == 200


def test_a_body_of_any_size_is_no_head(door):
    body = json.dumps({"ModelName": "x" * 4_000_000}).encode()
    chunks = b"".join(b"1000\r\n%b\r\n" % body[i : i + 4096] for i in range(0, len(body) - 4096, 4096))
    head = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Amz-Target: SageMaker.DescribeModel\r\nConnection: close\r\n"
    answer = door.raw(head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")


def test_clients_that_go_away_disturb_nobody(door, caplog):
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nX-Amz-Target: SageMaker.ListModels\r\nContent-Length: 100\r\n\r\n{"
    for data in (b"", b"POST", head):
        with socket.create_connection(("127.0.0.1", door.port)) as connection:
            connection.sendall(data)
    assert door.request("GET", "/health")[0].status == 200
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_a_body_that_trickles_is_given_up():
    with front(body_seconds=0.05) as door:
        head = (
            b"POST / HTTP/1.1\r\nHost: localhost\r\nX-Amz-Target: SageMaker.ListModels\r\nContent-Length: 100\r\n\r\n{"
        )
        assert door.raw(head).startswith(b"HTTP/1.1 408")


def test_a_slow_call_holds_up_nobody_else_and_a_stop_lets_it_end():
    with front(threads=2) as door:
        answers = []
        caller = threading.Thread(target=lambda: answers.append(door.call("DescribeModel", b'{"ModelName": "slow"}')))
        caller.start()
        assert door.blocked.wait(10)
        assert door.call("DescribeModel", b'{"ModelName": "m"}')[0].status == 200
        door.loop.call_soon_threadsafe(door.stop.set)
        door.release.set()
        caller.join(10)
        assert answers[0][0].status == 200


def test_a_stop_ends_it_whatever_its_clients_do():
    with front() as door, contextlib.ExitStack() as held:
        for data in (b"", b"GET /hea", b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n"):
            connection = held.enter_context(socket.create_connection(("127.0.0.1", door.port)))
            connection.sendall(data)
        assert door.request("GET", "/health")[0].status == 200
        door.end()
        assert not door.thread.is_alive()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", door.port))
