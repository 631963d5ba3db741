"""What is written down is read back, and what finds no room is told."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from modeldyno.domain.pair import Outcome, Pair
from modeldyno.router.spool import Spool, read_segment, spool_bytes
from modeldyno.router.spool_source import LocalSpool
from modeldyno.router.tally import ELIGIBLE, Tally, read_tally
from tests.unit.domain.hosted import a_pair

MIB = 1024**2


class Told:
    """What the spool tells, in its thread."""

    def __init__(self) -> None:
        self.kept: list[Pair] = []
        self.lost: list[Pair] = []
        self.event = threading.Condition()

    def __call__(self, pair: Pair, kept: bool) -> None:
        with self.event:
            (self.kept if kept else self.lost).append(pair)
            self.event.notify_all()

    def wait(self, condition: Callable[[], bool]) -> None:
        with self.event:
            assert self.event.wait_for(condition, 10)


def a_spool(root: Path, told: Told, **limits: int) -> Spool:
    given = {"most_waiting_bytes": MIB, "most_bytes": 100 * MIB, "spare_bytes": 0, **limits}
    return Spool(root, "life", told, **given)


def test_pairs_come_back_in_order_as_they_were(tmp_path: Path) -> None:
    told = Told()
    spool = a_spool(tmp_path, told)
    pairs = [a_pair(b"\xff\x00", at=float(number), again=b"[2]") for number in range(20)]
    for pair in pairs:
        assert spool.offer(pair)
    spool.close()
    source = LocalSpool(tmp_path)
    assert source.lives() == ("life",)
    assert not source.is_alive("life")
    assert [pair for name in source.segments("life") for pair in source.pairs("life", name)] == pairs
    assert told.kept == pairs


def test_segments_are_closed_within_a_moment_while_the_front_lives(tmp_path: Path) -> None:
    told = Told()
    spool = a_spool(tmp_path, told)
    source = LocalSpool(tmp_path)
    assert source.is_alive("life")
    spool.offer(a_pair())
    until = time.monotonic() + 5
    while not source.segments("life") and time.monotonic() < until:
        time.sleep(0.01)
    assert len(source.segments("life")) == 1
    spool.close()


def test_what_finds_no_room_in_memory_is_refused_at_once(tmp_path: Path) -> None:
    told = Told()
    spool = a_spool(tmp_path, told, most_waiting_bytes=100)
    large = a_pair(b"x" * 60)
    assert spool.offer(large)
    assert not spool.offer(large)
    told.wait(lambda: len(told.kept) == 1)
    spool.settle(large.size)
    assert spool.offer(large)
    spool.close()


def test_a_disk_without_room_refuses_and_leaves_whole_records(tmp_path: Path) -> None:
    told = Told()
    spool = a_spool(tmp_path, told, spare_bytes=1 << 62)
    told.wait(lambda: True)
    until = time.monotonic() + 5
    while spool.offer(a_pair()) and time.monotonic() < until:
        time.sleep(0.01)
    assert not spool.offer(a_pair())
    spool.close()


def test_a_record_that_a_crash_cut_off_ends_its_segment(tmp_path: Path) -> None:
    told = Told()
    spool = a_spool(tmp_path, told)
    for number in range(3):
        spool.offer(a_pair(at=float(number)))
    spool.close()
    (path,) = spool.directory.glob("*.segment")
    whole = path.read_bytes()
    for cut in (1, 3, 30):
        path.write_bytes(whole[:-cut])
        assert [pair.at for pair in read_segment(path)] == [0.0, 1.0]


def test_counts_outlive_the_process_that_counted(tmp_path: Path) -> None:
    path = tmp_path / "tally"
    child = os.fork()
    if child == 0:
        tally = Tally(path)
        for _ in range(1000):
            tally.add("x1", ELIGIBLE)
        tally.add("x1", Outcome.COMPARED, 3)
        tally.add("x2", ELIGIBLE)
        os.kill(os.getpid(), 9)
    os.waitpid(child, 0)
    counts = read_tally(path)
    assert (counts["x1"][ELIGIBLE], counts["x1"]["compared"], counts["x2"][ELIGIBLE]) == (1000, 3, 1)
    assert counts["x1"]["dropped"] == 0


def test_a_record_that_the_disk_has_changed_does_not_hide_the_others(tmp_path: Path) -> None:
    spool = a_spool(tmp_path, Told())
    for number in range(3):
        spool.offer(a_pair(at=float(number)))
    spool.close()
    (path,) = spool.directory.glob("*.segment")
    data = bytearray(path.read_bytes())
    second = 4 + int.from_bytes(data[:4], "little")
    data[second + 4] = 0xC1  # no value of msgpack begins so
    path.write_bytes(data)
    assert [pair.at for pair in read_segment(path)] == [0.0, 2.0]


def test_a_pair_that_cannot_be_written_is_told_and_the_next_one_is(tmp_path: Path) -> None:
    told = Told()
    spool = a_spool(tmp_path, told)
    assert spool.offer(replace(a_pair(), content_type="\ud800"))
    assert spool.offer(a_pair(at=1.0))
    spool.close()
    assert ([pair.content_type for pair in told.lost], [pair.at for pair in told.kept]) == (["\ud800"], [1.0])


def test_each_file_of_the_spool_counts_for_the_block_that_it_takes(tmp_path: Path) -> None:
    (tmp_path / "life").mkdir()
    for number in range(10):
        (tmp_path / "life" / f"{number}.segment").write_bytes(b"x")
    assert spool_bytes(tmp_path) == 10 * 4096


def test_there_is_room_for_as_many_keys_as_come(tmp_path: Path) -> None:
    path = tmp_path / "tally"
    tally = Tally(path)
    for number in range(1500):
        tally.add(f"x{number}", ELIGIBLE, number + 1)
    tally.add("x0", ELIGIBLE)
    counts = read_tally(path)
    assert [counts[f"x{number}"][ELIGIBLE] for number in (0, 1, 1023, 1499)] == [2, 2, 1024, 1500]
    tally.close()


def test_the_counts_take_their_room_on_the_disk_at_once_so_that_a_full_one_ends_nobody(tmp_path: Path) -> None:
    tally = Tally(tmp_path / "tally")
    facts = (tmp_path / "tally").stat()
    assert facts.st_blocks * 512 >= facts.st_size
    tally.close()


def test_a_disk_without_room_for_the_counts_leaves_them_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, offset: int, size: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    tally = Tally(tmp_path / "tally")
    tally.add("x1", ELIGIBLE)
    assert read_tally(tmp_path / "tally") == {}
    tally.close()
