"""The reading end of the spool (`ports.SpoolSource`)."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from modeldyno.domain.pair import Pair
from modeldyno.router.spool import is_alive, read_segment
from modeldyno.router.tally import read_tally

# A front that was killed while it made its directory has left one that nobody will write to.
_BEGUN_SECONDS = 60.0


class LocalSpool:
    """The spool of this host's fronts, under one directory."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def lives(self) -> tuple[str, ...]:
        """See `ports.SpoolSource`."""
        if not self._root.is_dir():
            return ()
        found = [path for path in self._root.iterdir() if path.is_dir()]
        for begun in [path for path in found if path.name.startswith(".")]:
            with contextlib.suppress(FileNotFoundError):
                if time.time() - begun.stat().st_mtime > _BEGUN_SECONDS:
                    shutil.rmtree(begun, ignore_errors=True)
        return tuple(sorted(path.name for path in found if not path.name.startswith(".")))

    def is_alive(self, life: str) -> bool:
        """See `ports.SpoolSource`."""
        return is_alive(self._root / life)

    def segments(self, life: str) -> tuple[str, ...]:
        """See `ports.SpoolSource`. What a dead front was writing is complete as far as it got."""
        suffixes = {".segment"} if self.is_alive(life) else {".segment", ".open"}
        return tuple(sorted(path.name for path in (self._root / life).iterdir() if path.suffix in suffixes))

    def pairs(self, life: str, segment: str) -> Iterator[Pair]:
        """See `ports.SpoolSource`."""
        return read_segment(self._root / life / segment)

    def age_seconds(self, life: str, segment: str, now: float) -> float:
        """See `ports.SpoolSource`."""
        return now - (self._root / life / segment).stat().st_mtime

    def remove(self, life: str, segment: str) -> None:
        """See `ports.SpoolSource`."""
        (self._root / life / segment).unlink(missing_ok=True)

    def counts(self, life: str) -> dict[str, dict[str, int]]:
        """See `ports.SpoolSource`."""
        with contextlib.suppress(FileNotFoundError):
            return read_tally(self._root / life / "tally")
        return {}

    def forget(self, life: str) -> None:
        """See `ports.SpoolSource`."""
        shutil.rmtree(self._root / life, ignore_errors=True)
