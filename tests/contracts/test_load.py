"""Every load generator passes the port's contract suite."""

import asyncio
import os
import signal
import subprocess
import sys

import pytest

from modeldyno.load.process import ProcessGenerator, ProcessSession
from modeldyno.ports import LoadTarget
from modeldyno.testing.contracts.load import LoadGeneratorContract
from modeldyno.testing.fake_load import FakeGenerator, FakeSession


@pytest.fixture
def payloads(tmp_path):
    directory = tmp_path / "payloads"
    directory.mkdir()
    (directory / "sample.json").write_bytes(b"[1, 2, 3]")
    return directory


class TestProcessGenerator(LoadGeneratorContract):
    @pytest.fixture
    def generator(self):
        return ProcessGenerator(window_seconds=0.1, settle_seconds=0.03)

    @pytest.fixture
    def target(self, payloads):
        command = [sys.executable, "-m", "modeldyno.testing.truth_server", "--workers", "8", "--service-ms", "2"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            url = server.stdout.readline().split()[1]
            yield LoadTarget(url, payloads, "application/json", None, seed=1)
            server.terminate()

    @pytest.fixture
    def kill(self):
        def end(session):
            assert isinstance(session, ProcessSession)
            os.kill(session.process_id, signal.SIGKILL)

        return end


class _EagerClock:
    """Time that passes as soon as somebody waits for it."""

    def __init__(self):
        self.seconds = 1_000.0

    def now(self):
        return self.seconds

    def monotonic(self):
        return self.seconds

    async def sleep(self, seconds):
        await asyncio.sleep(0)
        self.seconds += seconds


class TestFakeGenerator(LoadGeneratorContract):
    @pytest.fixture
    def generator(self):
        return FakeGenerator(_EagerClock())

    @pytest.fixture
    def target(self, payloads):
        return LoadTarget("http://127.0.0.1:1", payloads, "application/json", None, seed=1)

    @pytest.fixture
    def kill(self):
        def end(session):
            assert isinstance(session, FakeSession)
            session.die()

        return end
