"""The generator is a process of its own: pinned, counted rightly, and gone when it should be."""

import asyncio
import itertools
import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import psutil
import pytest

from modeldyno.domain.errors import InputFault, ServiceError
from modeldyno.load.process import ProcessGenerator
from modeldyno.testing.truth_server import read_record, true_per_second, within


@contextmanager
def truth_server(record, *arguments):
    command = [sys.executable, "-m", "modeldyno.testing.truth_server", "--record", str(record), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield server.stdout.readline().split()[1]
        finally:
            server.terminate()


async def take(session, count):
    """So many windows, without idle ones before the first users."""
    windows = []
    async for window in session.windows():
        if windows or window.users:
            windows.append(window)
        if len(windows) == count:
            return windows
    raise AssertionError("the windows ended")


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


async def test_what_a_server_can_do_is_measured_within_5_percent(tmp_path, target):
    record = tmp_path / "record"
    with truth_server(record, "--workers", "2", "--service-ms", "20") as url:
        async with ProcessGenerator().drive(target(url)) as session:
            await session.set_users(8)
            windows = (await take(session, 4))[1:]
    measured = sum(window.succeeded for window in windows) / sum(window.duration_seconds for window in windows)
    ended_at = windows[-1].started_at + windows[-1].duration_seconds
    services = within(read_record(record), windows[0].started_at, ended_at)
    assert measured == pytest.approx(true_per_second(services, workers=2), rel=0.05)


async def test_every_answered_invocation_is_counted_once(tmp_path, target):
    record = tmp_path / "record"
    with truth_server(record, "--workers", "4", "--service-ms", "3", "--fail-share", "0.2") as url:
        async with ProcessGenerator(window_seconds=0.2).drive(target(url)) as session:
            await session.set_users(6)
            windows = await take(session, 3)
            await session.set_users(2, redraw=True)
            windows += await take(session, 2)
            await session.set_users(0)
            async for window in session.windows():
                windows.append(window)
                if window.users == window.bytes_received == 0:
                    break
    services = read_record(record)
    assert sum(window.succeeded for window in windows) == sum(service.status == 200 for service in services)
    assert sum(window.failed.get("http_500", 0) for window in windows) == sum(s.status == 500 for s in services)
    assert {kind for window in windows for kind in window.failed} == {"http_500"}


async def test_connections_are_opened_at_every_server_in_turn(tmp_path, target):
    one, other = tmp_path / "one", tmp_path / "other"
    with truth_server(one, "--service-ms", "10") as first, truth_server(other, "--service-ms", "10") as second:
        async with ProcessGenerator(window_seconds=0.2).drive(target(first, also=(second,))) as session:
            await session.set_users(4)
            await take(session, 5)
    counts = [len(read_record(record)) for record in (one, other)]
    assert min(counts) > 0.8 * max(counts) > 20


async def test_a_reported_latency_is_the_time_the_server_took(tmp_path, target):
    record = tmp_path / "record"
    with truth_server(record, "--workers", "1", "--service-ms", "100") as url:
        async with ProcessGenerator(window_seconds=0.5).drive(target(url)) as session:
            await session.set_users(1)
            (window,) = await take(session, 1)
    times = sorted(service.ended_ns - service.arrived_ns for service in read_record(record))
    assert window.latency.quantile_ns(0.5) > times[0]
    assert window.latency.quantile_ns(0.5) == pytest.approx(times[len(times) // 2], rel=0.1)


async def test_a_generator_that_was_held_up_tells_how_long_its_window_really_was(tmp_path, target):
    with truth_server(tmp_path / "record", "--service-ms", "5") as url:
        async with ProcessGenerator(window_seconds=0.1).drive(target(url)) as session:
            await session.set_users(1)
            await take(session, 1)
            os.kill(session.process_id, signal.SIGSTOP)
            await asyncio.sleep(0.5)
            os.kill(session.process_id, signal.SIGCONT)
            windows = await take(session, 3)
    assert max(window.duration_seconds for window in windows) > 0.4
    for earlier, later in itertools.pairwise(windows):
        assert earlier.started_at + earlier.duration_seconds == pytest.approx(later.started_at, abs=1e-5)


async def test_the_generator_runs_on_the_cores_it_was_given(target):
    core = max(os.sched_getaffinity(0))
    async with ProcessGenerator().drive(target("http://127.0.0.1:9", cores=(core,))) as session:
        assert os.sched_getaffinity(session.process_id) == {core}


async def test_its_own_cpu_time_is_reported(tmp_path, target):
    with truth_server(tmp_path / "record", "--service-ms", "1") as url:
        async with ProcessGenerator(window_seconds=0.2).drive(target(url)) as session:
            await session.set_users(1)
            (window,) = await take(session, 1)
    assert 0 < window.generator_cpu_seconds <= window.duration_seconds
    assert 0 <= window.generator_delay_seconds <= window.duration_seconds


async def test_leaving_the_session_ends_the_process_with_requests_in_flight(tmp_path, target):
    with truth_server(tmp_path / "record", "--service-ms", "10000") as url:
        async with ProcessGenerator(window_seconds=0.1).drive(target(url)) as session:
            await session.set_users(2)
            await take(session, 1)
            process = session.process_id
    assert not psutil.pid_exists(process)


async def test_a_cancelled_session_leaves_no_process(target):
    started = asyncio.get_running_loop().create_future()

    async def drive():
        async with ProcessGenerator().drive(target("http://127.0.0.1:9")) as session:
            started.set_result(session.process_id)
            await asyncio.Event().wait()

    task = asyncio.create_task(drive())
    process = await started
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not psutil.pid_exists(process)


async def test_cancelling_while_it_starts_leaves_no_process(target):
    async def drive():
        async with ProcessGenerator().drive(target("http://127.0.0.1:9")):
            raise AssertionError("it was to be cancelled before")

    before = set(psutil.Process().children())
    task = asyncio.create_task(drive())
    await until(lambda: set(psutil.Process().children()) - before)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert set(psutil.Process().children()) == before


async def test_a_killed_generator_is_told_with_its_signal(target):
    async with ProcessGenerator().drive(target("http://127.0.0.1:9")) as session:
        os.kill(session.process_id, signal.SIGKILL)
        with pytest.raises(ServiceError, match="ended by signal 9"):
            await take(session, 1)
        with pytest.raises(ServiceError, match="ended by signal 9"):
            await session.set_users(1)


async def test_the_generator_dies_with_its_owner(tmp_path, payloads):
    owner_code = (
        "import asyncio, pathlib, sys\n"
        "from modeldyno.load.process import ProcessGenerator\n"
        "from modeldyno.ports import LoadTarget\n"
        "async def main():\n"
        "    target = LoadTarget('http://127.0.0.1:9', pathlib.Path(sys.argv[1]), 'text/csv', None, 1)\n"
        "    async with ProcessGenerator().drive(target) as session:\n"
        "        print(session.process_id, flush=True)\n"
        "        await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-c", owner_code, str(payloads)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        process = psutil.Process(int(owner.stdout.readline()))
        owner.kill()
    await until(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE)


async def test_without_payloads_it_does_not_start(target, payloads):
    (payloads / "sample.json").unlink()
    with pytest.raises(InputFault, match="holds no files"):
        async with ProcessGenerator().drive(target("http://127.0.0.1:9")):
            pass


async def test_a_content_type_that_would_break_the_request_is_refused(target):
    with pytest.raises(InputFault, match="Content-Type"):
        async with ProcessGenerator().drive(target("http://127.0.0.1:9", content_type="a/b\r\nX: y")):
            pass


async def test_cores_that_the_host_does_not_have_are_refused(target):
    with pytest.raises(ServiceError, match="cannot start"):
        async with ProcessGenerator().drive(target("http://127.0.0.1:9", cores=(100_000,))):
            pass


async def test_only_plain_http_is_driven(target):
    with pytest.raises(ServiceError, match="http:// URLs only"):
        async with ProcessGenerator().drive(target("https://127.0.0.1:9")):
            pass


def test_the_generator_does_not_load_what_it_does_not_need():
    code = "import sys, modeldyno.load.engine; print(' '.join(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"botocore", "sqlalchemy", "numpy", "scipy", "psutil", "modeldyno.ports"} & set(loaded)
