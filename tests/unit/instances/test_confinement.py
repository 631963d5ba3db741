"""What a model server may see and do, as root on a host whose interpreter and data are root's alone."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pwd
import sys
import urllib.request
import venv
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from modeldyno.domain.trial import Flag
from modeldyno.instances.prepared import Prepared
from modeldyno.instances.process import ProcessBackend
from modeldyno.ports import DeployRequest, Instance

pytestmark = pytest.mark.root
Deploy = Callable[..., AbstractAsyncContextManager[Instance]]

PROBE = """
import http.server, json, os, sys

def can(action):
    try:
        action()
        return True
    except OSError:
        return False

def read(path):
    return can(lambda: open(path, "rb").close())

def write(path):
    return can(lambda: open(path, "wb").close())

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(b"")

    def do_POST(self):
        told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        seen = {
            "users": os.getresuid(),
            "groups": [*os.getresgid(), *os.getgroups()],
            "read": {path: read(path) for path in told["read"]},
            "write": {path: write(path) for path in told["write"]},
            "listed": {path: sorted(os.listdir(path)) for path in told["listed"]},
            "signalled": can(lambda: os.kill(told["signal"], 0)),
            "imported": told["module"] and __import__(told["module"]).NAME,
        }
        self.answer(json.dumps(seen).encode())

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

http.server.HTTPServer(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Handler).serve_forever()
"""


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    """A directory of root's alone, with a virtual environment, a server and Dyno's data in it."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    venv.create(home / "app" / "venv", symlinks=True)
    (site,) = (home / "app" / "venv" / "lib").glob("python*/site-packages")
    (site / "of_the_environment.py").write_text("NAME = 'found'\n")
    (site / "beside.pth").write_text(f"{home / 'app'}\n")
    (home / "app" / "beside_it.py").write_text("NAME = 'found, too'\n")
    (home / "app" / "serve.py").write_text(PROBE)
    (home / "secret").write_text("of root")
    (home / "app" / "hidden").mkdir()
    (home / "app" / "hidden" / "of_root").write_text("x")
    data = home / "data"
    for name in ("instances", "work/job/model", "work/other/model"):
        (data / name).mkdir(parents=True)
    for name in ("dyno.sqlite", "work/job/model/model.joblib", "work/other/model/model.joblib"):
        (data / name).write_text("x")
    return home


@pytest.fixture
def deploy(closed: Path, ask: Any) -> Deploy:
    """Deploys the server; `readable` is what the environment of a script names."""

    @contextlib.asynccontextmanager
    async def make(*readable: Path) -> AsyncIterator[Instance]:
        async def prepare(request: DeployRequest) -> Prepared:
            app = closed / "app"
            return Prepared((str(app / "venv/bin/python"), str(app / "serve.py")), readable=readable)

        backend = ProcessBackend(closed / "data/instances", prepare, hidden=(closed / "data", closed / "app/hidden"))
        async with backend.deploy(ask(model_dir=closed / "data/work/job/model")) as instance:
            yield instance

    return make


async def asked(instance: Instance, **changed: Any) -> Any:
    """What the server says of itself."""
    question = {"read": [], "write": [], "listed": [], "signal": os.getpid(), "module": None} | changed

    def post() -> Any:
        body = json.dumps(question).encode()
        with urllib.request.urlopen(f"{instance.url}/invocations", body, timeout=30) as answer:
            return json.load(answer)

    return await asyncio.to_thread(post)


async def test_a_server_of_a_private_interpreter_runs_as_nobody_and_cannot_signal_dyno(deploy: Deploy) -> None:
    async with deploy() as instance:
        assert Flag.LEAST_PRIVILEGE not in instance.flags
        seen = await asked(instance)
    nobody = pwd.getpwnam("nobody")
    assert seen["users"] == [nobody.pw_uid] * 3
    assert seen["groups"] == [nobody.pw_gid] * 3
    assert not seen["signalled"]


async def test_a_server_finds_its_environment_and_what_lies_beside_it(deploy: Deploy) -> None:
    async with deploy() as instance:
        assert (await asked(instance, module="of_the_environment"))["imported"] == "found"
        assert (await asked(instance, module="beside_it"))["imported"] == "found, too"


async def test_a_server_reads_its_own_model_and_no_data_of_dyno_or_of_others(deploy: Deploy, closed: Path) -> None:
    data = closed / "data"
    own = "/opt/ml/model/model.joblib"
    secrets = [closed / "secret", data / "dyno.sqlite", data / "work/other/model/model.joblib", "/etc/shadow"]
    async with deploy() as instance:
        seen = await asked(instance, read=[own, *map(str, secrets)], listed=[str(closed), "/opt/ml"])
    assert seen["read"] == {own: True} | {str(path): False for path in secrets}
    assert seen["listed"] == {str(closed): ["app"], "/opt/ml": ["model", "tmp", "work"]}
    assert sorted(os.listdir(closed)) == ["app", "data", "secret"]


async def test_a_server_writes_to_its_own_directory_and_nowhere_else(deploy: Deploy, closed: Path) -> None:
    name = "dyno-test-written"
    own = [f"{place}/{name}" for place in ("/opt/ml/work", "/opt/ml/tmp", "/tmp", "/dev/shm")]
    foreign = [f"{place}/{name}" for place in ("", "/etc", "/opt", "/opt/ml/model", closed, closed / "app")]
    try:
        async with deploy() as instance:
            seen = await asked(instance, write=[*own, *foreign, str(closed / "app/serve.py")])
        assert seen["write"] == {path: path in own for path in [*own, *foreign, str(closed / "app/serve.py")]}
        assert not Path("/dev/shm", name).exists()
    finally:
        for path in ("", "/etc", "/opt", "/tmp", "/dev/shm"):
            Path(path or "/", name).unlink(missing_ok=True)


async def test_hidden_directories_are_empty_where_what_lies_around_them_is_shown(deploy: Deploy, closed: Path) -> None:
    hidden = closed / "app" / "hidden"
    async with deploy() as instance:
        seen = await asked(instance, listed=[str(closed / "app"), str(hidden)])
    assert seen["listed"] == {str(closed / "app"): ["beside_it.py", "hidden", "serve.py", "venv"], str(hidden): []}
    assert os.listdir(hidden) == ["of_root"]


async def test_of_an_environment_nothing_but_itself_is_shown(deploy: Deploy, closed: Path) -> None:
    (closed / "app" / "beside").write_text("x")
    (closed / "app" / "venv" / "own").write_text("x")
    shown = [str(closed / "app" / name) for name in ("venv/own", "beside")]
    readable = closed / "app" / "venv", closed / "app" / "serve.py", Path(sys.base_prefix)
    async with deploy(*readable) as instance:
        seen = await asked(instance, read=shown, module="of_the_environment")
        assert Flag.LEAST_PRIVILEGE not in instance.flags
    assert list(seen["read"].values()) == [True, False]
    assert seen["imported"] == "found"


async def test_what_nobody_cannot_be_shown_is_read_by_root_without_rights_and_flagged(
    deploy: Deploy, closed: Path
) -> None:
    (closed / "app" / "serve.py").chmod(0o600)
    async with deploy() as instance:
        assert instance.flags[Flag.LEAST_PRIVILEGE].startswith("The model server ran as root without any capability")
        assert (await asked(instance))["users"] == [0] * 3


async def test_nothing_of_what_was_covered_stays_covered_on_the_host(deploy: Deploy, closed: Path) -> None:
    before = Path("/proc/self/mounts").read_text()
    async with deploy():
        assert Path("/proc/self/mounts").read_text() == before
        assert (closed / "secret").read_text() == "of root"
