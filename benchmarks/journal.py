"""Runs that are done, kept in a file: a benchmark that was interrupted goes on where it was."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

Run = dict[str, Any]


class Journal:
    """Runs by name, in a file when there is one: it is written anew after each, whole or not at all."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._done: dict[str, Run] = {}
        if path is not None and path.exists():
            self._done = msgspec.json.decode(path.read_bytes(), type=dict[str, Run])

    def get(self, name: str) -> Run | None:
        """The run of that name; None while it is not done."""
        return self._done.get(name)

    def keep(self, name: str, run: Run) -> None:
        """Add a run, and tell of it on standard error."""
        self._done[name] = run
        if self._path is not None:
            part = self._path.with_name(f"{self._path.name}.part")
            part.write_bytes(msgspec.json.encode(self._done))
            part.replace(self._path)
        print(f"{name}: {json.dumps(in_short(run))}", file=sys.stderr, flush=True)

    def take(self, name: str, measure: Callable[[], Run]) -> Run:
        """The run of that name, measured when it is not yet done."""
        done = self.get(name)
        if done is None:
            done = measure()
            self.keep(name, done)
        return done


def in_short(run: Run) -> Run:
    """The figures of a run that are single values, to four digits."""
    return {
        name: float(f"{value:.4g}") if isinstance(value, float) else value
        for name, value in run.items()
        if not isinstance(value, dict | list)
    }
