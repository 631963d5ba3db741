"""Which framework a model needs, and which version: read from its files, never by loading them.

1. A requirement in code/requirements.txt names the framework, and the version when it is pinned.
2. Else an import in the model's Python files names it.
3. Else the names of the files do (``.pt`` and ``.pth`` are PyTorch's).
4. A scikit-learn pickle carries the version that wrote it: that is the version to use where none is pinned.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from modeldyno.cli.packing import members
from modeldyno.domain.errors import InvalidRequest
from modeldyno.domain.images import Framework

_PACKAGES = {
    "transformers": Framework.HUGGING_FACE,
    "torch": Framework.PYTORCH,
    "xgboost": Framework.XGBOOST,
    "tensorflow": Framework.TENSORFLOW,
    "scikit-learn": Framework.SCIKIT_LEARN,
}
"""Most telling first: a Hugging Face model imports torch as well, an XGBoost model often scikit-learn."""
_MODULES = {
    "transformers": "transformers",
    "torch": "torch",
    "xgboost": "xgboost",
    "tensorflow": "tensorflow",
    "keras": "tensorflow",
    "sklearn": "scikit-learn",
}
_SUFFIXES = {
    ".pt": "torch",
    ".pth": "torch",
    ".safetensors": "transformers",
    ".xgb": "xgboost",
    ".ubj": "xgboost",
    ".pb": "tensorflow",
}
_PICKLES = (".joblib", ".pkl", ".pickle")

_VERSION = r"([0-9]+\.[0-9]+(?:\.[0-9]+)?)"
_REQUIREMENT = re.compile(rf"^\s*([A-Za-z0-9._-]+)\s*(?:\[[^\]]*\])?\s*(?:(?:==|~=)\s*{_VERSION})?", re.MULTILINE)
_IMPORT = re.compile(r"^\s*(?:import|from)\s+(\w+)", re.MULTILINE)
# A pickle holds the name, an opcode, the length and then the version. Source: sklearn.base.BaseEstimator.__getstate__.
_WRITTEN_BY = re.compile(b"_sklearn_version.{1,14}?" + _VERSION.encode(), re.DOTALL)
_NEED_SCRIPT = frozenset({Framework.SCIKIT_LEARN})
SCRIPT = "code/inference.py"
_TEXT_BYTES = 1024**2
_PICKLE_BYTES = 64 * 1024**2


@dataclass(frozen=True, slots=True)
class Detected:
    """The framework, its version (None: the newest), and what told, in words."""

    framework: Framework
    version: str | None
    evidence: str


def demand_script(model: Path, framework: Framework) -> None:
    """That a model has the script without which its framework's server cannot load it.

    Raises:
        InvalidRequest: it has none.
    """
    names = _names(model)
    if framework not in _NEED_SCRIPT or SCRIPT in names:
        return
    deeper = next((name for name in names if name.endswith(f"/{SCRIPT}")), None)
    hint = f" (it has {deeper}: pack what is in that directory, not the directory)" if deeper else ""
    raise InvalidRequest(
        f"The model {model} has no {SCRIPT}{hint}. {framework} needs one, with a model_fn(model_dir) that loads it."
    )


def _names(model: Path) -> list[str]:
    if model.is_dir():
        return [name for name, _ in members(model)]
    try:
        with tarfile.open(model, "r:gz") as archive:
            return [name.removeprefix("./") for name in archive.getnames()]
    except (tarfile.TarError, EOFError, OSError) as error:
        raise InvalidRequest(f"The model {model} is neither a directory nor a readable tar.gz: {error}.") from error


@dataclass(slots=True)
class _Clues:
    requirements: dict[str, str | None]
    modules: dict[str, str]
    suffixes: dict[str, str]
    pickles: list[str]
    written_by: str | None = None


def detect(model: Path) -> Detected:
    """What a model directory or tar.gz needs.

    Raises:
        InvalidRequest: it cannot be told; the message names the options that tell it.
    """
    clues = _Clues({}, {}, {}, [])
    if model.is_dir():
        for name, path in members(model):
            with path.open("rb") as content:
                _look(clues, name, content)
    else:
        _look_into(clues, model)
    return _judge(clues, model)


def _look_into(clues: _Clues, model: Path) -> None:
    try:
        with tarfile.open(model, "r:gz") as archive:
            for member in archive:
                content = archive.extractfile(member) if member.isfile() else None
                if content is not None:
                    _look(clues, member.name.removeprefix("./"), content)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise InvalidRequest(f"The model {model} is neither a directory nor a readable tar.gz: {error}.") from error


def _look(clues: _Clues, name: str, content: IO[bytes]) -> None:
    suffix = Path(name).suffix
    if Path(name).name == "requirements.txt":
        text = content.read(_TEXT_BYTES).decode("utf-8", "replace")
        clues.requirements |= {found[1].lower().replace("_", "-"): found[2] for found in _REQUIREMENT.finditer(text)}
    elif suffix == ".py":
        for found in _IMPORT.finditer(content.read(_TEXT_BYTES).decode("utf-8", "replace")):
            clues.modules.setdefault(found[1], name)
    elif suffix in _PICKLES:
        clues.pickles.append(name)
        clues.written_by = clues.written_by or _writer(content)
    elif suffix in _SUFFIXES:
        clues.suffixes.setdefault(_SUFFIXES[suffix], name)


def _writer(content: IO[bytes]) -> str | None:
    """The scikit-learn that wrote a pickle; None where it is not scikit-learn's, or compressed."""
    found = _WRITTEN_BY.search(content.read(_PICKLE_BYTES))
    return found[1].decode() if found else None


def _judge(clues: _Clues, model: Path) -> Detected:
    imported = {_MODULES[module]: name for module, name in clues.modules.items() if module in _MODULES}
    for package, framework in _PACKAGES.items():
        if package in clues.requirements:
            pinned = clues.requirements[package]
            return _detected(clues, framework, pinned, "requirements.txt names it")
    for package, framework in _PACKAGES.items():
        if package in imported:
            return _detected(clues, framework, None, f"{imported[package]} imports it")
    if clues.written_by:
        return _detected(clues, Framework.SCIKIT_LEARN, None, f"{clues.pickles[0]} is its pickle")
    for package, framework in _PACKAGES.items():
        if package in clues.suffixes:
            return _detected(clues, framework, None, f"{clues.suffixes[package]} is its file")
    raise InvalidRequest(
        f"It cannot be told which framework {model} needs{_seen(clues.pickles)}: say --framework "
        f"{', '.join(sorted(Framework))}, or name an image of your own with --image."
    )


def _seen(pickles: Iterable[str]) -> str:
    names = ", ".join(pickles)
    return f" ({names} could be anyone's pickle)" if names else ""


def _detected(clues: _Clues, framework: Framework, pinned: str | None, evidence: str) -> Detected:
    if pinned:
        return Detected(framework, pinned, f"{evidence}, pinned to {pinned}")
    if framework is Framework.SCIKIT_LEARN and clues.written_by:
        return Detected(framework, clues.written_by, f"{evidence}; the pickle was written by {clues.written_by}")
    return Detected(framework, None, evidence)
