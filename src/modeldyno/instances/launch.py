"""The launcher's other end: an instance's directory, what the launcher is told, and what it answers."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from modeldyno.domain.errors import InputFault
from modeldyno.instances import launcher
from modeldyno.instances.naming import TAG_VARIABLE

_PROGRAM = [sys.executable, "-I", "-S", launcher.__file__]
_PROBE_PREFIX = "dyno-probe-"
_PROBE_SECONDS = 30.0
_USERS = {
    "own": "The model server ran as the same user as Dyno, which is not root.",
    "owner": "The model server ran as the owner of its program, because user nobody cannot read all that it needs.",
    "root": "The model server ran as root without any capability, because no other user can read all that it needs.",
    "root-reading": "The model server ran as root with the right to read every file and no other capability, because "
    "no other user can read all that it needs.",
}


def why_no_mounts() -> str | None:
    """Why a model cannot be shown at /opt/ml/model here, in words; None when it can. Tried for real."""
    if sys.platform != "linux":
        return "mount namespaces are Linux's"
    if os.geteuid() != 0:
        return "only root may make a mount namespace"
    return _probe()["mounts"]


def server_user() -> tuple[str, str | None]:
    """As whom a server would run that needs no more than Dyno's own interpreter, and what to say of it (None: as user
    nobody). Tried for real, in a mount namespace where that can be had."""
    if os.geteuid() != 0:
        return "the same user as Dyno", _USERS["own"]
    user = _probe()["user"] or "root"
    return user, _USERS.get(user)


def _probe() -> dict[str, str | None]:
    _sweep_probes()
    with tempfile.TemporaryDirectory(prefix=_PROBE_PREFIX) as directory:
        base = Path(directory, "ml")
        (base / "tmp").mkdir(parents=True)
        todo = {
            "base": str(base),
            "binds": {},
            "hidden": [],
            "programs": [sys.executable],
            "readable": [sys.prefix, sys.base_prefix],
            "trees": [],
            "command": [sys.executable],
        }
        done = subprocess.run(
            [*_PROGRAM, "probe"],
            input=json.dumps(todo),
            capture_output=True,
            text=True,
            timeout=_PROBE_SECONDS,
            check=False,
        )
    if done.returncode:
        return {"mounts": (done.stderr.strip().splitlines() or ["the launcher was killed"])[-1], "user": None}
    answer: dict[str, str | None] = json.loads(done.stdout)
    return answer


def _sweep_probes() -> None:
    """Remove what probes of ours left that were killed: the folders too old for a probe that still runs."""
    for left in Path(tempfile.gettempdir()).glob(f"{_PROBE_PREFIX}*"):
        with contextlib.suppress(FileNotFoundError):
            found = left.lstat()
            if found.st_uid == os.geteuid() and time.time() - found.st_mtime > 2 * _PROBE_SECONDS:
                shutil.rmtree(left, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Home:
    """An instance's own directory. `private`: it gets a mount namespace, which shows `base` at /opt/ml."""

    path: Path
    private: bool

    @property
    def base(self) -> Path:
        """BASE_DIR on the host: model/, code/, work/, tmp/."""
        return self.path / "ml"

    @property
    def seen_base(self) -> Path:
        """BASE_DIR as the server sees it."""
        return Path(launcher.OPT_ML) if self.private else self.base

    def make(self, model: Path | None, code: Path | None, payload: Path | None = None) -> dict[str, str]:
        """Make it; returns what the launcher has to mount. Without a namespace, model, code and payload are links."""
        binds: dict[str, str] = {}
        self.path.mkdir(parents=True, mode=0o755)
        for name, source in (("work", None), ("tmp", None), ("model", model), ("code", code), ("payload", payload)):
            shown = self.base / name
            if source is not None and not self.private:
                shown.parent.mkdir(exist_ok=True)
                shown.symlink_to(source.resolve(), target_is_directory=True)
                continue
            if name not in ("code", "payload") or source is not None:
                shown.mkdir(parents=True)
            if source is not None:
                binds[str(source.resolve())] = str(shown)
        return binds


@dataclass(frozen=True, slots=True)
class Launch:
    """What to run, how, and as whom."""

    tag: str
    home: Home
    binds: dict[str, str]
    join: tuple[str, ...]
    cores: tuple[int, ...]
    command: tuple[str, ...]
    environment: dict[str, str]
    readable: tuple[Path, ...]
    hidden: tuple[Path, ...]
    log_path: Path
    lasting: bool = False

    def start(self) -> tuple[subprocess.Popen[bytes], int]:
        """Start the launcher in a session of its own; the process, and the descriptor that its report comes from.

        The kernel kills it when the calling *thread* ends (prctl(2), PR_SET_PDEATHSIG), unless it is `lasting`: call it
        from one that stays.
        """
        report, report_end = os.pipe()
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with self.log_path.open("ab") as log:
                process = subprocess.Popen(
                    _PROGRAM,
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    pass_fds=(report_end,),
                    env={TAG_VARIABLE: self.tag},
                    cwd="/",
                    start_new_session=True,
                )
        except BaseException:
            os.close(report)
            raise
        finally:
            os.close(report_end)
        assert process.stdin is not None
        with process.stdin as stdin:
            stdin.write(json.dumps(self._todo(report_end)).encode())
        return process, report

    def _todo(self, report_fd: int) -> dict[str, object]:
        names = [name for name in ("model", "code", "payload") if (self.home.base / name).exists()]
        shown = [str(self.home.seen_base / name) for name in names]
        return {
            "join": self.join,
            "cores": self.cores,
            "parent": None if self.lasting else os.getpid(),
            "private": self.home.private,
            "base": str(self.home.base),
            "binds": self.binds,
            "seen_base": str(self.home.seen_base),
            "hidden": [str(path) for path in self.hidden if path.is_dir()],
            "programs": _existing(self.command),
            "readable": [*map(str, self.readable), str(self.home.seen_base)],
            "trees": shown,
            "command": self.command,
            "environment": self.environment,
            "directory": str(self.home.seen_base / "work"),
            "report_fd": report_fd,
        }


def read_report(descriptor: int) -> str | None:
    """Wait until the server's own program begins; what to say of its rights (None: it is user nobody).

    Raises:
        InputFault: it could not be started, with the system's reason.
    """
    with os.fdopen(descriptor, "rb") as pipe:
        lines = pipe.read().splitlines() or [b'{"error": "the launcher was killed"}']
    answer = json.loads(lines[-1])  # a program that the kernel does not take is told after the rights
    if "error" in answer:
        raise InputFault(f"The model server could not be started: {answer['error']}.")
    return _USERS.get(answer["user"])


def _existing(command: Iterable[str]) -> list[str]:
    return [part for part in command if part.startswith("/") and os.path.exists(part)]
