"""Only one Dyno of a host measures at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from modeldyno.instances.host_lock import MeasuringLock

HOLD = """
import sys, time
from pathlib import Path
from modeldyno.instances.host_lock import MeasuringLock
lock = MeasuringLock(Path(sys.argv[1]))
print(lock.try_acquire(), flush=True)
time.sleep(3600)
"""


def test_a_lock_held_by_another_process_is_refused_and_tells_by_whom(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    other = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE)
    assert other.stdout is not None
    with other.stdout as told:
        assert told.readline() == b"True\n"
    lock = MeasuringLock(path)
    try:
        assert not lock.try_acquire()
        assert lock.holder() == other.pid
    finally:
        other.send_signal(signal.SIGKILL)
        other.wait()
    assert lock.holder() is None
    assert lock.try_acquire()
    lock.release()


def test_a_lock_given_back_can_be_taken(tmp_path: Path) -> None:
    one, two = MeasuringLock(tmp_path / "lock"), MeasuringLock(tmp_path / "lock")
    assert one.try_acquire()
    assert one.try_acquire()
    assert not two.try_acquire()
    assert two.holder() == os.getpid()
    one.release()
    one.release()
    assert two.try_acquire()
    two.release()
    assert two.holder() is None


def test_the_file_is_for_every_user(tmp_path: Path) -> None:
    lock = MeasuringLock(tmp_path / "lock")
    assert lock.try_acquire()
    lock.release()
    assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o666


def test_without_a_path_it_is_at_a_place_that_all_users_share() -> None:
    assert MeasuringLock().path in (
        Path("/var/lock/modeldyno-measuring.lock"),
        Path("/tmp/modeldyno-measuring.lock"),
    )
