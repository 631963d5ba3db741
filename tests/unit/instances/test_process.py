"""Servers on this host: under their limits, with few rights, and gone afterwards."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from modeldyno.domain.catalog import Accelerator, InstanceType
from modeldyno.domain.errors import HostCannot, InputFault, ModelFault
from modeldyno.domain.host import Cgroup, Host
from modeldyno.domain.trial import Flag, Placement, TrialSpec
from modeldyno.instances.contract import free_port, server_environment
from modeldyno.instances.host_facts import usable_cores
from modeldyno.instances.launch import server_user, why_no_mounts
from modeldyno.instances.no_cgroup import tagged
from modeldyno.instances.prepared import Prepared
from modeldyno.instances.process import ProcessBackend
from modeldyno.ports import DeployRequest, Tag
from modeldyno.testing import behaving_server
from modeldyno.testing.behaving_server import Behaviour
from tests.servers import serving

pytestmark = pytest.mark.root
CORE = usable_cores()[-1:]


async def behave(request: DeployRequest) -> Prepared:
    return Prepared((sys.executable, "-I", "-S", behaving_server.__file__))


async def test_half_a_vcpu_gets_half_of_a_core(backend: ProcessBackend, ask: Any) -> None:
    request = ask(Behaviour.BURNS, placement=Placement(CORE, 64 * 1024**2, cpu_quota=0.5))
    async with backend.deploy(request) as instance:
        loop = asyncio.get_running_loop()
        first, begun = instance.usage().cpu_seconds, loop.time()
        await asyncio.sleep(1.0)
        second, ended = instance.usage().cpu_seconds, loop.time()
    assert first is not None
    assert second is not None
    assert 0.3 < (second - first) / (ended - begun) < 0.65


async def test_own_and_whole_use_of_each_core_are_told_apart(backend: ProcessBackend, ask: Any) -> None:
    async with backend.deploy(ask(Behaviour.BURNS)) as instance:
        before = instance.usage()
        await asyncio.sleep(0.5)
        after = instance.usage()
    assert list(after.core_seconds) == list(CORE)
    pairs = zip(after.core_seconds[CORE[0]], before.core_seconds[CORE[0]], strict=True)
    everyone, own = (now - then for now, then in pairs)
    assert own > 0
    assert everyone > 0
    if backend.host().cgroup is Cgroup.V1:  # both from one counter; /proc/stat, for version 2, counts in ticks
        assert own <= everyone + 0.05


async def test_the_memory_limit_ends_a_server_under_load(backend: ProcessBackend, ask: Any, invoke: Any) -> None:
    async with backend.deploy(ask(Behaviour.EATS_LATER)) as instance:
        with pytest.raises(OSError):
            await invoke(instance)
        assert instance.death() == "killed: out of memory (64 MiB)"


@pytest.mark.parametrize("behaviour", [Behaviour.STUBBORN, Behaviour.DAEMON])
@pytest.mark.parametrize("limited", [True, False])
async def test_no_child_outlives_its_instance(
    behaviour: Behaviour, limited: bool, backend: ProcessBackend, unlimited: ProcessBackend, ask: Any
) -> None:
    request = ask(behaviour)
    async with (backend if limited else unlimited).deploy(request):
        assert len(list(tagged(str(request.tag)))) > 1
    assert not list(tagged(str(request.tag)))


async def test_a_server_finds_the_container_contract_and_nothing_of_dynos_environment(
    backend: ProcessBackend, ask: Any, invoke: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a secret")
    async with backend.deploy(ask(environment={"OMP_NUM_THREADS": "2"})) as instance:
        seen = await invoke(instance)
        assert instance.effective_environment == {"SAGEMAKER_MODEL_SERVER_WORKERS": "1"}
        assert seen["environment"]["SAGEMAKER_BIND_TO_PORT"] == instance.url.rpartition(":")[2]
    assert seen["environment"]["DYNO_TAG"] == "unit/worker/trial/1"
    assert seen["environment"]["FROM_PREPARED"] == "yes"
    assert seen["environment"]["OMP_NUM_THREADS"] == "2"
    assert "AWS_SECRET_ACCESS_KEY" not in seen["environment"]
    assert seen["temporary_writable"]
    assert seen["cores"] == list(CORE)


async def test_a_server_has_no_capability_no_foreign_descriptor_and_no_way_to_gain_rights(
    backend: ProcessBackend, ask: Any, invoke: Any
) -> None:
    with socket.socket() as foreign:
        os.set_inheritable(foreign.fileno(), True)
        async with backend.deploy(ask()) as instance:
            seen = await invoke(instance)
            user, words = server_user()
            assert instance.flags.get(Flag.LEAST_PRIVILEGE) == words
    assert (seen["user"] == 0) == (user == "root")
    assert int(seen["capabilities"], 16) == 0
    assert int(seen["bounding"], 16) == 0
    assert seen["no_new_privs"] == "1"
    assert seen["session_leader"]
    assert len(seen["descriptors"]) <= 6  # 0, 1, 2, the listener, a connection, the directory being listed


async def test_the_model_is_shown_read_only_at_opt_ml_model_and_opt_stays_as_it_was(
    backend: ProcessBackend, ask: Any, invoke: Any, tmp_path: Path
) -> None:
    assert why_no_mounts() is None
    model, code = tmp_path / "model", tmp_path / "sources"
    for directory, name in ((model, "model.joblib"), (code, "inference.py")):
        directory.mkdir()
        (directory / name).touch()
    opt = sorted(os.listdir("/opt"))
    async with backend.deploy(ask(model_dir=model, code_dir=code)) as instance:
        seen = await invoke(instance)
        assert sorted(os.listdir("/opt")) == opt
    assert seen["model"] == seen["opt_ml_model"] == ["model.joblib"]
    assert seen["code"] == ["inference.py"]
    assert not seen["model_writable"]
    assert {*opt, "ml"} == set(seen["opt"])
    assert os.listdir(model) == ["model.joblib"]


async def test_tmp_is_private_where_nothing_needed_lies_there(ask: Any, invoke: Any, tmp_path: Path) -> None:
    with (
        tempfile.TemporaryDirectory(dir="/var/tmp") as state,
        tempfile.TemporaryDirectory(dir="/var/tmp") as programs,
        tempfile.NamedTemporaryFile(dir="/tmp") as foreign,
    ):
        # This project, and the environment that runs its tests, may themselves lie below /tmp.
        os.chmod(programs, 0o755)
        server = shutil.copy(behaving_server.__file__, programs)
        python = os.path.realpath(getattr(sys, "_base_executable", sys.executable))

        async def away(request: DeployRequest) -> Prepared:
            return Prepared((python, "-I", "-S", server), readable=(Path(programs),))

        async with ProcessBackend(Path(state), away).deploy(ask()) as instance:
            seen = await invoke(instance)
            assert Path(foreign.name).exists()
        assert seen["tmp"] == []
        assert os.listdir(state) == []


async def test_a_port_that_somebody_else_took_is_tried_again_with_another(backend: ProcessBackend, ask: Any) -> None:
    answers = iter([b"taken", b"free"])

    async def tell(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(next(answers))

    async with serving(tell) as port:
        request = ask(Behaviour.PORT_TAKEN, environment={"ASK_PORT": str(port)})
        async with backend.deploy(request) as instance:
            assert instance.death() is None
    assert "Address already in use" in request.log_path.read_text()
    assert next(answers, None) is None


async def test_a_log_is_appended_to_and_its_tail_is_of_this_attempt(backend: ProcessBackend, ask: Any) -> None:
    request = ask(Behaviour.EXITS)
    request.log_path.write_text("of an earlier attempt\n")
    with pytest.raises(ModelFault) as told:
        async with backend.deploy(request):
            pass
    assert told.value.log_tail == "these are its last words"
    assert request.log_path.read_text() == "of an earlier attempt\nthese are its last words\n"


async def test_a_log_without_end_is_cut_and_keeps_its_end(
    backend: ProcessBackend, ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modeldyno.instances.server_log._LONGEST_BYTES", 1024**2)
    request = ask(Behaviour.CHATTERS)
    request.log_path.write_text("of an earlier attempt\n")
    mark, cuts = b"of an earlier attempt\n[Dyno: the log was over 1 MiB", 0
    async with backend.deploy(request) as instance:
        async with asyncio.timeout(60):
            while cuts < 3:  # the server writes on meanwhile: nothing of it comes before the mark
                before = request.log_path.stat().st_size
                assert instance.death() is None
                if request.log_path.stat().st_size < before:
                    cuts += 1
                    assert _begins(request.log_path, mark)
                await asyncio.sleep(0.02)
        assert "and so on" in instance.log_tail()
        async with asyncio.timeout(60):
            while request.log_path.stat().st_size < 2 * 1024**2:
                await asyncio.sleep(0.02)
    assert _begins(request.log_path, mark)
    assert request.log_path.stat().st_size < 1024**2  # also of what came after the last look


def _begins(path: Path, first: bytes) -> bool:
    """Whether a file begins so; the whole of one that is being written might never be read."""
    with path.open("rb") as file:
        return file.read(len(first)) == first


async def test_a_server_that_fills_the_disk_is_ended_before_it_is_full(
    backend: ProcessBackend, ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = [1024**3]
    monkeypatch.setattr("modeldyno.instances.process._free_bytes", lambda path: free[0])
    async with backend.deploy(ask()) as instance:
        assert instance.death() is None
        free[0] = 1024**2
        assert instance.death() == "killed: the disk was nearly full (less than 102.4 MiB were left)"


async def test_a_variable_that_no_system_takes_is_told_as_such(backend: ProcessBackend, ask: Any) -> None:
    with pytest.raises(InputFault, match=r"The model server could not be started: embedded null byte\."):
        async with backend.deploy(ask(environment={"X": "a\0b"})):
            pass


async def test_a_program_that_is_not_there_is_an_input_fault(tmp_path: Path, ask: Any) -> None:
    async def prepare(request: DeployRequest) -> Prepared:
        return Prepared(("/no/such/program",))

    with pytest.raises(InputFault, match=r"could not be started: .*No such file or directory: '/no/such/program'"):
        async with ProcessBackend(tmp_path / "instances", prepare).deploy(ask()):
            pass


async def test_an_aws_type_is_flagged_as_emulated_and_one_that_fills_the_host_too(
    backend: ProcessBackend, ask: Any
) -> None:
    spec = TrialSpec(0, "sm-epc-test", InstanceType("ml.c5.large", 1, 64))
    placement = Placement(CORE, 64 * 1024**2, fills_host=True)
    async with backend.deploy(ask(spec=spec, placement=placement)) as instance:
        assert {Flag.EMULATED, Flag.FILLS_HOST} <= instance.flags.keys()
        assert "ml.c5.large is emulated by its size (1 vCPUs, 64 MiB)" in instance.flags[Flag.EMULATED]


async def test_without_cgroups_a_fraction_of_a_core_is_refused(unlimited: ProcessBackend, ask: Any) -> None:
    with pytest.raises(HostCannot, match=r"cannot be 0\.5 vCPUs: without cgroups"):
        async with unlimited.deploy(ask(placement=Placement(CORE, None, cpu_quota=0.5))):
            pass


async def test_without_cgroups_every_instance_says_so(unlimited: ProcessBackend, ask: Any) -> None:
    async with unlimited.deploy(ask()) as instance:
        assert "affinity and a memory watch only" in instance.flags[Flag.NO_CGROUP]


async def test_two_servers_at_once_have_ports_of_their_own(backend: ProcessBackend, ask: Any) -> None:
    other = ask(tag=Tag("unit", "worker", "other", 1))
    async with backend.deploy(ask()) as one, backend.deploy(other) as two:
        assert one.url != two.url


def test_a_type_without_gpus_sees_none_of_the_hosts(ask: Any) -> None:
    host = Host("h", (0,), 1024, "x86_64", cgroup=Cgroup.NONE, root=True, gpus=("NVIDIA H200", "NVIDIA H200"))
    with_gpu = InstanceType("ml.p5.4xlarge", 1, 64, accelerators=(Accelerator("gpu", "H100", 1),))

    def visible(kind: InstanceType) -> str:
        request = ask(spec=TrialSpec(0, "e", kind))
        return server_environment(request, Prepared(("/bin/true",)), host, 1, Path("/opt/ml"))["CUDA_VISIBLE_DEVICES"]

    assert visible(InstanceType("ml.c5.large", 1, 64)) == ""
    assert visible(with_gpu) == "0"


def test_a_submit_directory_in_opt_ml_is_found_below_base_dir(ask: Any) -> None:
    request = ask(environment={"SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code"})
    environment = server_environment(request, Prepared(("/bin/true",)), _host(), 1, Path("/somewhere"))
    assert environment["SAGEMAKER_SUBMIT_DIRECTORY"] == "/somewhere/model/code"


def test_a_port_is_not_given_twice() -> None:
    taken: set[int] = set()
    for _ in range(20):
        port = free_port(taken)
        assert port not in taken
        taken.add(port)


def _host() -> Host:
    return Host("h", (0,), 1024, "x86_64", cgroup=Cgroup.NONE, root=True)
