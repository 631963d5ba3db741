"""`python -m benchmarks [--quick] [NAMES]`: speed and size as JSON; docs/reference/benchmarks.md tells the rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.control_plane import control_plane
from benchmarks.service import memory, start
from benchmarks.summary import run_rows

BENCHMARKS: dict[str, Callable[[bool], dict[str, Any]]] = {
    "control_plane": control_plane,
    "start": start,
    "memory": memory,
}


if __name__ == "__main__":
    run_rows("benchmarks", "Speed and size as JSON.", BENCHMARKS)
