"""The container contract: the environment that a model server finds.

**Source:** SageMaker developer guide, *Use your own inference code with hosting services*; sagemaker-inference-toolkit
for ``SAGEMAKER_BASE_DIR`` and ``SAGEMAKER_SUBMIT_DIRECTORY``; ``SAGEMAKER_BIND_TO_PORT`` as in inference pipelines.
"""

from __future__ import annotations

import random
import socket
from pathlib import Path

from modeldyno.domain.host import Host
from modeldyno.domain.trial import Flag
from modeldyno.instances.host_facts import processor
from modeldyno.instances.kernel_files import read_text
from modeldyno.instances.launcher import OPT_ML
from modeldyno.instances.naming import TAG_VARIABLE
from modeldyno.instances.prepared import Prepared
from modeldyno.ports import DeployRequest

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SUBMIT = "SAGEMAKER_SUBMIT_DIRECTORY"
_LOWEST_PORT = 20_000


def server_environment(request: DeployRequest, prepared: Prepared, host: Host, port: int, base: Path) -> dict[str, str]:
    """Everything the server's environment holds; nothing of Dyno's own comes along.

    The user's variables win over the prepared ones; the contract's own win over all. `base`: BASE_DIR as the
    server sees it.
    """
    environment = {
        "PATH": f"{Path(prepared.command[0]).parent}:{_PATH}",
        "LANG": "C.UTF-8",
        "HOME": str(base / "work"),
        "USER": "model",  # getpass.getuser() fails for a user without a name
        "TMPDIR": str(base / "tmp"),
        **prepared.environment,
        **request.environment,
    }
    if request.code_dir is not None:
        environment[_SUBMIT] = str(base / "code")
    elif environment.get(_SUBMIT, "").startswith(OPT_ML + "/"):
        environment[_SUBMIT] = str(base / environment[_SUBMIT].removeprefix(OPT_ML + "/"))
    if host.gpus:
        environment["CUDA_VISIBLE_DEVICES"] = _visible_gpus(request)
    return environment | {
        "SAGEMAKER_BIND_TO_PORT": str(port),
        "SAGEMAKER_BASE_DIR": str(base),
        TAG_VARIABLE: str(request.tag),
    }


def size_flags(request: DeployRequest, why_no_cgroup: str) -> dict[Flag, str]:
    """What is to be known of figures taken on an instance of this size, here."""
    kind, placement = request.spec.instance_type, request.placement
    flags: dict[Flag, str] = {}
    if kind.name.startswith("ml.") or request.spec.serverless is not None:
        memory = "unlimited memory" if placement.memory_bytes is None else f"{mebibytes(placement.memory_bytes)} MiB"
        flags[Flag.EMULATED] = (
            f"{kind.name} is emulated by its size ({kind.vcpus:g} vCPUs, {memory}): its processor is this host's, "
            f"{processor()}."
        )
    if placement.fills_host:
        flags[Flag.FILLS_HOST] = f"{request.spec.title} fills this host: the load generator shared the model's cores."
    if why_no_cgroup:
        flags[Flag.NO_CGROUP] = f"The limits were held by affinity and a memory watch only. {why_no_cgroup}"
    return flags


def free_port(taken: set[int]) -> int:
    """A loopback port that is free now, outside the range that the kernel gives to clients (a load generator's
    connections would take it before the server has it)."""
    text = read_text(Path("/proc/sys/net/ipv4/ip_local_port_range")) or "49152 65535"
    first_for_clients = int(text.split()[0])
    ours = range(_LOWEST_PORT, max(first_for_clients, _LOWEST_PORT))
    for port in random.sample(ours, k=min(100, len(ours))):
        if port not in taken and _is_free(port):
            return port
    with socket.socket() as probe:  # all of those busy: let the system choose
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def mebibytes(count: int) -> str:
    """Bytes as MiB, without a needless fraction."""
    return f"{count / 1024**2:g}"


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _visible_gpus(request: DeployRequest) -> str:
    """A type without GPUs sees none, else the figures would be another type's."""
    count = sum(part.count for part in request.spec.instance_type.accelerators if part.kind == "gpu")
    return ",".join(str(index) for index in range(count))
