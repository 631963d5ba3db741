"""The environments of the clients: each is built once, as its file in requirements/ says, and kept.

``python -m tests.clients.environments NAME...`` builds them. What cannot be built (there is no network) is told, and
its tests are deselected.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from uv import find_uv_bin

_REQUIREMENTS = Path(__file__).parent / "requirements"
_CACHE = Path(os.environ.get("DYNO_TEST_CACHE") or Path(__file__).parents[2] / ".cache") / "clients"
_BUILT = "built"
NAMES = tuple(sorted(path.stem for path in _REQUIREMENTS.glob("*.txt")))


def place_of(name: str) -> Path:
    """Where the environment is, or would be: named by the content of its requirements."""
    digest = hashlib.sha256(_REQUIREMENTS.joinpath(f"{name}.txt").read_bytes()).hexdigest()[:12]
    return _CACHE / f"{name}-{sys.version_info.major}.{sys.version_info.minor}-{digest}"


def is_built(name: str) -> bool:
    """Whether the environment is whole."""
    return (place_of(name) / _BUILT).is_file()


def build(name: str) -> bool:
    """Build the environment where it is not there; whether it is there now. Why not goes to standard error."""
    place = place_of(name)
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.with_name(f"{place.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if is_built(name):
            return True
        shutil.rmtree(place, ignore_errors=True)
        commands = (
            (find_uv_bin(), "venv", "-q", "-p", sys.executable, str(place)),
            (find_uv_bin(), "pip", "install", "-q", "-p", str(place), "--require-hashes",
             "-r", str(_REQUIREMENTS / f"{name}.txt")),
        )  # fmt: skip
        for command in commands:
            done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
            if done.returncode != 0:
                print(f"The client {name} cannot be installed: its tests are left out\n{done.stderr}", file=sys.stderr)
                return False
        (place / _BUILT).touch()
        return True


if __name__ == "__main__":
    for wanted in sys.argv[1:] or NAMES:
        build(wanted)
