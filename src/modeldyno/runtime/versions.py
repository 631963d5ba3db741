"""What scikit-learn warns of while a model is loaded: that another version of it wrote the pickle."""

from __future__ import annotations

import re
import warnings
from typing import Any

# scikit-learn: "Trying to unpickle estimator SVC from version 1.7.2 when using version 1.2.2. This might lead to ..."
_OTHER_VERSION = re.compile(r"unpickle estimator \S+ from version (\S+) when using version (\S+?)[.,]?(?:\s|$)")


class Versions:
    """Listens to the warnings within a ``with``, and passes them on."""

    def __init__(self) -> None:
        self._other: tuple[str, str] | None = None

    def __enter__(self) -> Versions:
        self._show = warnings.showwarning
        warnings.showwarning = self._listen
        return self

    def __exit__(self, *error: object) -> None:
        warnings.showwarning = self._show

    @property
    def hint(self) -> str:
        """What to do about a model that could not be loaded; empty where versions do not tell."""
        if self._other is None:
            return ""
        wrote, reads = self._other
        return f" (scikit-learn {wrote} wrote the model, {reads} read it: choose an image of {wrote})"

    def _listen(self, message: Any, *where: Any, **more: Any) -> None:
        found = _OTHER_VERSION.search(str(message))
        if found:
            self._other = found.group(1), found.group(2)
        self._show(message, *where, **more)
