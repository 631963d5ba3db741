"""What fronts wrote down is taken: counted, compared, and captures delivered.

A segment is compared once, however often it is read (its id is stored with the evidence, in one transaction). Its
captures are delivered under names that follow from its id, so that a repetition overwrites and adds nothing; only then
is it removed. While the object store is away, segments stay, for as long as the retention allows.
"""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from modeldyno.domain.errors import DynoError, ObjectError
from modeldyno.domain.evidence import Evidence, Seen, add, look_at
from modeldyno.domain.experiment import Experiment, ExperimentStatus, Margins, StopOrder, reverted
from modeldyno.domain.pair import Pair
from modeldyno.domain.verdict import Verdict, judge
from modeldyno.engine.answers import read_answer
from modeldyno.engine.captures import capture_files
from modeldyno.engine.parts import Parts
from modeldyno.ports import SpoolSource

_POLL_SECONDS = 0.25
_RETRY_SECONDS = 5.0
_JUDGE_SECONDS = 5.0
_BROKEN_SECONDS = 60.0
_NAMES = uuid.UUID("6d6f6465-6c64-796e-6f00-000000000000")  # "modeldyno": of the names of captured files


class Keeper:
    """Takes the spool of this host."""

    def __init__(self, parts: Parts, spool: SpoolSource) -> None:
        self._parts = parts
        self._store = parts.store
        self._spool = spool
        self._told: dict[tuple[str, str], tuple[dict[str, int], bool]] = {}
        self._counting = threading.Lock()
        self._known: set[str] = set()
        self._broken: dict[str, float] = {}
        self._taken: set[str] = set()
        self._retry_at = 0.0
        self._judged_at = -_JUDGE_SECONDS
        self._away = False

    async def run(self) -> None:
        """Take for ever. Counts are told beside that: comparing and delivering may take long."""
        await asyncio.gather(self._for_ever(self.take), self._for_ever(self.count))

    async def _for_ever(self, once: Callable[[], None]) -> None:
        while True:
            try:
                await asyncio.to_thread(once)
            except Exception as error:  # whatever it is, the next round may go well
                self._parts.note(f"the spool: {type(error).__name__}: {error}")
                await self._parts.clock.sleep(1.0)
            await self._parts.clock.sleep(_POLL_SECONDS)

    def take(self) -> None:
        """One round over every life."""
        lives = self._spool.lives()
        segments = {life: self._spool.segments(life) for life in lives}
        experiments = {one.id: one for one in self._store.experiments()} if any(segments.values()) else {}
        self._known = self._keys() if any(segments.values()) else set()
        for life in lives:
            alive = self._spool.is_alive(life)
            left = [name for name in segments[life] if not self._done_with(life, name, experiments)]
            if not alive and not left:
                self._count(life, self._keys())
                self._spool.forget(life)
                self._told = {key: value for key, value in self._told.items() if key[0] != life}
        now = self._parts.clock.monotonic()
        if now - self._judged_at >= _JUDGE_SECONDS:
            self._judged_at = now
            for experiment in self._store.experiments():
                self._stop_if_harmful(experiment)

    def count(self) -> None:
        """Tell the store how requests have ended. What was counted for something that is gone is of no use."""
        lives = [life for life in self._spool.lives() if self._spool.counts(life)]
        if lives:
            known = self._keys()
            for life in lives:
                self._count(life, known)

    def _keys(self) -> set[str]:
        """Under what requests may be counted now."""
        return {one.id for one in self._store.experiments()} | {one.id for one in self._store.endpoints()}

    def _done_with(self, life: str, segment: str, experiments: dict[str, Experiment]) -> bool:
        """One segment that cannot be taken, for whatever reason, does not keep the others waiting."""
        name = f"{life}/{segment}"
        if self._parts.clock.monotonic() < self._broken.get(name, 0.0):
            return False
        try:
            return self._take(life, segment, experiments)
        except DynoError:
            raise  # the store is away: so it is for the others
        except Exception as error:
            self._parts.note(f"the segment {name} of the spool waits: {type(error).__name__}: {error}")
            self._broken[name] = self._parts.clock.monotonic() + _BROKEN_SECONDS
            return False

    def _take(self, life: str, segment: str, experiments: dict[str, Experiment]) -> bool:
        """Compare and deliver one segment; whether it is done with."""
        name = f"{life}/{segment}"
        waits = name in self._taken
        not_yet = self._parts.clock.monotonic() < self._retry_at
        if waits and not_yet:
            return False
        pairs = list(self._spool.pairs(life, segment))
        if not waits:
            self._compare(name, pairs, experiments)
            self._taken.add(name)
        if not_yet and any(pair.capture is not None for pair in pairs):
            return False
        if not self._deliver(name, pairs) and not self._too_old(life, segment):
            return False
        self._spool.remove(life, segment)
        self._taken.discard(name)
        return True

    def _compare(self, name: str, pairs: Sequence[Pair], experiments: dict[str, Experiment]) -> None:
        """Before the transaction, which everybody waits for: answers may be large."""
        by_key: dict[str, list[Pair]] = {}
        for pair in pairs:
            if pair.shadow is not None and pair.key in self._known:
                by_key.setdefault(pair.key, []).append(pair)
        changes = {}
        for key, some in by_key.items():
            tolerance = _margins(experiments.get(key)).numeric_tolerance
            changes[key] = _adding(look_at(some, tolerance, read_answer))
        if changes:
            self._store.add_evidence(name, changes, self._parts.clock.now())

    def _deliver(self, name: str, pairs: Sequence[Pair]) -> bool:
        try:
            for directory, lines in capture_files(pairs).items():
                file = uuid.uuid5(_NAMES, f"{self._store.installation}/{name}/{directory}")
                self._parts.objects.put(f"{directory}/{file}.jsonl", lines)
        except ObjectError as error:
            self._retry_at = self._parts.clock.monotonic() + _RETRY_SECONDS
            if not self._away:
                self._parts.note(f"captures wait in the spool: {error}")
            self._away = True
            return False
        self._away = False
        return True

    def _too_old(self, life: str, segment: str) -> bool:
        if self._spool.age_seconds(life, segment, self._parts.clock.now()) < self._parts.options.capture_seconds:
            return False
        self._parts.note(f"captures of {life}/{segment} are given up: they could not be delivered for too long")
        return True

    def _count(self, life: str, known: Collection[str]) -> None:
        """Tell the store how requests have ended, where that has changed."""
        with self._counting:
            ended = not self._spool.is_alive(life)
            for key, counts in self._spool.counts(life).items():
                if key in known and self._told.get((life, key)) != (counts, ended):
                    self._store.put_tally(key, life, counts, ended=ended)
                    self._told[life, key] = (counts, ended)

    def _stop_if_harmful(self, experiment: Experiment) -> None:
        if experiment.status is not ExperimentStatus.RUNNING or not experiment.margins.stop_when_harmful:
            return
        evidence = self._store.evidence(experiment.id)
        if evidence is None:
            return
        found = judge(evidence, experiment.margins)
        if found.verdict is not Verdict.HARMFUL:
            return
        now = self._parts.clock.now()
        reason = f"Stopped by Dyno: the shadow is harmful. {found.reason}"[:1024]
        order = StopOrder(ExperimentStatus.CANCELLED, reverted(experiment), reason)

        def change(row: Experiment) -> Experiment:
            if row.status is not ExperimentStatus.RUNNING:
                return row
            return replace(row, status=ExperimentStatus.STOPPING, stop=order, modified_at=now)

        self._store.change_experiment(experiment.region, experiment.name, change)
        self._store.tell(experiment.arn, now, reason)


def _margins(experiment: Experiment | None) -> Margins:
    return experiment.margins if experiment is not None else Margins()


def _adding(seen: Sequence[Seen]) -> Callable[[Evidence | None], Evidence]:
    def change(before: Evidence | None) -> Evidence:
        evidence = before or Evidence()
        add(evidence, seen)
        return evidence

    return change
