"""What a child of `dyno up` writes to its log."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from modeldyno.app.orders import note


@pytest.mark.root
def test_a_line_that_the_disk_has_no_room_for_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    full = Path("/dev/full").open("w", buffering=1)  # noqa: SIM115 - its close fails, too
    monkeypatch.setattr(sys, "stderr", full)
    note("a line")
    note("another")
    monkeypatch.undo()
    with pytest.raises(OSError, match="No space"):
        full.close()
