"""Every instance backend keeps the contract: processes under this host's cgroups, without cgroups, and the fake."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from modeldyno.domain.catalog import InstanceType
from modeldyno.domain.host import Cgroup
from modeldyno.domain.model import ModelSource
from modeldyno.domain.trial import Placement, TrialSpec
from modeldyno.instances.cgroups import find_cgroups
from modeldyno.instances.host import read_host
from modeldyno.instances.host_facts import usable_cores
from modeldyno.instances.limits import Cgroups
from modeldyno.instances.naming import directory_name
from modeldyno.instances.no_cgroup import NoCgroups, tagged
from modeldyno.instances.prepared import Prepared
from modeldyno.instances.process import ProcessBackend
from modeldyno.ports import DeployRequest, Instance, Tag
from modeldyno.testing import behaving_server
from modeldyno.testing.behaving_server import Behaviour
from modeldyno.testing.contracts.instances import (
    STARTUP_SECONDS,
    Abandon,
    InstanceBackendContract,
    IsLeft,
    Kill,
    Order,
    a_tag,
)
from modeldyno.testing.fake_instances import FakeBackend, FakeInstance

MEMORY = 64 * 1024**2
TAG = a_tag()


async def behave(request: DeployRequest) -> Prepared:
    program = behaving_server.__file__
    return Prepared((sys.executable, "-I", "-S", program), description="a server that behaves as told")


@pytest.fixture
def order(tmp_path: Path) -> Order:
    def make(
        behaviour: Behaviour = Behaviour.HEALTHY, *, tag: Tag = TAG, startup_seconds: float = STARTUP_SECONDS
    ) -> DeployRequest:
        return DeployRequest(
            tag,
            TrialSpec(0, "sm-epc-test", InstanceType("local.1cpu", 1, 64)),
            Placement(usable_cores()[-1:], MEMORY),
            ModelSource(None, None),
            None,
            None,
            {"BEHAVIOUR": behaviour},
            tmp_path / "logs" / directory_name(tag),
            startup_seconds,
        )

    return make


class ProcessContract(InstanceBackendContract):
    @pytest.fixture
    def backend(self, tmp_path: Path, cgroups: Cgroups) -> ProcessBackend:
        return ProcessBackend(tmp_path / "instances", behave, cgroups)

    @pytest.fixture
    def kill(self) -> Kill:
        def end(instance: Instance) -> None:
            port = instance.url.rpartition(":")[2]
            for _, process in tagged("contract/"):
                if process.environ().get("SAGEMAKER_BIND_TO_PORT") == port:
                    process.send_signal(signal.SIGKILL)

        return end

    @pytest.fixture
    def abandon(self, tmp_path: Path, cgroups: Cgroups) -> Abandon:
        """A worker of its own, killed while its server runs."""

        def leave(request: DeployRequest) -> None:
            tag, forced = request.tag, str(cgroups.version is Cgroup.NONE)
            arguments = (str(tmp_path), forced, tag.installation, tag.worker, tag.unit, str(tag.attempt))
            worker = subprocess.Popen([sys.executable, __file__, *arguments], stdout=subprocess.PIPE)
            assert worker.stdout is not None
            with worker.stdout as told:
                assert told.readline() == b"deployed\n"
            os.kill(worker.pid, signal.SIGKILL)
            worker.wait()

        return leave

    @pytest.fixture
    def is_left(self, tmp_path: Path, cgroups: Cgroups) -> IsLeft:
        def look(tag: Tag) -> bool:
            name = directory_name(tag)
            return bool((tmp_path / "instances" / name).exists() or name in cgroups.find(name) or any(tagged(str(tag))))

        return look


@pytest.mark.root
class TestUnderCgroups(ProcessContract):
    @pytest.fixture
    def cgroups(self) -> Cgroups:
        found = find_cgroups(usable_cores())
        assert found.version is not Cgroup.NONE
        return found


class TestWithoutCgroups(ProcessContract):
    @pytest.fixture
    def cgroups(self) -> Cgroups:
        return NoCgroups("Not wanted in this test.")


class TestTheFake(InstanceBackendContract):
    @pytest.fixture
    def backend(self) -> FakeBackend:
        return FakeBackend(
            host=read_host(NoCgroups()), sleep=lambda seconds: asyncio.sleep(seconds if seconds > 10 else 0)
        )

    @pytest.fixture
    def kill(self) -> Kill:
        def end(instance: Instance) -> None:
            assert isinstance(instance, FakeInstance)
            instance.die()

        return end

    @pytest.fixture
    def abandon(self, backend: FakeBackend) -> Abandon:
        return lambda request: backend.orphans.add(request.tag)

    @pytest.fixture
    def is_left(self, backend: FakeBackend) -> IsLeft:
        return lambda tag: str(tag) in backend.live or tag in backend.orphans


async def hold(directory: Path, forced: bool, tag: Tag) -> None:
    """Deploy a stubborn server and wait for the end (in the process that `abandon` kills)."""
    backend = ProcessBackend(directory / "instances", behave, NoCgroups() if forced else None)
    request = DeployRequest(
        tag,
        TrialSpec(0, "sm-epc-test", InstanceType("local.1cpu", 1, 64)),
        Placement(usable_cores()[-1:], MEMORY),
        ModelSource(None, None),
        None,
        None,
        {"BEHAVIOUR": Behaviour.STUBBORN},
        directory / "log",
        STARTUP_SECONDS,
    )
    async with backend.deploy(request):
        print("deployed", flush=True)
        await asyncio.sleep(3600)


if __name__ == "__main__":
    where, without, *names, number = sys.argv[1:]
    asyncio.run(hold(Path(where), without == "True", Tag(names[0], names[1], names[2], int(number))))
