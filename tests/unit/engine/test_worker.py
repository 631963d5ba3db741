"""What a worker does with jobs: run, fail, stop, survive."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pytest

from modeldyno.domain.errors import StoreUnreachable
from modeldyno.domain.job import Candidate, JobStatus, JobType, LatencyThreshold, StoppingRules
from modeldyno.domain.traffic import Phase, Traffic
from modeldyno.domain.trial import Placement, TrialSpec, TrialStatus
from modeldyno.engine.materials import Materials
from modeldyno.engine.worker import MOST_ATTEMPTS
from modeldyno.ports import Claim, Tag
from modeldyno.testing.clock import FastClock
from modeldyno.testing.fake_load import FakeServer
from tests.unit.domain.builders import a_spec
from tests.unit.engine.world import TYPES, World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World.at(tmp_path) as made:
        yield made


def advanced(ranges: dict[str, tuple[str, ...]], **more: Any) -> Any:
    traffic = Traffic(phases=(Phase(1, 30, 20),))
    return a_spec(JobType.ADVANCED, candidates=(Candidate("one", ranges),), traffic=traffic, **more)


async def test_a_default_job_measures_every_type_and_completes(world: World) -> None:
    world.submit("job", "one", "two")
    async with world.worker():
        job = await world.ended()
    assert (job.status, job.failure_reason) == (JobStatus.COMPLETED, None)
    figures = [trial.result.figures for trial in world.trials() if trial.result]
    assert [round(figure.capacity_per_minute) for figure in figures] == [6000, 6000]
    assert all(figure.requests >= 200 for figure in figures)
    assert world.store.windows(world.trials()[0].id)
    assert world.published == ["job"]
    assert not world.backend.live


async def test_what_takes_minutes_before_a_server_starts_is_told_in_the_log_of_its_trial(world: World) -> None:
    world.submit("job", "one")
    async with world.worker():
        job = await world.ended()
        await world.backend.requests[0].on_progress("Building the environment.")
    assert ("Building the environment.", 0) in [
        (line.message, line.trial_index) for line in world.store.log_lines(job.id)
    ]


async def test_a_job_that_waits_for_another_says_so_once(world: World) -> None:
    world.submit("job", "two")
    world.submit("other", "two")
    async with world.worker():
        await world.ended("other")
    said = {
        name: [line.message for line in world.store.log_lines(world.job(name).id) if "Waiting" in line.message]
        for name in ("job", "other")
    }
    assert said == {"job": [], "other": ["Waiting: this host measures job."]}


async def test_a_type_that_the_host_cannot_be_fails_alone(world: World) -> None:
    world.submit("job", "huge", "one")
    async with world.worker():
        job = await world.ended()
    assert job.status is JobStatus.COMPLETED
    assert [trial.status for trial in world.trials()] == [TrialStatus.FAILED, TrialStatus.COMPLETED]
    assert "it has 64 vCPUs, the host has 4 cores" in (world.trials()[0].failure_reason or "")


async def test_a_failing_configuration_does_not_stop_a_good_one(world: World) -> None:
    world.submit(spec=advanced({"BEHAVIOUR": ("exits", "healthy")}))
    async with world.worker():
        job = await world.ended()
    failed, good = world.trials()
    assert job.status is JobStatus.COMPLETED
    assert (failed.status, good.status) == (TrialStatus.FAILED, TrialStatus.COMPLETED)
    assert failed.failure_reason == "The model server exited with status 3 before /ping answered."
    assert failed.log_tail == "these are its last words"


async def test_a_job_of_failures_is_failed_with_the_reason_and_the_log(world: World) -> None:
    world.submit(environment={"BEHAVIOUR": "exits"})
    async with world.worker():
        job = await world.ended()
    assert job.status is JobStatus.FAILED
    assert "exited with status 3" in (job.failure_reason or "")
    assert (job.failure_reason or "").endswith("these are its last words")


async def test_a_model_that_answers_500_fails_as_a_model_error(tmp_path: Path) -> None:
    with World.at(tmp_path, server=lambda _: FakeServer(fail_share=1.0)) as world:
        world.submit()
        async with world.worker():
            job = await world.ended()
    assert job.status is JobStatus.FAILED
    assert "ModelError when calling InvokeEndpoint operation: 100% of invocations failed (http_500" in (
        job.failure_reason or ""
    )


async def test_a_threshold_that_no_load_holds_is_a_failure_with_its_figures(world: World) -> None:
    world.submit(rules=StoppingRules(threshold=LatencyThreshold(95.0, 5)))
    async with world.worker():
        job = await world.ended()
    (trial,) = world.trials()
    assert job.status is JobStatus.FAILED
    assert "p95 latency was 20.0 ms at 1 user, over the threshold of 5 ms" in (trial.failure_reason or "")
    assert trial.result is not None


async def test_a_generator_that_dies_fails_its_trial_only(tmp_path: Path) -> None:
    with World.at(tmp_path, server=lambda _: FakeServer(windows_alive=2)) as world:
        world.submit()
        async with world.worker():
            job = await world.ended()
    assert job.status is JobStatus.FAILED
    assert "load generator" in (job.failure_reason or "")


@pytest.mark.parametrize(
    ("payload", "words"),
    [("s3://bucket/missing.tar.gz", "The sample payload cannot be read"), ("s3://none/x", "cannot be read")],
)
async def test_a_missing_payload_fails_the_job_before_anything_is_deployed(
    world: World, payload: str, words: str
) -> None:
    world.submit(payload=payload)
    async with world.worker():
        job = await world.ended()
    assert job.status is JobStatus.FAILED
    assert words in (job.failure_reason or "")
    assert payload in (job.failure_reason or "")
    assert world.backend.requests == []


async def test_a_payload_that_is_no_archive_is_named(world: World) -> None:
    world.objects.put("s3://bucket/plain.csv", b"1,2,3")
    world.submit(payload="s3://bucket/plain.csv")
    async with world.worker():
        job = await world.ended()
    assert "The sample payload s3://bucket/plain.csv cannot be used" in (job.failure_reason or "")


async def test_stop_ends_a_running_job_with_the_results_so_far(world: World) -> None:
    world.submit(spec=advanced({"N": ("1", "2", "3")}, max_tests=3))
    async with world.worker():
        await world.until(lambda: len(world.trials()) == 3 and world.trials()[1].status is TrialStatus.IN_PROGRESS)
        world.store.request_stop("us-east-1", "job", world.clock.now())
        job = await world.ended()
        assert not world.backend.live
    assert job.status is JobStatus.STOPPED
    statuses = [trial.status for trial in world.trials()]
    assert statuses == [TrialStatus.COMPLETED, TrialStatus.STOPPED, TrialStatus.STOPPED]
    assert world.trials()[0].result is not None


async def test_stop_reaches_a_server_that_is_still_starting(world: World) -> None:
    world.submit(environment={"BEHAVIOUR": "silent"})
    async with world.worker():
        await world.until(lambda: bool(world.backend.live))
        world.store.request_stop("us-east-1", "job", world.clock.now())
        assert (await world.ended()).status is JobStatus.STOPPED


async def test_a_server_that_never_answers_ping_fails_in_its_time(world: World) -> None:
    world.submit(environment={"BEHAVIOUR": "silent"})
    async with world.worker():
        job = await world.ended()
    assert "did not answer /ping with status 200 within 240 s" in (job.failure_reason or "")


async def test_a_clean_end_gives_the_trial_back_and_the_next_life_repeats_it(world: World) -> None:
    world.submit()
    async with world.worker():
        await world.until(lambda: bool(world.trials() and world.store.windows(world.trials()[0].id)))
    assert world.trials()[0].status is TrialStatus.PENDING
    assert not world.backend.live
    async with world.worker():
        assert (await world.ended()).status is JobStatus.COMPLETED
    assert world.trials()[0].attempt == 2


async def test_after_a_crash_the_same_worker_repeats_its_trial_and_removes_what_it_left(world: World) -> None:
    world.submit()
    claim = claimed_by_a_dead_worker(world, "w1")
    world.backend.orphans.add(Tag(world.store.installation, "w1", claim.trial.id, claim.trial.attempt))
    async with world.worker("w1"):
        assert (await world.ended()).status is JobStatus.COMPLETED
    assert world.trials()[0].attempt == 2
    assert not world.backend.orphans


def claimed_by_a_dead_worker(world: World, worker_id: str) -> Claim:
    """What a worker leaves that was killed in the middle of a trial."""
    now = world.clock.now()
    world.store.heartbeat(worker_id, world.host, now, 60.0)
    spec = TrialSpec(0, "sm-epc-0", TYPES["one"])
    assert world.store.plan_job("job", [spec], [], now)
    claim = world.store.claim_trial(worker_id, lambda trial, busy: Placement((1,), None), now, 60.0)
    assert claim is not None
    return claim


async def test_another_worker_takes_over_when_the_leases_of_a_dead_one_are_over(world: World) -> None:
    world.submit()
    dead = claimed_by_a_dead_worker(world, "dead")
    async with world.worker("alive"):
        assert (await world.ended()).status is JobStatus.COMPLETED
    assert world.trials()[0].attempt == 2
    assert (world.trials()[0].started_at or 0.0) >= (dead.trial.lease_expires_at or 0.0)


async def test_a_job_whose_worker_is_dead_can_be_stopped(world: World) -> None:
    world.submit()
    claimed_by_a_dead_worker(world, "dead")
    world.store.request_stop("us-east-1", "job", world.clock.now())
    async with world.worker("alive"):
        assert (await world.ended()).status is JobStatus.STOPPED


async def test_a_worker_that_cannot_renew_its_leases_ends_its_own_servers_in_time(tmp_path: Path) -> None:
    with World.at(tmp_path, clock=FastClock(10)) as world:
        await fenced(world)


async def fenced(world: World) -> None:
    world.lease_seconds = 60.0
    store = Cut(world.store, "heartbeat")
    world.submit(environment={"BEHAVIOUR": "silent"})
    async with world.worker(store=store):
        await world.until(lambda: bool(world.backend.live))
        store.cut = True
        lease = world.trials()[0].lease_expires_at or 0.0
        await world.until(lambda: not world.backend.live)
        assert world.clock.now() < lease
        assert any("ends its own trials" in note for note in world.notes)
        store.cut = False
        await world.until(lambda: world.trials()[0].attempt > 1)


async def test_a_database_that_is_away_for_long_fails_no_trial(world: World) -> None:
    store = Cut(world.store, "heartbeat", "add_window", "stop_wanted", "finish_trial", "claim_trial")
    world.submit()
    async with world.worker(store=store):
        await world.until(lambda: bool(world.trials() and world.store.windows(world.trials()[0].id)))
        store.cut = True
        await world.until(lambda: not world.backend.live)
        store.cut = False
        assert (await world.ended()).status is JobStatus.COMPLETED
    assert world.trials()[0].attempt > 1


async def test_a_job_that_cannot_be_planned_because_of_a_defect_fails_and_is_not_tried_for_ever(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any) -> Any:
        raise ValueError("of nobody's making")

    monkeypatch.setattr("modeldyno.engine.jobs.plan", broken)
    world.submit()
    async with world.worker():
        job = await world.ended()
    assert job.status is JobStatus.FAILED
    assert "Dyno could not plan the job: ValueError: of nobody's making." in (job.failure_reason or "")
    assert any("Traceback" in note for note in world.notes)


async def test_a_trial_that_meets_a_defect_fails_and_is_not_repeated_for_ever(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any, **more: Any) -> Any:
        raise ZeroDivisionError("of nobody's making")

    monkeypatch.setattr("modeldyno.engine.trial.figures_of", broken)
    world.submit()
    async with world.worker():
        job = await world.ended()
    assert job.status is JobStatus.FAILED
    assert "Dyno could not run the trial: ZeroDivisionError" in (job.failure_reason or "")
    assert world.trials()[0].attempt == 1


async def test_a_trial_that_is_interrupted_every_time_is_given_up_in_the_end(world: World) -> None:
    store = Cut(world.store, "add_window")
    store.cut = True
    world.submit("job")
    world.submit("next", environment={"BEHAVIOUR": "exits"})
    async with world.worker(store=store):
        job = await world.ended()
        await world.ended("next")
    assert job.status is JobStatus.FAILED
    assert f"begun {MOST_ATTEMPTS} times and never came to an end" in (job.failure_reason or "")


async def test_a_job_that_is_told_to_stop_while_it_is_looked_at_is_stopped(world: World) -> None:
    class Late(Cut):
        def trials(self, job_id: str) -> Any:
            found = self._store.trials(job_id)
            if found and len(self._store.windows(found[0].id)) > 2 and not world.job().stop_requested:
                self._store.request_stop("us-east-1", "job", world.clock.now())
                while not (found := self._store.trials(job_id))[0].status.ended:
                    time.sleep(0.005)
            return found

    world.submit()
    async with world.worker(store=Late(world.store)):
        job = await world.ended()
    assert world.trials()[0].status is TrialStatus.STOPPED
    assert job.status is JobStatus.STOPPED


class Cut:
    """A store of which some methods do not reach the database while it is `cut` off."""

    def __init__(self, store: Any, *names: str) -> None:
        self._store = store
        self._names = names
        self.cut = False

    def __getattr__(self, name: str) -> Any:
        if self.cut and name in self._names:
            return self._refuse
        return getattr(self._store, name)

    def _refuse(self, *args: Any, **kwargs: Any) -> Any:
        raise StoreUnreachable("the database is away")


async def test_trials_run_side_by_side_only_as_far_as_the_job_allows(world: World) -> None:
    most = 0

    def watched(_: Any) -> FakeServer:
        nonlocal most
        most = max(most, len(world.backend.live))
        return FakeServer()

    world.server = watched
    world.submit(spec=advanced({"N": ("1", "2", "3", "4")}, max_parallel=2))
    async with world.worker():
        assert (await world.ended()).status is JobStatus.COMPLETED
    assert most == 2
    used = [request.placement.cores for request in world.backend.requests]
    assert {core for cores in used for core in cores} == {1, 2}


async def test_no_trial_begins_after_the_duration_of_the_job(world: World) -> None:
    world.submit(spec=advanced({"N": ("1", "2", "3", "4", "5")}, duration_seconds=30))
    async with world.worker():
        job = await world.ended()
    statuses = [trial.status for trial in world.trials()]
    assert job.status is JobStatus.COMPLETED
    assert statuses[0] is TrialStatus.COMPLETED
    assert statuses[-1] is TrialStatus.STOPPED


async def test_a_second_dyno_on_the_host_is_waited_for_and_it_is_said(world: World) -> None:
    world.permit.free = False
    world.submit()
    async with world.worker():
        await world.until(lambda: any("another Dyno" in line.message for line in world.store.log_lines("job")))
        assert world.trials()[0].status is TrialStatus.PENDING
        world.permit.free = True
        assert (await world.ended()).status is JobStatus.COMPLETED
        await world.until(lambda: not world.permit.held)


async def test_two_jobs_wait_for_each_other_on_a_full_host(world: World) -> None:
    world.submit("first", "two")
    world.submit("second", "two")
    async with world.worker():
        assert (await world.ended("second")).status is JobStatus.COMPLETED
    assert world.job("first").status is JobStatus.COMPLETED


async def test_a_job_that_is_planned_while_the_active_ones_are_read_keeps_its_files(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    active, keep_only = world.store.active_jobs, Materials.keep_only
    dropped: list[JobStatus] = []

    def stale() -> object:
        rows = active()
        until = time.monotonic() + 1.0
        while world.job().status is JobStatus.PENDING and time.monotonic() < until:
            time.sleep(0.005)
        time.sleep(0.05)  # and its planning is done
        return rows

    def kept(materials: Materials, ids: Collection[str]) -> None:
        if world.job().id not in ids:
            dropped.append(world.job().status)
        keep_only(materials, ids)

    monkeypatch.setattr(world.store, "active_jobs", stale)
    monkeypatch.setattr(Materials, "keep_only", kept)
    world.submit()
    async with world.worker():
        await world.ended()
    assert JobStatus.IN_PROGRESS not in dropped


async def test_nothing_of_an_ended_job_is_left_in_the_work_directory(world: World) -> None:
    world.submit()
    async with world.worker():
        await world.ended()
        await world.until(lambda: not list((world.root / "work").iterdir()))


async def test_an_orphan_of_this_worker_is_removed_at_its_start(world: World) -> None:
    mine = Tag(world.store.installation, "w1", "old", 1)
    foreign = Tag("another", "w1", "old", 1)
    world.backend.orphans |= {mine, foreign}
    async with world.worker():
        await world.until(lambda: mine not in world.backend.orphans)
    assert world.backend.orphans == {foreign}
    with contextlib.suppress(KeyError):
        world.backend.orphans.remove(foreign)
