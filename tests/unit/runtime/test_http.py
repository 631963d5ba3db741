"""HTTP as clients speak it."""

import socket


def test_ping_is_200_and_empty(moody):
    answer = moody.request("GET", "/ping")
    assert (answer.status, answer.body) == (200, b"")


def test_other_paths_and_methods_are_refused(moody):
    assert moody.request("GET", "/").status == 404
    assert moody.request("GET", "/invocations").status == 405
    assert moody.request("POST", "/ping").status == 405
    assert moody.request("GET", "/execution-parameters").status == 404


def test_one_connection_serves_many_requests(moody):
    connection = moody.connect()
    connection.connect()
    local = connection.sock.getsockname()
    for length in (0, 1, 100_000, 5):
        connection.request("POST", "/invocations", b"x" * length, {"Content-Type": "image/png"})
        assert connection.getresponse().read() == str(length).encode()
        assert connection.sock.getsockname() == local
    connection.close()


def test_a_body_in_chunks_is_put_together(moody):
    connection = moody.connect()
    chunks = (b"a" * 70_000 for _ in range(5))
    connection.request("POST", "/invocations", chunks, {"Content-Type": "image/png"}, encode_chunked=True)
    assert connection.getresponse().read() == b"350000"
    connection.close()


def test_a_body_of_6_mb_passes_and_one_over_the_limit_is_413(moody):
    assert moody.invoke(b"x" * 6_291_456, "image/png").text == "6291456"
    assert moody.invoke(b"x" * (7 * 1024**2 + 1), "image/png").status == 413


def test_a_client_that_waits_to_be_asked_is_asked(moody):
    with socket.create_connection(("127.0.0.1", moody.port), timeout=10) as client:
        client.sendall(
            b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 3\r\n"
            b"Expect: 100-continue\r\n\r\n"
        )
        assert client.recv(100).startswith(b"HTTP/1.1 100")
        client.sendall(b"abc")
        assert b"HTTP/1.1 200" in client.recv(1000)


def test_half_a_request_of_a_client_that_went_away_does_not_reach_the_model(serve):
    server = serve("def model_fn(d): return 1\ndef transform_fn(m, d, c, a): print('got', d); return ''").wait_ready()
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhal")
    server.invoke(b"whole")
    assert server.log.splitlines() == ["got whole"]


def test_garbage_is_400_and_the_server_stays_up(moody):
    with socket.create_connection(("127.0.0.1", moody.port), timeout=10) as client:
        client.sendall(b"\x00\xff\r\n\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 400")
    assert moody.ping() == 200
