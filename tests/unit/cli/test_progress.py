"""Progress: what is told of a running job, and how often."""

from __future__ import annotations

import io
import threading

from rich.console import Console

from modeldyno.app.compose import Dyno
from modeldyno.cli.progress import Lines, Watcher, follow
from modeldyno.domain.job import JobStatus
from modeldyno.domain.trial import TrialStatus
from modeldyno.ports import LogLine
from tests.unit.cli.stored import REGION, add_job, begin, finish, measured, window


def plain() -> tuple[Console, io.StringIO]:
    kept = io.StringIO()
    return Console(file=kept, width=200), kept


def test_a_running_trial_shows_users_throughput_latency_and_cpu_of_its_last_windows(dyno: Dyno) -> None:
    add_job(dyno, "churn")
    trial, attempt = begin(dyno)
    first, second = Watcher(dyno, REGION, "churn").look().trials
    assert (first.users, first.per_minute, first.cpu_percent) == (4, 6000.0, 50.0)
    assert first.latency_ms is not None
    assert second.users is None
    dyno.store.add_window(trial, attempt, window(3, users=8))
    (raised, _) = Watcher(dyno, REGION, "churn").look().trials
    assert raised.users == 8


def test_a_trial_that_waits_for_its_environment_says_so(dyno: Dyno) -> None:
    job = add_job(dyno, "churn")
    trial = dyno.store.trials(job.id)[0]
    begin(dyno, windows=0)
    assert Watcher(dyno, REGION, "churn").look().trials[0].remark == "starting"
    said = "Building the environment of scikit-learn 1.7.2 on Python 3.11: once, then it is kept."
    dyno.store.log(job.id, [LogLine(dyno.clock.now(), said, trial.spec.index)])
    assert Watcher(dyno, REGION, "churn").look().trials[0].remark == "building its environment"
    dyno.store.log(job.id, [LogLine(dyno.clock.now(), "Built the environment.", trial.spec.index)])
    assert Watcher(dyno, REGION, "churn").look().trials[0].remark == "starting"


def test_windows_are_read_once_and_only_the_last_are_kept(dyno: Dyno) -> None:
    add_job(dyno, "churn")
    trial, attempt = begin(dyno)
    watcher = Watcher(dyno, REGION, "churn")
    watcher.look()
    for sequence in range(3, 9):
        dyno.store.add_window(trial, attempt, window(sequence, users=sequence))
    assert watcher.look().trials[0].users == 8


def test_a_measured_trial_shows_its_figures_and_how_many_notes_it_has(dyno: Dyno) -> None:
    add_job(dyno, "churn")
    trial, attempt = begin(dyno)
    assert dyno.store.finish_trial(trial, attempt, TrialStatus.COMPLETED, dyno.clock.now(), result=measured())
    (first, _) = Watcher(dyno, REGION, "churn").look().trials
    assert (first.per_minute, first.latency_ms, first.remark) == (6000.0, 1.25, "1 note")


def test_a_line_is_told_once_and_of_a_trial_that_goes_on_every_few_seconds(dyno: Dyno) -> None:
    add_job(dyno, "churn")
    begin(dyno)
    console, kept = plain()
    lines, sight = Lines(console), Watcher(dyno, REGION, "churn").look()
    for second in range(12):
        lines.tell(sight, float(second))
    told = kept.getvalue().splitlines()
    assert told.count("Planned 2 trials.") == 1
    assert told.count("churn: IN_PROGRESS") == 1
    assert sum(line.startswith("trial 0 (2 in all), local.one · W=1: IN_PROGRESS, 4 users") for line in told) == 3
    assert not any(line.startswith("trial 1") for line in told)


def test_a_job_behind_another_says_whose_trials_come_first(dyno: Dyno) -> None:
    add_job(dyno, "first")
    begin(dyno)
    add_job(dyno, "second")
    assert "Waiting: the trials of first come first." in Watcher(dyno, REGION, "second").look().story
    assert not any("Waiting" in line for line in Watcher(dyno, REGION, "first").look().story)


def test_following_ends_when_the_job_does(dyno: Dyno) -> None:
    job = add_job(dyno, "churn")
    console, kept = plain()
    finisher = threading.Thread(target=finish, args=(dyno, job))
    finisher.start()
    assert follow(dyno, REGION, "churn", console).status is JobStatus.COMPLETED
    finisher.join()
    assert "churn: COMPLETED" in kept.getvalue()


def test_on_a_terminal_there_is_one_table_with_every_trial(dyno: Dyno) -> None:
    finish(dyno, add_job(dyno, "churn"))
    kept = io.StringIO()
    follow(dyno, REGION, "churn", Console(file=kept, width=120, force_terminal=True, color_system=None))
    text = kept.getvalue()
    assert "churn · COMPLETED · 2 of 2 trials done" in text
    assert "6,000" in text
    assert "W=2" in text
