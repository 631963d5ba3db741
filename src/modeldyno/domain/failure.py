"""Why something failed, in the room that the wire has for it."""

from __future__ import annotations

from collections.abc import Sequence

from modeldyno.domain.names import keep_end
from modeldyno.domain.trial import Trial

REASON_LIMIT = 1024
"""Characters of a FailureReason. Source: botocore shape FailureReason."""
_LOG = " Last lines of its log: "
_LEAST_LOG = 240


def failure_text(reason: str, log_tail: str, limit: int = REASON_LIMIT) -> str:
    """The reason, and as much of the end of the model's log as there is room for."""
    if not log_tail:
        return keep_end(reason, limit)
    head = keep_end(reason, limit - len(_LOG) - min(_LEAST_LOG, len(log_tail)))
    return head + _LOG + keep_end(log_tail, limit - len(head) - len(_LOG))


def without_log(text: str) -> str:
    """A failure's reason without the lines of the log behind it."""
    return text.partition(_LOG)[0]


def failures_text(trials: Sequence[Trial], note: str = "") -> str:
    """The reasons of all trials, each once, and the end of the log of the last one that has any."""
    reasons = dict.fromkeys([note] if note else [])
    reasons |= dict.fromkeys(trial.failure_reason for trial in trials if trial.failure_reason)
    tail = next((trial.log_tail for trial in reversed(trials) if trial.log_tail), "")
    return failure_text(" ".join(reasons) or "No trial was run.", tail)
