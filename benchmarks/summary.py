"""Interleaved repeats, their medians and every value; and what they were measured on."""

from __future__ import annotations

import os
import platform
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

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
