"""`python -m benchmarks [--quick] [NAMES]`: speed and size as JSON; docs/reference/benchmarks.md tells the rows."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any

from benchmarks.control_plane import control_plane
from benchmarks.service import memory, start
from benchmarks.summary import machine

BENCHMARKS: dict[str, Callable[[bool], dict[str, Any]]] = {
    "control_plane": control_plane,
    "start": start,
    "memory": memory,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Speed and size as JSON.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; default: all")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter repeats; about half a minute")
    arguments = parser.parse_args()
    names = arguments.names or list(BENCHMARKS)
    if unknown := [name for name in names if name not in BENCHMARKS]:
        parser.error(f"there is no benchmark {unknown[0]}; there are {', '.join(BENCHMARKS)}")
    results = {name: BENCHMARKS[name](arguments.quick) for name in names}
    print(json.dumps({"machine": machine(), "quick": arguments.quick, "results": results}, indent=2))


if __name__ == "__main__":
    main()
