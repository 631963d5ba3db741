"""A real `dyno up` that wants signed requests, and the clients of AWS, unmodified, before it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.clients.environments import is_built, place_of
from tests.e2e.hosting import HOSTING, Hosting

FLOWS = Path(__file__).parent / "flows"
CACHE = Path(os.environ.get("DYNO_TEST_CACHE") or Path(__file__).parents[2] / ".cache")
ROLE = "arn:aws:iam::000000000000:role/dyno"
# The SDKs know what begins with ml; `local` is a mode of theirs.
OWN_TYPE = """
[instances."ml.own.large"]
vcpus = 1
memory_gib = 2
usd_per_hour = 0.1
"""
# One trial is a few seconds of two users: whether a client understands it does not depend on how exact it is.
CONFIG = OWN_TYPE + HOSTING.replace("[measurement]", "[measurement]\nmax_trial_seconds = 4\nmax_users = 2").replace(
    "startup_seconds = 20", "startup_seconds = 60"
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left = [item for item in items if (mark := item.get_closest_marker("client")) and not is_built(mark.args[0])]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosting]:
    """One service with a key, so that every request is signed by its client and verified."""
    made = Hosting(tmp_path_factory.mktemp("clients"), CONFIG)
    (CACHE / "environments").mkdir(parents=True, exist_ok=True)
    (made.data / "cache").mkdir(parents=True)
    (made.data / "cache" / "environments").symlink_to(CACHE / "environments")
    made.answers("a", "--answer", '"a"').answers("b", "--answer", '"b"')
    made.truth("truth:20ms", "--workers", "1", "--service-ms", "20")
    command = [sys.executable, "-P", "-m", "modeldyno", "keys", "create", "--json", "--data-dir", str(made.data)]
    key = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    made.credentials = (key["AccessKeyId"], key["SecretAccessKey"])
    made.start()
    yield made
    made.end()
    assert made.left_behind() == []


@dataclass(frozen=True)
class Client:
    """One installed client, and what is set for it: the variables that docs/how-to/sdk.md tells."""

    programs: Path
    variables: dict[str, str]
    place: Path

    def __call__(
        self, *command: str, timeout: float = 600, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a program of its environment."""
        return subprocess.run(
            [str(self.programs / command[0]), *command[1:]],
            env=self.variables,
            cwd=cwd or self.place,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def flow(self, name: str, *arguments: str) -> Any:
        """Run a script of flows/ in a directory of its own; what it wrote to said.json, with its output."""
        place = self.place / name
        place.mkdir()
        shutil.copy(FLOWS / f"{name}.py", place)
        done = self("python", f"{name}.py", *arguments, cwd=place)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return json.loads((place / "said.json").read_text()) | {"output": done.stdout + done.stderr}


@pytest.fixture(scope="session")
def client_of(service: Hosting, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Client]:
    """An installed client, pointed at the service."""

    def made(name: str) -> Client:
        place = tmp_path_factory.mktemp(name)
        shutil.copy(FLOWS / "sagemaker.yaml", place)
        key_id, secret = service.credentials
        variables = {
            "PATH": f"{place_of(name) / 'bin'}:{os.environ['PATH']}",
            "HOME": str(place),
            "AWS_ENDPOINT_URL": service.url,
            "AWS_ACCESS_KEY_ID": key_id,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_DEFAULT_REGION": "us-east-1",
            "SAGEMAKER_USER_CONFIG_OVERRIDE": str(place / "sagemaker.yaml"),
        }
        return Client(place_of(name) / "bin", variables, place)

    return made


class Aws:
    """`aws` of a shell."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.place = client.place

    def text(self, *words: str) -> str:
        done = self._client("aws", *words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def __call__(self, *words: str) -> Any:
        return json.loads(self.text(*words) or "null")

    def refused(self, *words: str) -> str:
        done = self._client("aws", *words)
        assert done.returncode in (1, 254, 255), done.stdout
        return done.stderr

    def file(self, name: str, content: Any) -> str:
        path = self.place / name
        path.write_text(json.dumps(content))
        return f"file://{path}"


@pytest.fixture(scope="module")
def aws(client_of: Callable[[str], Client]) -> Aws:
    """The AWS CLI, pointed at the service."""
    return Aws(client_of("aws-cli"))
