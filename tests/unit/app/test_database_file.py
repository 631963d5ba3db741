"""The file of the embedded database: its user's alone, and whole whoever has it open."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from modeldyno.app.compose import open_dyno
from modeldyno.domain.key import AccessKey
from modeldyno.settings import Settings

_KEYS = """
import sqlite3, sys
print(*sorted(row for row, in sqlite3.connect(sys.argv[1]).execute("SELECT id FROM access_keys")))
"""


def keys_in(file: Path) -> str:
    """What another process finds; it is the last that it knows of to close the file."""
    told = subprocess.run([sys.executable, "-c", _KEYS, str(file)], capture_output=True, text=True, check=True)
    return told.stdout.strip()


def test_what_is_written_beside_a_second_opening_in_the_process_is_seen_by_others(tmp_path: Path) -> None:
    settings = Settings(data_dir=str(tmp_path))
    first = open_dyno(settings)
    first.store.add_key(AccessKey("DYNO1", "secret", 1.0))
    open_dyno(settings).close()  # where it closed the file itself, SQLite's locks of this process went with it
    assert keys_in(tmp_path / "dyno.sqlite") == "DYNO1"
    first.store.add_key(AccessKey("DYNO2", "secret", 2.0))
    assert keys_in(tmp_path / "dyno.sqlite") == "DYNO1 DYNO2"
    first.close()
    assert keys_in(tmp_path / "dyno.sqlite") == "DYNO1 DYNO2"


def test_the_file_is_its_users_alone_new_or_old(tmp_path: Path) -> None:
    settings = Settings(data_dir=str(tmp_path))
    file = tmp_path / "dyno.sqlite"
    open_dyno(settings).close()
    assert file.stat().st_mode & 0o777 == 0o600
    file.chmod(0o644)
    opened = open_dyno(settings)
    opened.store.add_key(AccessKey("DYNO1", "secret", 1.0))
    assert {path.stat().st_mode & 0o777 for path in tmp_path.glob("dyno.sqlite*")} == {0o600}
    opened.close()
