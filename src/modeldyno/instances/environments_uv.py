"""Calls of `uv`: which version there is, and what is installed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import ssl
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from modeldyno.domain.errors import InputFault
from modeldyno.instances.environments_recipes import order

_TELLING_LINES = 12
_NO_SOLUTION = 1  # uv's exit status where versions cannot be had; 2 is an index that cannot be reached, and the like


@dataclass(frozen=True, slots=True)
class Source:
    """Where a distribution's wheels come from, as options of uv."""

    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """A version that can be installed here; `exact` where it is the one that was asked for."""

    version: str
    exact: bool
    source: Source


class UvFailure(Exception):
    """A program has ended with this status; `str` is the last of what it said."""

    def __init__(self, status: int, said: str) -> None:
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        super().__init__(" ".join(lines[-_TELLING_LINES:]))
        self.status = status


async def run_program(
    *command: str, cwd: Path | None = None, text: str = "", environment: Mapping[str, str] | None = None
) -> str:
    """What a program writes to stdout. Cancelled, it is killed with whatever it has started.

    Raises:
        UvFailure: it did not succeed.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=cwd,
        env=environment,
        start_new_session=True,
        umask=0o022,  # another user must be able to read what it installs
    )
    try:
        out, err = await process.communicate(text.encode())
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if process.returncode != 0:
        raise UvFailure(process.returncode or 0, err.decode(errors="replace"))
    return out.decode()


class Uv:
    """The `uv` program. pip's own settings for indexes and links hold where uv's are not set."""

    def __init__(self, program: Path, environment: Mapping[str, str]) -> None:
        self._program = program
        self._environment = _settings(environment)
        links = environment.get("PIP_FIND_LINKS", "").split()
        self._links = tuple(part for link in links for part in ("--find-links", link))

    async def run(self, *arguments: str, cwd: Path | None = None, text: str = "") -> str:
        """See `run_program`."""
        # --project: else a uv.toml of the script's directory would be obeyed.
        return await run_program(
            str(self._program), "--project", "/", *arguments, cwd=cwd, text=text, environment=self._environment
        )

    async def make(self, target: Path) -> None:
        """An empty environment of the Python that runs Dyno."""
        await self.run("venv", "--quiet", "--no-project", "--clear", "--python", sys.executable, str(target))

    async def install(self, target: Path, requirements: Sequence[str], *options: str, cwd: Path | None = None) -> None:
        """Install into an environment. Nothing of what is installed runs, nor its interpreter afterwards."""
        python = str(target / "bin" / "python")
        common = ("pip", "install", "--quiet", "--no-compile-bytecode", "--python", python, *self._links)
        await self.run(*common, *options, *requirements, cwd=cwd)

    async def find(self, distribution: str, wanted: str | None, sources: Sequence[Source]) -> Found:
        """The wanted version (``1.2`` is its newest patch; None the newest of all), or else the nearest that has a
        wheel for this machine: the same minor, then newer, then older.

        Sources are tried in their order; the next one where one cannot be reached.

        Raises:
            InputFault: no version of it can be had here.
        """
        failure: UvFailure | None = None
        for source in sources:
            try:
                return await self._find(distribution, wanted, source)
            except UvFailure as error:
                failure = error
        raise InputFault(f"{distribution} {wanted or ''} cannot be installed here: {failure}")

    async def _find(self, distribution: str, wanted: str | None, source: Source) -> Found:
        if wanted is None:
            return Found(await self._resolve(distribution, source), True, source)
        minor = ".".join(wanted.split(".")[:2])
        with_patch = f"=={wanted}" if wanted != minor else f"=={minor}.*"
        failure: UvFailure | None = None
        for specifier, options in (
            (with_patch, ()),
            (f"=={minor}.*", ()),
            (f">={wanted}", ("--resolution", "lowest-direct")),
            (f"<{wanted}", ()),
        ):
            try:
                version = await self._resolve(distribution + specifier, source, *options)
                if options:  # the newest patch of the nearest minor
                    numbers = order(version)
                    version = await self._resolve(f"{distribution}=={numbers[0]}.{numbers[1]}.*", source)
                return Found(version, specifier == with_patch, source)
            except UvFailure as error:
                if error.status != _NO_SOLUTION:
                    raise
                failure = failure or error
        raise failure or AssertionError("the loop has run")

    async def _resolve(self, requirement: str, source: Source, *options: str) -> str:
        arguments = ("pip", "compile", "-", "--quiet", "--no-deps", "--no-header", "--no-annotate")
        wheels = ("--only-binary", ":all:", "--python", sys.executable, *self._links)
        line = await self.run(*arguments, *wheels, *source.options, *options, text=requirement + "\n")
        return line.split(";")[0].strip().rpartition("==")[2]

    @property
    def has_links(self) -> bool:
        """Whether there are links to wheels beside the index."""
        return bool(self._links)


def _settings(environment: Mapping[str, str]) -> dict[str, str]:
    kept = {
        name: value for name, value in environment.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME")
    }
    for pip, own in (
        ("PIP_INDEX_URL", "UV_DEFAULT_INDEX"),
        ("PIP_EXTRA_INDEX_URL", "UV_INDEX"),
        ("PIP_CERT", "SSL_CERT_FILE"),
    ):
        if pip in kept:
            kept.setdefault(own, kept[pip])
    if _has_system_certificates():
        # uv brings its own list of authorities; pip, and everybody else on this machine, trust the machine's.
        kept.setdefault("UV_SYSTEM_CERTS", "true")
    return kept


def _has_system_certificates() -> bool:
    places = ssl.get_default_verify_paths()
    if places.cafile is not None or sys.platform == "darwin":
        return True
    return places.capath is not None and any(Path(places.capath).iterdir())
