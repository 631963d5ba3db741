"""Interleaved repeats, their medians and every value; and what they were measured on."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.journal import Journal

Rows = dict[str, dict[str, dict[str, Any]]]


def repeated(measures: Mapping[str, Callable[[], dict[str, float]]], repeats: int) -> Rows:
    """Take every measure in turn, so many times: what else the machine does meanwhile meets all of them."""
    taken: dict[str, list[dict[str, float]]] = {name: [] for name in measures}
    for _ in range(repeats):
        for name, measure in measures.items():
            taken[name].append(measure())
    return medians(taken)


def medians(taken: Mapping[str, Sequence[Mapping[str, float]]]) -> Rows:
    """For every figure of every row its median, and its values in the order of time."""
    return {
        name: {
            figure: {
                "median": round(statistics.median(run[figure] for run in runs), 3),
                "values": [run[figure] for run in runs],
            }
            for figure in runs[0]
        }
        for name, runs in taken.items()
    }


def over(row: Mapping[str, Any], other: Mapping[str, Any], figure: str) -> float:
    """How many times one row's median is the other's."""
    return float(round(row[figure]["median"] / other[figure]["median"], 2))


def run_rows(
    prog: str,
    words: str,
    rows: Mapping[str, Callable[..., dict[str, Any]]],
    *,
    resumable: bool = False,
    needs: Sequence[str] = (),
) -> None:
    """The command line of a benchmark: measure the rows that it names, or all, and print JSON.

    A row is called with whether it should be quick; where runs are `resumable`, after the journal that keeps them.
    `needs`: programs, without which (or a second core) it is refused.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {prog}", description=words)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(rows)}; default: all")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter repeats")
    if resumable:
        parser.add_argument("--resume", type=Path, help="a file that keeps finished runs")
    arguments = parser.parse_args()
    names = arguments.names or list(rows)
    if unknown := [name for name in names if name not in rows]:
        parser.error(f"there is no row {unknown[0]}; there are {', '.join(rows)}")
    missing = [name for name in needs if shutil.which(name) is None]
    if missing or (needs and len(os.sched_getaffinity(0)) < 2):
        parser.error(f"needs two cores and {', '.join(missing) or 'nothing else'}")
    journal = (Journal(arguments.resume),) if resumable else ()
    began = time.monotonic()
    results = {name: rows[name](*journal, arguments.quick) for name in names}
    told = {"machine": machine(), "quick": arguments.quick, "seconds": round(time.monotonic() - began)}
    print(json.dumps({**told, "results": results}, indent=2))


def machine() -> dict[str, object]:
    """What the figures were measured on."""
    models = re.findall(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    return {
        "cpu": models[0] if models else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_average": [round(value, 2) for value in os.getloadavg()],
    }
