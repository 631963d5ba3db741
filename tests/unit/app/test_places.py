"""What a data directory keeps, and for how long."""

from __future__ import annotations

import os
from pathlib import Path

from modeldyno.app.places import DirectoryLock, Places


def made(path: Path, modified_at: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    os.utime(path, (modified_at, modified_at))
    return path


def test_logs_and_results_of_old_jobs_go_and_those_of_new_ones_stay(tmp_path: Path) -> None:
    places = Places(tmp_path)
    old = [made(places.trial_log("r", "old", 0), 100.0), made(places.result("r", "old"), 100.0)]
    new = [made(places.trial_log("r", "new", 0), 300.0), made(places.result("r", "new"), 300.0)]
    mixed = [made(places.trial_log("r", "mixed", 0), 100.0), made(places.trial_log("r", "mixed", 1), 300.0)]
    worker_log = made(places.logs / "worker.log", 100.0)
    old.append(made(places.server_log("r", "gone", "main", 0), 100.0))
    new.append(made(places.server_log("r", "serves", "main", 0), 300.0))
    places.prune(200.0)
    assert not any(path.exists() for path in old)
    assert all(path.exists() for path in [*new, *mixed, worker_log])


def test_a_deleted_job_leaves_no_files(tmp_path: Path) -> None:
    places = Places(tmp_path)
    files = [made(places.trial_log("r", "job", 0), 1.0), made(places.result("r", "job"), 1.0)]
    other = made(places.trial_log("r", "job-2", 0), 1.0)
    places.forget("r", "job")
    assert not any(path.exists() for path in files)
    assert other.exists()


def test_one_holder_of_a_directory_is_told_to_the_next(tmp_path: Path) -> None:
    first, second = DirectoryLock(Places(tmp_path)), DirectoryLock(Places(tmp_path))
    assert first.try_acquire()
    assert not second.try_acquire()
    assert second.holder() == str(os.getpid())
    first.release()
    assert second.try_acquire()
    second.release()
