"""The known-truth server does what it says and records what it did."""

import http.client
import itertools
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from urllib.parse import urlsplit

import psutil

from modeldyno.testing.truth_server import Service, read_record, true_per_second


@contextmanager
def running(*arguments):
    command = [sys.executable, "-m", "modeldyno.testing.truth_server", *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield server, server.stdout.readline().split()[1]
        finally:
            server.terminate()


def ask(url, method="POST", path="/invocations"):
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    connection.request(method, path, body=b"{}" if method == "POST" else None)
    status = connection.getresponse().status
    connection.close()
    return status


def test_so_many_workers_serve_one_queue_in_order_of_arrival(tmp_path):
    with (
        running("--workers", 2, "--service-ms", 30, "--record", tmp_path / "r") as (_, url),
        ThreadPoolExecutor(6) as pool,
    ):
        assert list(pool.map(ask, [url] * 6)) == [200] * 6
    services = sorted(read_record(tmp_path / "r"), key=lambda service: service.started_ns)
    assert [service.arrived_ns for service in services] == sorted(service.arrived_ns for service in services)
    assert all(service.started_ns >= service.arrived_ns for service in services)
    for earlier, later in itertools.pairwise(services[i] for i in (0, 2, 4)):
        assert later.started_ns >= earlier.ended_ns


def test_a_cpu_bound_server_records_the_cpu_time_it_burnt(tmp_path):
    arguments = ("--distribution", "cpu", "--workers", 2, "--service-ms", 10, "--record", tmp_path)
    with running(*arguments) as (server, url):
        assert [ask(url) for _ in range(3)] == [200] * 3
        workers = psutil.Process(server.pid).children()
        assert len(workers) == 2
    (record,) = tmp_path.iterdir()
    for service in read_record(record):
        assert 10_000_000 <= service.cpu_ns < 12_000_000
        assert service.ended_ns - service.started_ns >= 10_000_000
    assert server.returncode == 0
    assert not any(worker.is_running() for worker in workers)


def test_exponential_service_times_are_drawn_with_the_seed(tmp_path):
    arguments = ("--distribution", "exponential", "--seed", 7, "--service-ms", 10, "--record", tmp_path / "r")
    with running(*arguments) as (_, url):
        for _ in range(20):
            ask(url)
    drawn = random.Random(7)
    for service in read_record(tmp_path / "r"):
        # The loop's timers have a resolution of 1 ms; that a busy machine sleeps longer is why times are recorded.
        assert (service.ended_ns - service.started_ns) / 1e9 > drawn.expovariate(1 / 0.010) - 0.002


def test_it_fails_as_often_as_it_is_told(tmp_path):
    with running("--fail-share", 1, "--service-ms", 1, "--record", tmp_path / "r") as (_, url):
        assert ask(url) == 500
    assert [service.status for service in read_record(tmp_path / "r")] == [500]


def test_ping_says_no_until_it_has_started_up():
    with running("--startup-seconds", 3600) as (_, url):
        assert ask(url, "GET", "/ping") == 503
    with running() as (_, url):
        assert ask(url, "GET", "/ping") == 200
        assert ask(url, "GET", "/invocations") == 404


def test_it_is_slower_while_warming_up_and_beyond_its_cliff(tmp_path):
    with running("--warm-up-seconds", 3600, "--service-ms", 5, "--record", tmp_path / "warm") as (_, url):
        ask(url)
    with (
        running("--cliff", 1, "--workers", 4, "--service-ms", 20, "--record", tmp_path / "cliff") as (_, url),
        ThreadPoolExecutor(4) as pool,
    ):
        list(pool.map(ask, [url] * 4))
    (warm,) = read_record(tmp_path / "warm")
    assert warm.ended_ns - warm.started_ns >= 14_000_000
    cliff = [service.ended_ns - service.started_ns for service in read_record(tmp_path / "cliff")]
    assert max(cliff) >= 59_000_000


def test_what_it_can_do_is_its_workers_over_its_mean_service_time():
    services = [Service(0, 0, 20_000_000, 0, 200, 20_000_000), Service(0, 5, 30_000_005, 0, 200, 30_000_005)]
    assert true_per_second(services, workers=2) == 80


def test_a_record_that_was_cut_short_is_read_as_far_as_it_goes(tmp_path):
    with running("--service-ms", 1, "--record", tmp_path / "r") as (_, url):
        ask(url)
        ask(url)
    whole = (tmp_path / "r").read_bytes()
    (tmp_path / "r").write_bytes(whole[:-5])
    assert len(read_record(tmp_path / "r")) == 1
