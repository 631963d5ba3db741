"""What this host can be, and what follows for the measurements: `read_host` for Dyno, `doctor` for people."""

from __future__ import annotations

import getpass
import platform
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from modeldyno.domain.host import Cgroup, Host
from modeldyno.instances.cgroups import find_cgroups
from modeldyno.instances.host_facts import (
    in_container,
    is_root,
    processor,
    processor_quota,
    read_gpus,
    usable_cores,
    usable_memory_mib,
)
from modeldyno.instances.launch import server_user, why_no_mounts
from modeldyno.instances.limits import Cgroups

_ARCHITECTURES = {"aarch64": "arm64", "amd64": "x86_64", "AMD64": "x86_64"}


def read_host(cgroups: Cgroups | None = None) -> Host:
    """The facts. `cgroups`: the driver to be used; found by trying where None."""
    cores = usable_cores()
    driver = cgroups or find_cgroups(cores)
    return Host(
        name=socket.gethostname(),
        cores=cores,
        memory_mib=usable_memory_mib(),
        architecture=_ARCHITECTURES.get(platform.machine(), platform.machine()),
        cgroup=driver.version,
        root=is_root(),
        system=platform.system(),
        gpus=read_gpus(),
        notes=(*driver.notes, *_notes(driver)),
    )


def _notes(driver: Cgroups) -> Iterator[str]:
    if driver.version is not Cgroup.NONE and not is_root():
        yield "Dyno is not root: model servers run as the same user, and /opt/ml/model is not there."
    quota = processor_quota()
    if quota is not None:
        yield f"The cgroup around Dyno gives it {quota:g} cores' worth of time."


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that `dyno doctor` tells. `verdict`: ``ok``, ``limited`` or ``missing``; `consequence`: what follows
    for the measurements, empty where nothing does."""

    topic: str
    value: str
    verdict: str
    consequence: str = ""


def doctor() -> list[Finding]:
    """What this host can do and what follows, in the order in which a person should read it."""
    cgroups = find_cgroups(usable_cores())
    host = read_host(cgroups)
    return [
        _system(host),
        Finding("python", f"{platform.python_version()} ({sys.executable})", "ok"),
        _user(host),
        _limits(host, cgroups),
        _cores(host),
        Finding("memory", f"{host.memory_mib} MiB for instances", "ok", "Types with more memory end as FAILED."),
        _servers(),
        _mounts(),
        _container(),
        Finding("gpus", ", ".join(host.gpus) or "none", "ok", "" if host.gpus else "Types with a GPU end as FAILED."),
        _verdict(host),
    ]


def _system(host: Host) -> Finding:
    value = f"{host.system} {platform.release()}, {host.architecture}, {processor()}"
    if host.system == "Linux":
        return Finding("system", value, "ok")
    return Finding(
        "system", value, "limited", "Not Linux: no cores, processor share or memory limit can be held by the kernel."
    )


def _user(host: Host) -> Finding:
    if host.root:
        return Finding("user", "root", "ok")
    return Finding(
        "user",
        getpass.getuser(),
        "limited",
        "Model servers run as this user, and the model is not shown at /opt/ml/model (SAGEMAKER_BASE_DIR tells where).",
    )


def _limits(host: Host, cgroups: Cgroups) -> Finding:
    why = " ".join(cgroups.notes)
    if host.cgroup is not Cgroup.NONE:
        return Finding("cgroups", f"{host.cgroup}, made and limited for real", "limited" if why else "ok", why)
    return Finding(
        "cgroups",
        "none",
        "missing",
        f"{why} Limits are held by affinity and a memory watch, fractions of a core are refused, and every result says "
        "so. Run Dyno as root, or with systemd: systemd-run --user --scope -p Delegate=yes dyno up.",
    )


def _cores(host: Host) -> Finding:
    value = f"{len(host.cores)} ({', '.join(map(str, host.cores))})"
    quota = processor_quota()
    if len(host.cores) == 1:
        return Finding("cores", value, "limited", "The load generator shares the only core with the model, always.")
    if quota is not None:
        return Finding("cores", value, "limited", f"The cgroup around Dyno gives it {quota:g} cores' worth of time.")
    return Finding(
        "cores",
        value,
        "ok",
        f"The first is the load generator's; types of up to {len(host.cores) - 1} vCPUs are measured undisturbed, one "
        f"of {len(host.cores)} is flagged.",
    )


def _servers() -> Finding:
    name, words = server_user()
    return Finding("model servers run as", name, "limited" if words else "ok", words or "")


def _mounts() -> Finding:
    why = why_no_mounts()
    if why is None:
        return Finding("mount namespaces", "possible", "ok", "The model is shown read-only at /opt/ml/model.")
    return Finding(
        "mount namespaces",
        "not possible",
        "limited",
        f"The model is not at /opt/ml/model but at SAGEMAKER_BASE_DIR/model, and not write-protected: {why}.",
    )


def _container() -> Finding:
    if not in_container():
        return Finding("container", "no", "ok")
    return Finding(
        "container", "yes", "limited", "Other containers may use the same cores; the foreign load of each is measured."
    )


def _verdict(host: Host) -> Finding:
    if host.cgroup is Cgroup.NONE:
        return Finding(
            "measurements", "approximate", "limited", "Sizes are not held by the kernel. Linux with root is best."
        )
    if not host.root:
        return Finding("measurements", "good", "ok", "Sizes are held by the kernel; servers are less well confined.")
    return Finding("measurements", "best", "ok", "Sizes are held by the kernel.")
