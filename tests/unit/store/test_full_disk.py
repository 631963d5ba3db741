"""A full disk: what cannot be stored is refused in words, what is stored is kept, and with room it goes on."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import event

from modeldyno.domain.errors import StoreFull
from modeldyno.store.sql import SqlStore, open_store
from modeldyno.testing.contracts.facts import REGION, a_job

LARGE = {"text": "x" * 50_000}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    opened = open_store(f"sqlite:///{tmp_path / 'dyno.sqlite'}", migrate=True, now=0.0)
    yield opened
    opened.close()


def limit_pages(store: SqlStore, pages: int) -> None:
    """Let the database grow to so many pages only: SQLite then says what it says of a full disk."""
    engine = store._database.engine
    engine.dispose()

    def limited(connection: sqlite3.Connection, _: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages}")

    event.listen(engine, "connect", limited)


def add_many(store: SqlStore) -> None:
    for number in range(20):
        store.add_job(replace(a_job(f"large-{number}"), document=LARGE))


def test_a_full_disk_refuses_in_words_keeps_what_is_there_and_goes_on_when_there_is_room(store: SqlStore) -> None:
    store.add_job(a_job("kept"))
    limit_pages(store, 60)
    with pytest.raises(StoreFull, match="the disk of the database is full") as refusal:
        add_many(store)
    assert "database or disk is full" in str(refusal.value.__cause__)
    assert store.job(REGION, "kept").document == a_job("kept").document
    limit_pages(store, 10_000)
    store.add_job(replace(a_job("later"), document=LARGE))
    assert store.job(REGION, "later").document == LARGE


FILLING = """
    import sys
    from dataclasses import replace
    from pathlib import Path
    from modeldyno.domain.errors import StoreFull
    from modeldyno.store.sql import open_store
    from modeldyno.testing.contracts.facts import REGION, a_job
    place = Path(sys.argv[1])
    store = open_store(f"sqlite:///{place / 'dyno.sqlite'}", migrate=True, now=0.0)
    store.add_job(a_job("kept"))
    filler = place / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
    stored = []
    try:
        for number in range(100):
            store.add_job(replace(a_job(f"job-{number}"), document={"text": "x" * 50_000}))
            stored.append(f"job-{number}")
        print("never full")
    except StoreFull as full:
        print(full)
    for name in ("kept", *stored):
        store.job(REGION, name)
    store.close()
    filler.unlink()
    again = open_store(f"sqlite:///{place / 'dyno.sqlite'}", migrate=True, now=0.0)
    again.add_job(a_job("later"))
    assert {again.job(REGION, name).name for name in ("kept", "later", *stored)} == {"kept", "later", *stored}
    print("goes on")
"""


@pytest.mark.root
@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare")
def test_a_real_small_file_system_that_fills_up_loses_nothing(tmp_path: Path) -> None:
    script = tmp_path / "fill.py"
    script.write_text(textwrap.dedent(FILLING))
    small = tmp_path / "small"
    small.mkdir()
    mounted = f"mount -t tmpfs -o size=1m tmpfs {small} && exec {sys.executable} {script} {small}"
    run = subprocess.run(
        ["unshare", "--mount", "sh", "-c", mounted], capture_output=True, text=True, check=False, timeout=60
    )
    if run.returncode != 0 and "mount" in run.stderr and "Traceback" not in run.stderr:
        pytest.skip(f"no file system can be mounted here: {run.stderr.strip()}")
    assert run.returncode == 0, run.stderr
    full, on = run.stdout.splitlines()
    assert "is full" in full
    assert on == "goes on"
