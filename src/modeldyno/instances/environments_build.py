"""Building environments: one for each content, made once, whoever asks at the same time."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import json
import platform
import re
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from modeldyno.domain.errors import InputFault
from modeldyno.domain.images import Framework, ImageChoice
from modeldyno.instances.environments_installed import compile_all, installed_versions
from modeldyno.instances.environments_recipes import COMPILERS, ONNX_RUNTIME, RECIPES, RUNTIME_PINS, TORCH, Recipe
from modeldyno.instances.environments_requirements import BUILD_SETTING, check_requirements
from modeldyno.instances.environments_uv import Found, Source, Uv, UvFailure

_FORMAT = 1  # raise it when the way of building changes
_MARKER = "dyno-environment.json"
_LOCK_SECONDS = 0.2  # how often a lock that another process holds is looked at
_MAY_BE_FILE = re.compile(r"[/@]|\.(whl|zip|tar\.gz)")
_CPU_TORCH = (Source(("--torch-backend", "cpu")), Source(("--no-index",)))


@dataclass(frozen=True, slots=True)
class Recipient:
    """Whom an environment is for. `requirements`: the script's requirements.txt. `gpu`: on a machine with one.
    `may_build`: requirements without a wheel may be built from source, which runs their code as Dyno's user."""

    choice: ImageChoice
    requirements: Path | None = None
    gpu: bool = False
    may_build: bool = False

    @property
    def framework(self) -> Framework:
        """Of script mode there is always one."""
        assert self.choice.framework is not None
        return self.choice.framework


@dataclass(frozen=True, slots=True)
class Environment:
    """A built one. `title`: its framework with the version in it. `nearest`: where the version is not the one that was
    asked for, what it is, in words; else empty."""

    path: Path
    title: str
    nearest: str = ""

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.path / "bin" / "python"


async def build(cache: Path, uv: Uv, recipient: Recipient, say: Callable[[str], Awaitable[None]]) -> Environment:
    """The environment, out of the cache or new.

    Raises:
        InputFault: it cannot be built; names what, with uv's last lines.
    """
    if recipient.requirements is not None:
        check_requirements(recipient.requirements, recipient.may_build)
    key = _key(recipient)
    path = cache / key
    async with _alone(cache, key):
        known = _read(path)
        if known is not None:
            return known
        title = f"{RECIPES[recipient.framework].title} {recipient.choice.version or '(newest)'}"
        await say(f"Building the environment of {title} on Python {_python()}: once, then it is kept.")
        try:
            made = await _make(path, uv, recipient)
        except UvFailure as error:
            raise InputFault(f"The environment of {title} cannot be built: {error}") from error
        finally:
            if _read(path) is None:
                await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)
        await say(f"Built the environment of {made.title}.")
        return made


async def _make(path: Path, uv: Uv, recipient: Recipient) -> Environment:
    recipe, wanted = RECIPES[recipient.framework], recipient.choice.version
    found = await uv.find(recipe.distribution, wanted, _sources(recipe, uv, recipient.gpu))
    parts = [(recipe, wanted, found)]
    if recipient.framework is Framework.HUGGING_FACE:
        torch = await uv.find(TORCH.distribution, recipient.choice.torch_version, _sources(TORCH, uv, recipient.gpu))
        parts.append((TORCH, recipient.choice.torch_version, torch))
    await uv.make(path)
    await _install(path, uv, recipient, parts)
    if recipient.requirements is not None:
        await _install_requirements(path, uv, recipient, parts)
    await compile_all(path)
    versions = installed_versions(path)
    compiled = f" with ONNX Runtime {versions.get(ONNX_RUNTIME, '?')}" if recipient.choice.compiled else ""
    made = Environment(path, _title(parts, versions) + compiled, _nearest(parts, versions))
    content = {name: str(value) for name, value in asdict(made).items() if name != "path"}
    (path / _MARKER).write_text(json.dumps(content | {"versions": versions}, indent=1))
    (path / _MARKER).chmod(0o644)
    return made


_Part = tuple[Recipe, str | None, Found]


async def _install(path: Path, uv: Uv, recipient: Recipient, parts: list[_Part]) -> None:
    needs = [f"{recipe.distribution}=={found.version}" for recipe, _, found in parts]
    for recipe, _, found in parts:
        needs += recipe.companions_of(found.version)
    options = _index_options(parts)
    unneeded = () if recipient.gpu else RECIPES[recipient.framework].gpu_only
    if unneeded:
        overrides = path / "overrides.txt"
        overrides.write_text("".join(f"{name}; python_version < '3'\n" for name in unneeded))
        options += ("--overrides", str(overrides))
    compilers = COMPILERS[recipient.framework] if recipient.choice.compiled else ()
    await uv.install(path, [*needs, *compilers, *RUNTIME_PINS], "--only-binary", ":all:", *options)


async def _install_requirements(path: Path, uv: Uv, recipient: Recipient, parts: list[_Part]) -> None:
    """As the containers do when they start: on top, and whatever it changes is changed."""
    requirements = recipient.requirements
    assert requirements is not None
    wheels = () if recipient.may_build else ("--only-binary", ":all:")
    try:
        await uv.install(path, ["-r", str(requirements)], *wheels, *_index_options(parts), cwd=requirements.parent)
    except UvFailure as error:
        why = f" Root builds nothing from source; {BUILD_SETTING} allows it." if _lacks_wheel(str(error)) else ""
        raise InputFault(f"The script's requirements.txt cannot be installed: {error}{why}") from error


def _lacks_wheel(said: str) -> bool:
    """**Source:** uv's own words, of the version that is installed with Dyno."""
    return "building from source is disabled" in said or "Building source distributions" in said


def _index_options(parts: list[_Part]) -> tuple[str, ...]:
    """The index that torch was found on serves its relatives too; links serve nothing but what they hold."""
    return next((found.source.options for _, _, found in parts if "--torch-backend" in found.source.options), ())


def _sources(recipe: Recipe, uv: Uv, gpu: bool) -> tuple[Source, ...]:
    """PyPI's torch for Linux on x86 brings gigabytes of CUDA; without a GPU its own index's CPU build is used, or one
    among the links where that index cannot be reached."""
    cuda_by_default = platform.system() == "Linux" and platform.machine() in ("x86_64", "aarch64")
    if recipe is not TORCH or gpu or not cuda_by_default:
        return (Source(),)
    return _CPU_TORCH if uv.has_links else _CPU_TORCH[:1]


def _title(parts: list[_Part], versions: dict[str, str]) -> str:
    return " with ".join(f"{recipe.title} {versions.get(recipe.distribution, '?')}" for recipe, _, _ in parts)


def _nearest(parts: list[_Part], versions: dict[str, str]) -> str:
    return " ".join(
        f"{recipe.title} {wanted} was asked for; {found.version} is the nearest that can be installed for Python "
        f"{_python()} here ({platform.machine()})."
        for recipe, wanted, found in parts
        if not found.exact and versions.get(recipe.distribution) == found.version
    )


def _key(recipient: Recipient) -> str:
    """Everything that an environment depends on, as a name."""
    choice = recipient.choice
    content = [
        _FORMAT,
        recipient.framework,
        choice.version,
        choice.torch_version,
        recipient.gpu,
        RUNTIME_PINS,
        asdict(RECIPES[recipient.framework]),
        [sys.version, platform.machine(), sys.base_prefix],
        _digests(recipient.requirements),
    ]
    if choice.compiled:
        content.append(COMPILERS[recipient.framework])
    digest = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
    return f"{recipient.framework}{'-onnx' if choice.compiled else ''}-{choice.version or 'newest'}-{digest}"


def _digests(requirements: Path | None) -> list[list[str]]:
    """The requirements' content; of every file beside them, too, where they name files."""
    if requirements is None:
        return []
    lines = [line.strip() for line in requirements.read_text(errors="replace").splitlines()]
    plain = all(not line.startswith(("-", ".")) and not _MAY_BE_FILE.search(line) for line in lines)
    folder = requirements.parent
    files = [requirements] if plain else sorted(file for file in folder.rglob("*") if file.is_file())
    return [[str(file.relative_to(folder)), hashlib.sha256(file.read_bytes()).hexdigest()] for file in files]


def _read(path: Path) -> Environment | None:
    try:
        content = json.loads((path / _MARKER).read_text())
        return Environment(path, content["title"], content["nearest"])
    except (OSError, ValueError, KeyError):
        return None


@contextlib.asynccontextmanager
async def _alone(cache: Path, key: str) -> AsyncIterator[None]:
    with _lock_file(cache, key) as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(_LOCK_SECONDS)
        yield


def _lock_file(cache: Path, key: str) -> IO[str]:
    if not cache.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        cache.chmod(0o755)
    return (cache / f"{key}.lock").open("w")


def _python() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"
