"""A private PostgreSQL, for tests: made, started, restarted and removed without touching any other."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_WAIT_SECONDS = 30.0


class PostgresServer:
    """One server in one directory, reachable by its socket there and by nothing else."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs = programs
        self._folder = folder
        self._user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        self._numbers = itertools.count(1)
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, database: str) -> str:
        """The URL of one of its databases."""
        return f"postgresql+psycopg://{self._user}@/{database}?host={self._folder}"

    def new_database(self, template: str = "template1") -> str:
        """Make a database, a copy of `template` (which nobody may be using); its name."""
        name = f"dyno_{next(self._numbers)}"
        self._run("createdb", "-h", str(self._folder), "-T", template, name)
        return name

    def create(self) -> None:
        """Make its files."""
        self._run("initdb", "-D", str(self._data), "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")

    def start(self) -> None:
        """Start it; returns when it answers."""
        options = {
            "listen_addresses": "",
            "unix_socket_directories": str(self._folder),
            "fsync": "off",
            "max_connections": "200",
        }
        arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", self._data, *arguments],
                stdout=log,
                stderr=log,
                user=self._user if os.geteuid() == 0 else None,
                cwd="/",
            )
        give_up_at = time.monotonic() + _WAIT_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > give_up_at:
                raise RuntimeError(f"PostgreSQL does not start: {(self._folder / 'log').read_text()[-2000:]}")
            time.sleep(0.02)

    def stop(self) -> None:
        """End it at once and cleanly, whoever is connected."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)  # "fast shutdown"; source: PostgreSQL manual, 19.5
            self._process.wait(_WAIT_SECONDS)
            self._process = None

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _answers(self) -> bool:
        command = [str(self._programs / "pg_isready"), "-q", "-h", str(self._folder)]
        return subprocess.run(command, check=False).returncode == 0

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._programs / program, *arguments],
            user=self._user if os.geteuid() == 0 else None,
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{program} failed: {done.stderr}")


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A running server of our own; gone, files and all, afterwards.

    Its programs are those in the directory DYNO_TEST_POSTGRES, else those of Debian's package. As root it runs as the
    user postgres, since PostgreSQL refuses root.
    """
    folder = Path(tempfile.mkdtemp(prefix="dyno-postgres-"))
    server = PostgresServer(_programs(), folder)
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres")
        server.create()
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


def _programs() -> Path:
    if chosen := os.environ.get("DYNO_TEST_POSTGRES"):
        return Path(chosen)
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    if not found:
        raise RuntimeError("There is no PostgreSQL here: install Debian's package postgresql.")
    return found[-1]
