"""What every store does with jobs, as the API sees them, and with what is told about them."""

# ruff: noqa: D102  (the name of a test says what it shows)

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from modeldyno.domain.errors import Conflict, ResourceInUse, ResourceNotFound
from modeldyno.domain.job import JobStatus
from modeldyno.domain.model import ModelSource
from modeldyno.domain.resource import Query
from modeldyno.domain.trial import TrialSpec, TrialStatus
from modeldyno.ports import LogLine, Store
from modeldyno.testing.contracts.facts import REGION, a_job, a_result, a_run_off, a_window, anywhere, some_specs

OpenAgain = Callable[[], Store]


class JobContract:
    """Jobs, their story, their end."""

    def test_a_job_comes_back_as_it_was_added(self, store: Store, open_again: OpenAgain) -> None:
        store.add_job(a_job(), {"team": "a"})
        again = open_again()
        assert again.job(REGION, "j") == a_job()
        assert again.tags(a_job().arn) == {"team": "a"}

    def test_a_job_name_is_taken_once_in_a_region(self, store: Store) -> None:
        store.add_job(a_job())
        with pytest.raises(ResourceInUse):
            store.add_job(a_job(id="another"))
        store.add_job(a_job(id="elsewhere", region="eu-west-1"))

    def test_one_of_many_creators_of_a_name_wins(self, store: Store, open_again: OpenAgain) -> None:
        stores = (store, open_again())

        def add(number: int) -> bool:
            try:
                stores[number % 2].add_job(a_job(id=f"id{number}"))
            except ResourceInUse:
                return False
            return True

        with ThreadPoolExecutor(4) as pool:
            assert sum(pool.map(add, range(8))) == 1

    def test_an_unknown_job_is_not_found(self, store: Store) -> None:
        for call in (
            lambda: store.job(REGION, "none"),
            lambda: store.request_stop(REGION, "none", 1.0),
            lambda: store.remove_job(REGION, "none"),
        ):
            with pytest.raises(ResourceNotFound, match="none"):
                call()

    def test_jobs_are_listed_in_pages_by_what_they_are(self, store: Store) -> None:
        package = ModelSource("image:1", None, model_package_arn="arn:p/1")
        store.add_job(a_job("a", 1.0))
        store.add_job(a_job("b", 2.0, model=package))
        store.add_job(a_job("c", 3.0))
        store.request_stop(REGION, "c", 4.0)
        first = store.find_jobs(Query(REGION, limit=2))
        assert [job.name for job in first.items] == ["c", "b"]
        rest = store.find_jobs(Query(REGION, limit=2, after=first.next))
        assert ([job.name for job in rest.items], rest.next) == (["a"], None)
        for equals, names in (
            ({"status": "STOPPING"}, ["c"]),
            ({"model_name": "model-of-a"}, ["a"]),
            ({"model_package_arn": "arn:p/1"}, ["b"]),
            ({"model_key": package.key}, ["b"]),
        ):
            assert [job.name for job in store.find_jobs(Query(REGION, equals=equals)).items] == names

    # plan
    def test_a_planned_job_is_in_progress_with_its_trials(self, store: Store) -> None:
        store.add_job(a_job("old", 1.0))
        store.add_job(a_job("new", 2.0))
        assert [job.name for job in store.unplanned_jobs()] == ["old", "new"]
        assert store.plan_job("id-old", some_specs(3), ["left out: x"], 5.0)
        job = store.job(REGION, "old")
        assert (job.status, job.plan_notes, job.started_at, job.modified_at) == (
            JobStatus.IN_PROGRESS,
            ("left out: x",),
            5.0,
            5.0,
        )
        trials = store.trials("id-old")
        assert [trial.spec for trial in trials] == some_specs(3)
        assert {(trial.status, trial.attempt) for trial in trials} == {(TrialStatus.PENDING, 0)}
        assert [job.name for job in store.unplanned_jobs()] == ["new"]
        assert [job.name for job in store.active_jobs()] == ["old"]

    def test_a_job_is_planned_once(self, store: Store, open_again: OpenAgain) -> None:
        store.add_job(a_job())
        stores = (store, open_again())
        with ThreadPoolExecutor(4) as pool:
            plans = pool.map(lambda n: stores[n % 2].plan_job("id-j", some_specs(2), [], 5.0), range(8))
            assert sum(plans) == 1
        assert len(store.trials("id-j")) == 2
        assert not store.plan_job("unknown", some_specs(1), [], 5.0)

    def test_a_running_job_is_extended_index_after_index(self, store: Store, open_again: OpenAgain) -> None:
        store.add_job(a_job())
        specs = some_specs(4)
        assert not store.extend_job("id-j", specs[:1], 4.0)
        store.plan_job("id-j", specs[:2], ["a note"], 5.0)
        assert not store.extend_job("id-j", [], 6.0)
        assert not store.extend_job("id-j", specs[3:], 6.0)
        stores = (store, open_again())
        with ThreadPoolExecutor(4) as pool:
            assert sum(pool.map(lambda n: stores[n % 2].extend_job("id-j", specs[2:], 6.0), range(8))) == 1
        assert [trial.spec for trial in store.trials("id-j")] == specs
        job = store.job(REGION, "j")
        assert (job.status, job.plan_notes, job.modified_at) == (JobStatus.IN_PROGRESS, ("a note",), 6.0)
        assert not store.extend_job("unknown", specs[:1], 6.0)

    def test_a_trial_that_was_added_is_claimed_like_any(self, store: Store) -> None:
        store.add_job(a_job())
        store.plan_job("id-j", some_specs(1), [], 5.0)
        first = store.claim_trial("w", anywhere, 6.0, 10.0)
        assert first is not None
        store.finish_trial(first.trial.id, 1, TrialStatus.FAILED, 7.0)
        assert store.extend_job("id-j", some_specs(2)[1:], 8.0)
        second = store.claim_trial("w", anywhere, 9.0, 10.0)
        assert second is not None
        assert second.trial.spec.index == 1

    def test_a_job_that_stops_or_has_ended_is_not_extended(self, store: Store) -> None:
        store.add_job(a_job())
        store.plan_job("id-j", some_specs(1), [], 5.0)
        store.request_stop(REGION, "j", 6.0)
        assert not store.extend_job("id-j", some_specs(2)[1:], 7.0)
        store.finish_job("id-j", JobStatus.STOPPED, 8.0)
        assert not store.extend_job("id-j", some_specs(2)[1:], 9.0)
        assert len(store.trials("id-j")) == 1

    def test_the_end_of_a_job_adds_its_notes_to_those_of_the_plan(self, store: Store) -> None:
        store.add_job(a_job())
        store.plan_job("id-j", some_specs(1), ["planned"], 5.0)
        assert store.finish_job("id-j", JobStatus.FAILED, 6.0, "because", ["ended", "é"])
        assert not store.finish_job("id-j", JobStatus.FAILED, 7.0, "because", ["again"])
        assert store.job(REGION, "j").plan_notes == ("planned", "ended", "é")

    # stop and end
    def test_a_pending_job_is_stopped_before_it_is_planned(self, store: Store) -> None:
        store.add_job(a_job())
        job = store.request_stop(REGION, "j", 4.0)
        assert (job.status, job.stop_requested, job.modified_at) == (JobStatus.STOPPING, True, 4.0)
        assert not store.plan_job("id-j", some_specs(1), [], 5.0)
        assert [job.name for job in store.active_jobs()] == ["j"]
        assert store.finish_job("id-j", JobStatus.STOPPED, 6.0)
        assert store.active_jobs() == ()

    def test_a_second_stop_changes_nothing_and_an_ended_job_refuses(self, store: Store) -> None:
        store.add_job(a_job())
        first = store.request_stop(REGION, "j", 4.0)
        assert store.request_stop(REGION, "j", 5.0) == first
        store.finish_job("id-j", JobStatus.STOPPED, 6.0)
        with pytest.raises(Conflict, match="STOPPED"):
            store.request_stop(REGION, "j", 7.0)

    def test_the_end_of_a_job_stops_what_is_pending_and_comes_once(self, store: Store) -> None:
        store.add_job(a_job())
        store.plan_job("id-j", some_specs(2), [], 5.0)
        claim = store.claim_trial("w", anywhere, 6.0, 10.0)
        assert claim is not None
        assert not store.finish_job("id-j", JobStatus.COMPLETED, 7.0)
        store.finish_trial(claim.trial.id, 1, TrialStatus.COMPLETED, 8.0, result=a_result())
        assert store.finish_job("id-j", JobStatus.FAILED, 9.0, "because", (), ["what was left", "FAILED: because"])
        assert not store.finish_job("id-j", JobStatus.COMPLETED, 10.0, None, (), ["COMPLETED."])
        job = store.job(REGION, "j")
        assert (job.status, job.completed_at, job.failure_reason) == (JobStatus.FAILED, 9.0, "because")
        assert [trial.status for trial in store.trials("id-j")] == [TrialStatus.COMPLETED, TrialStatus.STOPPED]
        assert store.log_lines("id-j") == (LogLine(9.0, "what was left"), LogLine(9.0, "FAILED: because"))

    def test_ended_jobs_are_told_from_a_time_on(self, store: Store) -> None:
        for number, name in enumerate(("first", "second", "open")):
            store.add_job(a_job(name, created_at=float(number)))
        store.finish_job("id-second", JobStatus.FAILED, 8.0, "because")
        store.finish_job("id-first", JobStatus.STOPPED, 9.0)
        assert [job.name for job in store.ended_jobs(0.0)] == ["first", "second"]
        assert [job.name for job in store.ended_jobs(9.0)] == ["first"]
        assert store.ended_jobs(9.1) == ()

    def test_a_job_ends_though_the_worker_of_a_trial_is_dead(self, store: Store) -> None:
        store.add_job(a_job())
        store.plan_job("id-j", some_specs(1), [], 5.0)
        claim = store.claim_trial("w", anywhere, 6.0, 10.0)
        assert claim is not None
        store.request_stop(REGION, "j", 7.0)
        assert not store.finish_job("id-j", JobStatus.STOPPED, 15.0)
        assert store.finish_job("id-j", JobStatus.STOPPED, 17.0)
        assert store.trials("id-j")[0].status is TrialStatus.STOPPED
        assert not store.finish_trial(claim.trial.id, 1, TrialStatus.COMPLETED, 18.0)

    def test_only_an_ended_job_is_removed_with_all_that_is_its(self, store: Store) -> None:
        store.add_job(a_job(), {"team": "a"})
        store.plan_job("id-j", some_specs(1), [], 5.0)
        claim = store.claim_trial("w", anywhere, 6.0, 10.0)
        assert claim is not None
        store.add_window(claim.trial.id, 1, a_window(0))
        store.log("id-j", [LogLine(6.0, "hello")])
        with pytest.raises(Conflict, match="IN_PROGRESS"):
            store.remove_job(REGION, "j")
        store.finish_trial(claim.trial.id, 1, TrialStatus.FAILED, 7.0)
        store.finish_job("id-j", JobStatus.FAILED, 8.0)
        store.remove_job(REGION, "j")
        store.add_job(a_job())
        assert store.tags(a_job().arn) == {}
        assert (store.trials("id-j"), store.log_lines("id-j"), store.windows(claim.trial.id, 1)) == ((), (), ())

    # the run-off
    def test_a_run_off_is_claimed_and_ended_like_a_trial_and_is_none(self, store: Store, open_again: OpenAgain) -> None:
        store.add_job(a_job())
        specs = some_specs(2)
        store.plan_job("id-j", specs, [], 5.0)
        for _ in specs:
            claim = store.claim_trial("w", anywhere, 6.0, 10.0)
            assert claim is not None
            store.finish_trial(claim.trial.id, 1, TrialStatus.COMPLETED, 7.0, result=a_result())
        assert store.run_off("id-j") is None
        row = TrialSpec(2, "run-off", specs[0].instance_type, contenders=tuple(specs))
        assert store.extend_job("id-j", [row], 8.0)
        assert not store.extend_job("id-j", [row], 8.0)
        claim = store.claim_trial("w", anywhere, 9.0, 10.0)
        assert claim is not None
        assert claim.trial.spec == row
        assert not store.finish_job("id-j", JobStatus.COMPLETED, 9.5)
        assert not store.finish_trial(claim.trial.id, 2, TrialStatus.COMPLETED, 10.0, run_off=a_run_off())
        assert store.job(REGION, "j").run_off is None
        assert store.finish_trial(claim.trial.id, 1, TrialStatus.COMPLETED, 10.0, run_off=a_run_off())
        again = open_again()
        assert again.job(REGION, "j").run_off == a_run_off()
        assert [trial.spec for trial in again.trials("id-j")] == specs
        ended = again.run_off("id-j")
        assert ended is not None
        assert (ended.spec, ended.status) == (row, TrialStatus.COMPLETED)

    # the story
    def test_the_story_is_told_in_order(self, store: Store) -> None:
        store.add_job(a_job())
        lines = (LogLine(1.0, "planned"), LogLine(2.0, "one\0é\ud800", 0), LogLine(2.0, "two", 1))
        store.log("id-j", lines[:2])
        store.log("id-j", lines[2:])
        store.log("id-j", [])
        told = store.log_lines("id-j")
        assert [(line.at, line.trial_index) for line in told] == [(1.0, None), (2.0, 0), (2.0, 1)]
        assert told[1].message.startswith("one")
        assert store.log_lines("id-j", 1) == lines[2:]

    def test_a_job_that_is_gone_has_no_story(self, store: Store) -> None:
        store.log("gone", [LogLine(1.0, "lost")])
        assert store.log_lines("gone") == ()

    def test_old_jobs_lose_windows_and_story_but_no_result(self, store: Store) -> None:
        for name, end in (("old", 10.0), ("new", 30.0)):
            store.add_job(a_job(name))
            store.plan_job(f"id-{name}", some_specs(1), [], 5.0)
            claim = store.claim_trial("w", anywhere, 6.0, 10.0)
            assert claim is not None
            store.add_window(claim.trial.id, 1, a_window(0))
            store.log(f"id-{name}", [LogLine(6.0, "hello")])
            store.finish_trial(claim.trial.id, 1, TrialStatus.COMPLETED, 8.0, result=a_result())
            store.finish_job(f"id-{name}", JobStatus.COMPLETED, end)
        store.add_job(a_job("running"))
        assert store.prune(20.0) == 1
        assert store.prune(20.0) == 0
        assert (store.windows("id-old-0"), store.log_lines("id-old")) == ((), ())
        assert (len(store.windows("id-new-0")), len(store.log_lines("id-new"))) == (1, 1)
        assert store.trials("id-old")[0].result == a_result()

    def test_jobs_made_in_the_same_instant_are_each_listed_once(self, store: Store) -> None:
        for number in range(7):
            store.add_job(a_job(f"j{number}", at=1.0))
        query, seen = Query(REGION, limit=3), []
        while True:
            page = store.find_jobs(query)
            seen += [job.name for job in page.items]
            if page.next is None:
                break
            query = replace(query, after=page.next)
        assert seen == [f"j{number}" for number in reversed(range(7))]
