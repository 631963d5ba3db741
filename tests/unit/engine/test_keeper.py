"""What fronts wrote down is taken once: counted, compared, delivered."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from modeldyno.domain.endpoint import CaptureSpec
from modeldyno.domain.errors import ObjectError
from modeldyno.domain.experiment import ExperimentStatus, Margins
from modeldyno.domain.pair import Outcome, Pair
from modeldyno.domain.shadow_document import accounting
from modeldyno.engine.keeper import Keeper
from modeldyno.router.spool import Spool
from modeldyno.router.spool_source import LocalSpool
from modeldyno.router.tally import ELIGIBLE, Tally
from tests.unit.domain.hosted import a_pair, an_experiment
from tests.unit.engine.world import World

CAPTURED = CaptureSpec(100, "s3://bucket/captured")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World.at(tmp_path) as world:
        world.store.add_experiment(an_experiment(status=ExperimentStatus.RUNNING))
        yield world


class Front:
    """One life of a front that writes pairs."""

    def __init__(self, root: Path, life: str = "life") -> None:
        limits = {"most_waiting_bytes": 1 << 20, "most_bytes": 1 << 30, "spare_bytes": 0}
        self.spool = Spool(root, life, lambda pair, kept: None, **limits)
        self.tally = Tally(self.spool.directory / "tally")

    def write(self, *pairs: Pair) -> None:
        for pair in pairs:
            assert self.spool.offer(pair)
            self.tally.add("x1", ELIGIBLE)
            self.tally.add("x1", pair.outcome or Outcome.COMPARED)

    def end(self) -> None:
        self.spool.close()
        self.tally.close()


def a_keeper(world: World) -> Keeper:
    return Keeper(world.parts(), LocalSpool(world.root / "spool"))


def pairs(world: World) -> int:
    evidence = world.store.evidence("x1")
    return 0 if evidence is None else evidence.pairs


def test_pairs_are_compared_and_counted_and_the_spool_is_empty_then(world: World) -> None:
    front = Front(world.root / "spool")
    front.write(*(a_pair(at=float(number)) for number in range(5)))
    front.tally.add("x1", ELIGIBLE, 2)  # two that never ended
    front.end()
    a_keeper(world).take()
    assert pairs(world) == 5
    counts = accounting(world.store.tallies("x1"))
    assert (counts["eligible"], counts["compared"], counts["lost_in_crash"], counts["in_flight"]) == (7, 5, 2, 0)
    assert list((world.root / "spool").iterdir()) == []


def test_a_segment_counts_once_however_often_a_crash_repeats_it(world: World) -> None:
    front = Front(world.root / "spool")
    front.write(a_pair(), a_pair())
    front.end()
    (segment,) = (world.root / "spool" / "life").glob("*.segment")
    data = segment.read_bytes()
    a_keeper(world).take()
    segment.parent.mkdir()
    segment.write_bytes(data)
    a_keeper(world).take()
    assert pairs(world) == 2


def test_captures_are_delivered_once_the_store_is_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    front = Front(world.root / "spool")
    front.write(replace(a_pair(at=1_700_000_000.0), capture=CAPTURED))
    front.end()
    put = world.objects.put

    def away(url: str, source: object) -> None:
        raise ObjectError(f"{url} cannot be written: no route to host")

    monkeypatch.setattr(world.objects, "put", away)
    keeper = a_keeper(world)
    keeper.take()
    assert pairs(world) == 1  # compared meanwhile
    assert any("captures wait" in note for note in world.notes)
    monkeypatch.setattr(world.objects, "put", put)
    again = a_keeper(world)  # another life of the worker
    again.take()
    assert pairs(world) == 1
    files = sorted((world.root / "s3" / "bucket" / "captured").rglob("*.jsonl"))
    assert [file.parts[-6] for file in files] == ["main", "shadow"]
    assert list((world.root / "spool").iterdir()) == []


def test_a_harmful_shadow_is_stopped_only_where_that_is_wanted(world: World) -> None:
    for wanted in (False, True):
        world.store.change_experiment(
            "us-east-1", "x", lambda row, wanted=wanted: replace(row, margins=Margins(stop_when_harmful=wanted))
        )
        front = Front(world.root / "spool", f"life-{wanted}")
        front.write(*(a_pair(b'["cat"]', b'["dog"]', at=float(number)) for number in range(500)))
        front.end()
        a_keeper(world).take()
        status = world.store.experiment("us-east-1", "x").status
        assert status is (ExperimentStatus.STOPPING if wanted else ExperimentStatus.RUNNING)
    stop = world.store.experiment("us-east-1", "x").stop
    assert stop is not None
    assert stop.state is ExperimentStatus.CANCELLED
    assert "harmful" in (stop.reason or "")


def test_a_segment_that_cannot_be_taken_keeps_no_other_waiting(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for life in ("a", "b"):
        front = Front(world.root / "spool", life)
        front.write(a_pair())
        front.end()
    keeper = a_keeper(world)
    compare = keeper._compare

    def broken(name: str, *rest: object) -> None:
        if name.startswith("a/"):
            raise ValueError("whatever")
        compare(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(keeper, "_compare", broken)
    keeper.take()
    keeper.take()
    assert pairs(world) == 1
    assert len([note for note in world.notes if "whatever" in note]) == 1
    assert [path.name for path in (world.root / "spool").iterdir()] == ["a"]


@pytest.mark.parametrize(
    "answer",
    [
        b"[" * 900 + b"]" * 900,
        b"[1" + b"0" * 4000 + b"]",
        b'["\\ud800"]',
        b'{"\\ud800": 1}',
        b'{"%b": 1}' % (b"k" * 9000),
    ],
)
def test_no_answer_of_a_shadow_stops_the_keeper(world: World, answer: bytes) -> None:
    front = Front(world.root / "spool")
    front.write(a_pair(b"[1.5]", answer))
    front.end()
    a_keeper(world).take()
    assert pairs(world) == 1
    assert list((world.root / "spool").iterdir()) == []


def test_counts_are_told_while_captures_cannot_be_delivered(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    front = Front(world.root / "spool")
    front.write(replace(a_pair(), capture=CAPTURED))
    keeper = a_keeper(world)
    hanging = threading.Event()
    reached = threading.Event()

    def hang(url: str, source: object) -> None:
        reached.set()
        hanging.wait(10)
        raise ObjectError("away")

    monkeypatch.setattr(world.objects, "put", hang)
    front.end()
    taking = threading.Thread(target=keeper.take)
    taking.start()
    assert reached.wait(10)
    keeper.count()
    assert accounting(world.store.tallies("x1"))["compared"] == 1
    hanging.set()
    taking.join()


def test_answers_are_compared_while_others_can_write(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(body: bytes, kind: str) -> object:
        world.store.tell("arn", 1.0, "written meanwhile")
        return None

    monkeypatch.setattr("modeldyno.engine.keeper.read_answer", read)
    front = Front(world.root / "spool")
    front.write(a_pair())
    front.end()
    done = threading.Thread(target=a_keeper(world).take, daemon=True)
    done.start()
    done.join(5)
    assert not done.is_alive()
    assert pairs(world) == 1


def test_what_is_gone_is_not_counted_again(world: World) -> None:
    front = Front(world.root / "spool")
    front.write(a_pair())
    a_keeper(world).count()
    assert world.store.tallies("x1")
    world.store.remove_experiment("us-east-1", "x")
    front.end()
    a_keeper(world).take()
    assert world.store.tallies("x1") == {}
    assert world.store.evidence("x1") is None
    assert list((world.root / "spool").iterdir()) == []


def test_the_directory_of_a_front_is_seen_only_once_it_is_locked(world: World) -> None:
    root = world.root / "spool"
    (root / ".begun").mkdir(parents=True)
    a_keeper(world).take()
    assert (root / ".begun").is_dir()
    os.utime(root / ".begun", (1.0, 1.0))
    a_keeper(world).take()
    assert list(root.iterdir()) == []
