"""What a FailureReason tells when there is more than fits."""

from modeldyno.domain.failure import REASON_LIMIT, failure_text, failures_text
from modeldyno.domain.trial import TrialStatus
from tests.unit.domain.builders import a_trial, a_type

LOG = "\n".join(f"line {number}" for number in range(500))


def test_the_reason_stays_whole_and_the_log_is_cut_from_the_front() -> None:
    text = failure_text("The model server exited with status 1.", LOG)
    assert text.startswith("The model server exited with status 1. Last lines of its log: ...")
    assert text.endswith("line 499")
    assert len(text) == REASON_LIMIT


def test_a_reason_that_is_too_long_leaves_room_for_the_end_of_the_log() -> None:
    text = failure_text("x" * 5000, LOG)
    assert len(text) == REASON_LIMIT
    assert text.endswith("line 499")


def test_a_reason_without_a_log_stands_alone() -> None:
    assert failure_text("No.", "") == "No."


def test_many_trials_tell_each_reason_once_and_one_log() -> None:
    failed = {"status": TrialStatus.FAILED, "result": None, "failure_reason": "It broke.", "log_tail": "why"}
    trials = [a_trial(index, a_type("t"), 1, **failed) for index in range(3)]
    assert failures_text(trials, "Time was over.") == "Time was over. It broke. Last lines of its log: why"
    assert failures_text([]) == "No trial was run."
