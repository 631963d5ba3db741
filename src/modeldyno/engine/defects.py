"""Errors that nobody expected: what the caller is told, and what the operator's log has."""

from __future__ import annotations

import traceback


def told(defect: Exception) -> str:
    """For the caller: a kind and a sentence, as a defect of Dyno's own, not of the model."""
    return f"{type(defect).__name__}: {defect}. This is a defect of Dyno; the worker's log has more."


def defect_text(what: str, defect: Exception) -> str:
    """For the operator: what it happened to, and where."""
    return f"{what}: " + "".join(traceback.format_exception(defect)).strip()
