"""Workers: how many, one request at a time in each, and what happens when one of them ends."""

import os
import signal
import socket
import threading
from collections import Counter

SLOW = """
import os, time

def model_fn(model_dir):
    return model_dir

def transform_fn(model, data, content_type, accept):
    if data == "die":
        os._exit(9)
    if data == "hang":
        time.sleep(60)
    if data == "hold":
        started = os.path.join(model, "started")
        with open(started, "a") as file:
            file.write("x")
        while not os.path.exists(os.path.join(model, "go")):
            time.sleep(0.005)
    return str(os.getpid())
"""


def _together(server, bodies):
    answers = [None] * len(bodies)

    def call(index, body):
        answers[index] = server.invoke(body)

    threads = [threading.Thread(target=call, args=item) for item in enumerate(bodies)]
    for thread in threads:
        thread.start()
    return threads, answers


def test_each_worker_has_one_request_at_a_time_and_ping_answers_beside(serve, tmp_path):
    server = serve(SLOW, SAGEMAKER_MODEL_SERVER_WORKERS="2").wait_ready()
    threads, answers = _together(server, [b"hold"] * 5)
    started = tmp_path / "model" / "started"
    server.wait_until(lambda: started.exists() and len(started.read_text()) == 2)
    assert server.ping() == 200
    assert len(started.read_text()) == 2
    (tmp_path / "model" / "go").touch()
    for thread in threads:
        thread.join()
    assert len(Counter(answer.text for answer in answers)) == 2


def test_without_a_setting_there_is_a_worker_for_each_core_it_may_use(serve):
    server = serve(SLOW, SAGEMAKER_MODEL_SERVER_WORKERS="").wait_ready()
    threads, answers = _together(server, [b""] * 40)
    for thread in threads:
        thread.join()
    assert len({answer.text for answer in answers}) == len(os.sched_getaffinity(0))


def test_a_worker_that_ends_in_a_request_is_answered_for_and_replaced(serve):
    server = serve(SLOW).wait_ready()
    first = server.invoke().text
    answer = server.invoke(b"die")
    assert answer.status == 500
    assert "exited with status 9 while it had the request" in answer.text
    second = server.invoke()
    assert (second.status, second.text != first) == (200, True)


def test_a_worker_that_ends_again_and_again_ends_the_server(serve):
    server = serve(SLOW).wait_ready()
    assert [server.invoke(b"die").status for _ in range(4)] == [500] * 4
    server.invoke(b"die")
    assert server.process.wait(30) == 1
    assert "ended 5 times in a row without an answer; the last exited with status 9" in server.log


def test_an_answer_between_forgets_the_deaths_before(serve):
    server = serve(SLOW).wait_ready()
    for _ in range(7):
        assert server.invoke(b"die").status == 500
        assert server.invoke().status == 200


def test_a_request_that_takes_too_long_is_504_and_its_worker_is_replaced(serve):
    server = serve(SLOW, SAGEMAKER_MODEL_SERVER_TIMEOUT="0.3").wait_ready()
    answer = server.invoke(b"hang")
    assert answer.status == 504
    assert "did not answer within 0.3 s" in answer.text
    assert server.invoke().status == 200


def test_while_the_only_worker_is_loaded_anew_ping_says_503(serve, tmp_path):
    server = serve(
        SLOW + "def model_fn(d):\n"
        "    if os.path.exists(d + '/loaded'):\n"
        "        while not os.path.exists(d + '/go'): time.sleep(0.01)\n"
        "    open(d + '/loaded', 'w').close()\n"
        "    return d\n"
    ).wait_ready()
    server.invoke(b"die")
    server.wait_until(lambda: server.ping() == 503)
    (tmp_path / "model" / "go").touch()
    server.wait_ready()


def test_told_to_end_it_ends_with_status_0_and_takes_its_workers_along(serve, tmp_path):
    server = serve(SLOW, SAGEMAKER_MODEL_SERVER_WORKERS="2").wait_ready()
    worker = int(server.invoke().text)
    threads, answers = _together(server, [b"hold", b"hold", b"hold"])
    started = tmp_path / "model" / "started"
    server.wait_until(lambda: started.exists() and len(started.read_text()) == 2)
    idle = server.connect()
    idle.connect()
    os.kill(server.process.pid, signal.SIGTERM)
    assert server.process.wait(2) == 0
    idle.close()
    for thread in threads:
        thread.join()
    assert {answer.status for answer in answers} == {503}
    assert not os.path.exists(f"/proc/{worker}")


def test_a_busy_port_is_one_clear_line(serve):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = serve(SLOW, SAGEMAKER_BIND_TO_PORT=str(port))
        assert server.process.wait(30) == 2
    assert server.log == f"Port {port} cannot be used: Address already in use.\n"
