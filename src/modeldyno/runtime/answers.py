"""What goes back to the caller, also of what went wrong."""

from __future__ import annotations

import sys
import traceback
from dataclasses import dataclass
from typing import Any, Protocol

from . import codecs

PLAIN = "text/plain; charset=utf-8"


@dataclass(frozen=True)
class Answer:
    """What goes back to the caller."""

    status: int
    content_type: str
    body: bytes
    headers: dict[str, str]


class Serving(Protocol):
    """A loaded model, ready to answer one request at a time. `model`: what was loaded."""

    model: Any

    def answer(self, headers: dict[str, str], body: bytes) -> Answer:
        """One request answered. Whatever goes wrong with it becomes an answer, too."""
        ...


def failure(error: Exception) -> Answer:
    """The answer to a request that ended in this error: its own `status_code` of 400 to 599, else 500. Its traceback
    goes to the log, unless it is no surprise."""
    status = getattr(error, "status_code", None)
    if not (isinstance(status, int) and 400 <= status <= 599):
        status = 500
    if isinstance(error, codecs.StatusError):
        text = str(error)
        sys.stderr.write(text + "\n")
    else:
        text = traceback.format_exception_only(type(error), error)[-1].strip()
        traceback.print_exception(type(error), error, error.__traceback__)
    return Answer(status, PLAIN, text.encode(), {})
