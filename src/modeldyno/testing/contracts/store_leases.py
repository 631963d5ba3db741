"""What every store does for workers: claims, leases, attempts."""

# ruff: noqa: D102  (the name of a test says what it shows)

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from modeldyno.domain.job import JobStatus
from modeldyno.domain.trial import Placement, Trial, TrialStatus
from modeldyno.ports import Claim, Store
from modeldyno.testing.contracts.facts import (
    BIG,
    HOST,
    REGION,
    ROOMY,
    a_job,
    a_result,
    a_window,
    anywhere,
    at_most,
    some_specs,
)

OpenAgain = Callable[[], Store]
LEASE = 10.0


def _planned(store: Store, name: str = "j", trials: int = 2, at: float = 1.0, **changes: object) -> str:
    job = a_job(name, at, **changes)
    store.add_job(job)
    store.plan_job(job.id, some_specs(trials), [], 5.0)
    return job.id


def _claimed(store: Store, worker: str = "w", now: float = 6.0) -> Claim:
    claim = store.claim_trial(worker, anywhere, now, LEASE)
    assert claim is not None
    return claim


class LeaseContract:
    """One trial, one owner."""

    # claims
    def test_a_claimed_trial_is_the_workers_own(self, store: Store) -> None:
        _planned(store)
        claim = _claimed(store)
        assert claim.job == store.job(REGION, "j")
        assert claim.trial == store.trials("id-j")[0]
        assert claim.trial.placement == ROOMY
        assert (claim.trial.status, claim.trial.attempt, claim.trial.worker_id) == (TrialStatus.IN_PROGRESS, 1, "w")
        assert (claim.trial.started_at, claim.trial.lease_expires_at) == (6.0, 16.0)
        assert not store.stop_wanted(claim.trial.id, 1)

    def test_without_work_nothing_is_claimed(self, store: Store) -> None:
        store.add_job(a_job())
        assert store.claim_trial("w", anywhere, 6.0, LEASE) is None

    def test_the_oldest_job_goes_first_then_the_lowest_index(self, store: Store) -> None:
        _planned(store, "young", at=2.0, max_parallel=9)
        _planned(store, "old", at=1.0, max_parallel=9)
        claims = [_claimed(store) for _ in range(4)]
        assert [(claim.job.name, claim.trial.spec.index) for claim in claims] == [
            ("old", 0),
            ("old", 1),
            ("young", 0),
            ("young", 1),
        ]

    def test_a_job_runs_no_more_at_once_than_it_may(self, store: Store) -> None:
        _planned(store, "old", 3, at=1.0, max_parallel=2)
        _planned(store, "young", 1, at=2.0)
        names = [_claimed(store, worker).job.name for worker in ("v", "w", "v")]
        assert names == ["old", "old", "young"]
        assert store.claim_trial("w", anywhere, 6.0, LEASE) is None
        store.finish_trial("id-old-1", 1, TrialStatus.COMPLETED, 7.0)
        assert _claimed(store).trial.id == "id-old-2"

    def test_a_trial_without_room_is_not_overtaken(self, store: Store) -> None:
        _planned(store, "old", 2, at=1.0, max_parallel=2)
        _planned(store, "young", 2, at=2.0)
        asked: list[tuple[str, int]] = []

        def place(trial: Trial, busy: Sequence[Placement]) -> Placement | None:
            asked.append((trial.id, len(busy)))
            return at_most(1)(trial, busy)

        assert store.claim_trial("w", place, 6.0, LEASE) is not None
        assert store.claim_trial("w", place, 6.0, LEASE) is None
        assert asked == [("id-old-0", 0), ("id-old-1", 1)]

    def test_room_is_that_of_the_workers_own_host(self, store: Store) -> None:
        _planned(store, trials=3, max_parallel=9)
        assert store.claim_trial("v", at_most(1), 6.0, LEASE) is not None
        assert store.claim_trial("w", at_most(1), 6.0, LEASE) is not None
        assert store.claim_trial("v", at_most(1), 6.0, LEASE) is None

    def test_what_a_host_can_never_be_fails_with_the_reason_and_the_search_goes_on(self, store: Store) -> None:
        store.add_job(a_job("big", 1.0))
        store.plan_job("id-big", some_specs(2, BIG), [], 5.0)
        _planned(store, "fine", at=2.0)
        assert _claimed(store).job.name == "fine"
        for trial in store.trials("id-big"):
            assert (trial.status, trial.ended_at) == (TrialStatus.FAILED, 6.0)
            assert trial.failure_reason == "This host cannot be ml.too.big: it is too big."
            assert trial.log_tail.startswith("said")

    def test_a_refusal_is_kept_though_nothing_is_claimed(self, store: Store) -> None:
        store.add_job(a_job("big", 1.0))
        store.plan_job("id-big", some_specs(1, BIG), [], 5.0)
        assert store.claim_trial("w", anywhere, 6.0, LEASE) is None
        assert store.trials("id-big")[0].status is TrialStatus.FAILED

    @pytest.mark.parametrize("ending", ["stopped", "over"])
    def test_no_trial_starts_in_a_job_that_is_stopped_or_over(self, store: Store, ending: str) -> None:
        _planned(store, duration_seconds=60)
        if ending == "stopped":
            store.request_stop(REGION, "j", 6.0)
        assert store.claim_trial("w", anywhere, 6.0 if ending == "stopped" else 65.0, LEASE) is None
        assert {trial.status for trial in store.trials("id-j")} == {TrialStatus.PENDING}

    def test_a_job_may_start_a_trial_until_its_duration_is_over(self, store: Store) -> None:
        _planned(store, duration_seconds=60)
        assert store.claim_trial("w", anywhere, 64.9, LEASE) is not None

    def test_workers_racing_for_trials_get_each_once(self, store: Store, open_again: OpenAgain) -> None:
        _planned(store, trials=12, max_parallel=4)
        stores = (store, open_again())

        def work(number: int) -> list[tuple[str, int]]:
            own, done = stores[number % 2], []
            while claim := own.claim_trial(f"w{number}", anywhere, 6.0, LEASE):
                running = [t for t in own.trials("id-j") if t.status is TrialStatus.IN_PROGRESS]
                assert len(running) <= 4
                assert own.finish_trial(claim.trial.id, claim.trial.attempt, TrialStatus.COMPLETED, 7.0)
                done.append((claim.trial.id, claim.trial.attempt))
            return done

        with ThreadPoolExecutor(4) as pool:
            done = [item for items in pool.map(work, range(4)) for item in items]
        assert sorted(done) == sorted((f"id-j-{index}", 1) for index in range(12))

    # leases
    def test_a_renewed_lease_is_not_taken_over(self, store: Store) -> None:
        _planned(store, trials=1)
        _claimed(store, "v", 6.0)
        store.heartbeat("v", HOST, 14.0, LEASE)
        store.heartbeat("w", HOST, 14.0, LEASE)
        assert store.trials("id-j")[0].lease_expires_at == 24.0
        assert store.claim_trial("w", anywhere, 23.0, LEASE) is None

    def test_an_expired_lease_is_taken_over_under_the_next_attempt(self, store: Store) -> None:
        _planned(store, trials=1)
        old = _claimed(store, "v", 6.0).trial
        store.add_window(old.id, 1, a_window(0))
        new = _claimed(store, "w", 16.0).trial
        assert (new.id, new.attempt, new.worker_id, new.started_at) == (old.id, 2, "w", 16.0)
        assert store.windows(old.id, 1) == ()
        assert store.stop_wanted(old.id, 1)
        assert not store.stop_wanted(new.id, 2)

    def test_an_expired_lease_no_longer_counts_as_room_or_parallelism(self, store: Store) -> None:
        _planned(store, trials=2, max_parallel=1)
        _claimed(store, "v", 6.0)
        assert store.claim_trial("v", at_most(1), 16.0, LEASE) is not None

    def test_the_writes_of_a_stale_attempt_change_nothing(self, store: Store) -> None:
        _planned(store, trials=1)
        stale = _claimed(store, "v", 6.0).trial
        _claimed(store, "w", 16.0)
        before = store.trials("id-j")
        assert not store.add_window(stale.id, 1, a_window(0))
        assert not store.finish_trial(stale.id, 1, TrialStatus.FAILED, 17.0, failure_reason="stale")
        assert not store.release_trial(stale.id, 1)
        store.heartbeat("v", HOST, 17.0, LEASE)
        assert store.trials("id-j") == before
        assert store.windows(stale.id) == ()

    def test_an_ended_trial_is_nobodys(self, store: Store) -> None:
        _planned(store, trials=1)
        trial = _claimed(store).trial
        assert store.finish_trial(trial.id, 1, TrialStatus.COMPLETED, 8.0, result=a_result(), log_tail="bye")
        assert not store.finish_trial(trial.id, 1, TrialStatus.FAILED, 9.0)
        assert not store.add_window(trial.id, 1, a_window(0))
        assert store.stop_wanted(trial.id, 1)
        ended = store.trials("id-j")[0]
        assert (ended.status, ended.ended_at, ended.log_tail) == (TrialStatus.COMPLETED, 8.0, "bye")
        assert ended.result == a_result()
        assert store.claim_trial("w", anywhere, 99.0, LEASE) is None

    def test_a_released_trial_is_claimed_again(self, store: Store) -> None:
        _planned(store, trials=1)
        trial = _claimed(store).trial
        assert store.release_trial(trial.id, 1)
        assert not store.release_trial(trial.id, 1)
        given_back = store.trials("id-j")[0]
        assert (given_back.status, given_back.worker_id, given_back.placement) == (TrialStatus.PENDING, None, None)
        assert _claimed(store, now=7.0).trial.attempt == 2

    def test_a_worker_that_starts_anew_gives_back_what_it_held(self, store: Store) -> None:
        _planned(store, trials=3, max_parallel=3)
        for worker in ("v", "w", "v"):
            _claimed(store, worker)
        assert store.release_worker("v") == 2
        assert store.release_worker("v") == 0
        statuses = [trial.status for trial in store.trials("id-j")]
        assert statuses == [TrialStatus.PENDING, TrialStatus.IN_PROGRESS, TrialStatus.PENDING]

    def test_a_running_trial_hears_of_the_stop_and_of_the_end(self, store: Store) -> None:
        _planned(store, trials=1)
        trial = _claimed(store).trial
        store.request_stop(REGION, "j", 7.0)
        assert store.stop_wanted(trial.id, 1)
        assert store.finish_trial(trial.id, 1, TrialStatus.STOPPED, 8.0)
        assert store.finish_job("id-j", JobStatus.STOPPED, 9.0)
        assert store.stop_wanted("unknown", 1)

    # windows
    def test_windows_come_back_as_they_were_in_order(self, store: Store) -> None:
        _planned(store, trials=1)
        trial = _claimed(store).trial
        for sequence in (0, 2, 1, 1):
            assert store.add_window(trial.id, 1, a_window(sequence))
        assert store.windows(trial.id) == tuple(a_window(sequence) for sequence in range(3))
        assert store.windows(trial.id, 1, after=1) == (a_window(2),)
        assert store.windows(trial.id, 7) == store.windows("unknown") == ()
