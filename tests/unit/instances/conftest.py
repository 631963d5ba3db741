"""Real servers for the tests of the instances' room."""

from __future__ import annotations

import asyncio
import json
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modeldyno.domain.catalog import InstanceType
from modeldyno.domain.host import Cgroup
from modeldyno.domain.model import ModelSource
from modeldyno.domain.trial import Placement, TrialSpec
from modeldyno.instances.cgroups import find_cgroups
from modeldyno.instances.host_facts import usable_cores
from modeldyno.instances.no_cgroup import NoCgroups
from modeldyno.instances.prepared import Prepared
from modeldyno.instances.process import ProcessBackend
from modeldyno.ports import DeployRequest, Instance, Tag
from modeldyno.testing import behaving_server
from modeldyno.testing.behaving_server import Behaviour

ONE_CORE = InstanceType("local.1cpu", 1, 64)
Ask = Callable[..., DeployRequest]
Invoke = Callable[[Instance], Any]


async def behave(request: DeployRequest) -> Prepared:
    return Prepared(
        (sys.executable, "-I", "-S", behaving_server.__file__),
        environment={"FROM_PREPARED": "yes", "OMP_NUM_THREADS": "1"},
        effective_environment={"SAGEMAKER_MODEL_SERVER_WORKERS": "1"},
        description="a server that behaves as told",
    )


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    """Makes a request; keywords replace its members."""

    def make(behaviour: Behaviour = Behaviour.HEALTHY, **changed: Any) -> DeployRequest:
        environment = {"BEHAVIOUR": behaviour, **changed.pop("environment", {})}
        members: dict[str, Any] = {
            "tag": Tag("unit", "worker", "trial", 1),
            "spec": TrialSpec(0, "sm-epc-test", ONE_CORE),
            "placement": Placement(usable_cores()[-1:], 64 * 1024**2),
            "source": ModelSource(None, None),
            "model_dir": None,
            "code_dir": None,
            "log_path": tmp_path / "log",
            "startup_seconds": 60.0,
        }
        return DeployRequest(environment=environment, **(members | changed))

    return make


@pytest.fixture
def backend(tmp_path: Path) -> ProcessBackend:
    """Under this host's cgroups."""
    cgroups = find_cgroups(usable_cores())
    assert cgroups.version is not Cgroup.NONE
    return ProcessBackend(tmp_path / "instances", behave, cgroups)


@pytest.fixture
def unlimited(tmp_path: Path) -> ProcessBackend:
    """Without cgroups."""
    return ProcessBackend(tmp_path / "instances", behave, NoCgroups("Not wanted in this test."))


@pytest.fixture
def invoke() -> Invoke:
    """What a server answers to an invocation."""

    async def post(instance: Instance) -> Any:
        def send() -> Any:
            with urllib.request.urlopen(f"{instance.url}/invocations", b"", timeout=60) as answer:
                return json.load(answer)

        return await asyncio.to_thread(send)

    return post
