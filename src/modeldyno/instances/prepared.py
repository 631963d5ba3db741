"""What to run in an instance: the seam between environments (which program) and the backend (under which limits)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from modeldyno.domain.trial import Flag
from modeldyno.ports import DeployRequest


@dataclass(frozen=True, slots=True)
class Prepared:
    """A server's command line, ready to run.

    command: absolute program and arguments; it reads the port from SAGEMAKER_BIND_TO_PORT and the model from
    SAGEMAKER_BASE_DIR/model. environment: variables beside the container contract's own. readable: directories outside
    the instance's own that the server must be able to read (an unprivileged user, too). description: for people.
    effective_environment: what took effect and is worth telling, always with the worker count where it is known.
    """

    command: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    readable: tuple[Path, ...] = ()
    description: str = ""
    flags: dict[Flag, str] = field(default_factory=dict)
    effective_environment: dict[str, str] = field(default_factory=dict)


Prepare = Callable[[DeployRequest], Awaitable[Prepared]]
"""Finds or builds what a request runs. Raises InputFault where there is none; must be cancellable."""
