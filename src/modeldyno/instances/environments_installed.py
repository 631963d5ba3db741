"""What is installed in an environment: looked at and compiled without running anything of it.

A wheel may hold a ``.pth`` file, which runs whenever its environment's interpreter starts: as root that would be
somebody else's code with all rights. So once a script's requirements are in, that interpreter is the model server's.
"""

from __future__ import annotations

import contextlib
import re
import sys
from importlib.metadata import distributions
from pathlib import Path

from modeldyno.instances.environments_uv import UvFailure, run_program


def installed_versions(environment: Path) -> dict[str, str]:
    """Version by normalized name of the distribution."""
    found = distributions(path=[str(_site(environment))])
    named = {str(item.metadata["Name"]): str(item.metadata["Version"]) for item in found}
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in named.items()}


async def compile_all(environment: Path) -> None:
    """Compile every module, by the interpreter that runs Dyno (it is the same one): a model's user may not write there.
    What cannot be compiled stays as it is."""
    options = ("-I", "-S", "-m", "compileall", "-qq", "-j", "0")
    with contextlib.suppress(UvFailure):
        await run_program(sys.executable, *options, str(_site(environment)))


def _site(environment: Path) -> Path:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return environment / "lib" / version / "site-packages"
