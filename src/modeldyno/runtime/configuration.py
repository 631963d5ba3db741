"""What the environment asks of the server: the inference toolkit's variables, read once.

**Source:** aws/sagemaker-inference-toolkit, environment.py and parameters.py (names, defaults).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Mapping  # noqa: UP035 - the runtime reads on Python 3.8

DEFAULT_BASE_DIR = "/opt/ml"
MAX_PAYLOAD_MIB = 100  # generous: the service's own limit (6 MiB, BC InvokeEndpoint) is the caller's, not the model's


class ConfigurationError(Exception):
    """A variable that cannot be understood; the text names it, the rule and the value."""


@dataclass(frozen=True)
class Configuration:
    """How to serve. `program` is the script's path; it need not exist. `timeout_seconds`: of a request in a worker.
    `algorithm`: without a script, by XGBoost's built-in algorithm. `compiled`: the graph in the place of the model."""

    framework: str
    port: int
    model_dir: Path
    code_dir: Path
    program: Path
    workers: int
    timeout_seconds: float
    default_accept: str
    max_payload_bytes: int
    algorithm: bool = False
    compiled: bool = False


def read(framework: str, environment: Mapping[str, str], compiled: bool = False) -> Configuration:
    """The configuration that these variables ask for.

    Raises:
        ConfigurationError: a number that is none, or out of range.
    """
    base_dir = environment.get("SAGEMAKER_BASE_DIR") or DEFAULT_BASE_DIR
    model_dir = Path(base_dir, "model")
    code_dir = _code_dir(environment.get("SAGEMAKER_SUBMIT_DIRECTORY"), base_dir)
    named = environment.get("SAGEMAKER_PROGRAM") or "inference.py"
    program = code_dir / (named if named.endswith(".py") else named + ".py")
    algorithm = framework == "xgboost" and not environment.get("SAGEMAKER_PROGRAM") and not program.is_file()
    timeout = _number(environment, "SAGEMAKER_MODEL_SERVER_TIMEOUT", 60)
    return Configuration(
        framework=framework,
        port=int(_number(environment, "SAGEMAKER_BIND_TO_PORT", 8080)),
        model_dir=model_dir,
        code_dir=code_dir,
        program=program,
        workers=int(_number(environment, "SAGEMAKER_MODEL_SERVER_WORKERS", _usable_cores())),
        timeout_seconds=_number(environment, "SAGEMAKER_MODEL_SERVER_TIMEOUT_SECONDS", timeout),
        default_accept=environment.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT")
        or ("text/csv" if algorithm else "application/json"),
        max_payload_bytes=int(_number(environment, "SAGEMAKER_MAX_PAYLOAD_IN_MB", MAX_PAYLOAD_MIB)) * 1024**2,
        algorithm=algorithm,
        compiled=compiled,
    )


def _code_dir(submitted: str | None, base_dir: str) -> Path:
    """Where the script is. A path under /opt/ml means the same place under the base directory."""
    if not submitted:
        return Path(base_dir, "model", "code")
    path = Path(submitted)
    if not path.exists() and path.parts[:3] == Path(DEFAULT_BASE_DIR).parts:
        return Path(base_dir, *path.parts[3:])
    return path


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _number(environment: Mapping[str, str], name: str, default: float) -> float:
    text = environment.get(name)
    if not text:
        return default
    try:
        value = float(text) if name.startswith("SAGEMAKER_MODEL_SERVER_TIMEOUT") else int(text)
    except ValueError:
        raise ConfigurationError(f"{name} is {text!r}: not a number.") from None
    if value <= 0:
        raise ConfigurationError(f"{name} is {text!r}: it must be above 0.")
    return value
