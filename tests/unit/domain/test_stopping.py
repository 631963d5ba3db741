"""The traffic pattern of an Advanced job: when it ends, and which windows its figures rest on."""

from __future__ import annotations

import pytest

from modeldyno.domain.job import LatencyThreshold, StoppingRules
from modeldyno.domain.latency import LatencyHistogram
from modeldyno.domain.measurement import Window
from modeldyno.domain.stopping import Measured, PatternPolicy, Stop, Users, blocks
from modeldyno.domain.traffic import Phase, Stairs, Traffic


def run(policy: PatternPolicy, workers: int, service_ms: float, failing_above: int = 10_000) -> tuple[Measured, int]:
    users = policy.users
    for sequence in range(5000):
        rate = min(users, workers) / (service_ms / 1000)
        counts = LatencyHistogram.of([int(users / rate * 1e9)] * round(rate)).counts
        failed = {"http_503": round(rate * 0.1)} if users > failing_above else {}
        match policy.observe(Window(sequence, sequence, 1.0, users, counts, failed)):
            case Stop():
                return policy.measured(), sequence + 1
            case Users(users):
                pass
    raise AssertionError("the pattern did not end")


STAIRS = Traffic(stairs=Stairs(duration_seconds=120, steps=6, users_per_step=1))


def test_a_pattern_runs_for_its_whole_time_when_nothing_stops_it() -> None:
    measured, seconds = run(PatternPolicy(STAIRS, StoppingRules(stop_when_flat=False)), workers=2, service_ms=20)
    assert seconds == 120
    assert measured.reason == "the traffic pattern was over"


def test_the_answer_is_the_beginning_of_the_plateau() -> None:
    measured, _ = run(PatternPolicy(STAIRS, StoppingRules(stop_when_flat=False)), workers=2, service_ms=20)
    assert measured.users == 2
    assert sum(window.succeeded for window in measured.windows) / len(measured.windows) == pytest.approx(100)


def test_a_flat_throughput_ends_the_load_unless_it_is_told_to_continue() -> None:
    measured, seconds = run(PatternPolicy(STAIRS, StoppingRules()), workers=2, service_ms=20)
    assert measured.reason == "throughput went flat"
    assert 60 < seconds < 100


def test_many_users_on_a_server_that_scales_are_not_called_flat() -> None:
    long = Traffic(stairs=Stairs(duration_seconds=600, steps=60, users_per_step=1))
    measured, seconds = run(PatternPolicy(long, StoppingRules()), workers=1000, service_ms=20)
    assert measured.reason == "the traffic pattern was over"
    assert seconds == 600


def test_a_latency_over_its_threshold_ends_the_load_and_is_not_the_answer() -> None:
    rules = StoppingRules(threshold=LatencyThreshold(95.0, 25), stop_when_flat=False)
    measured, _ = run(PatternPolicy(STAIRS, rules), workers=2, service_ms=20)
    assert "over the threshold of 25 ms" in measured.reason
    assert measured.users == 2


def test_failures_end_the_load() -> None:
    policy = PatternPolicy(STAIRS, StoppingRules(stop_when_flat=False))
    measured, _ = run(policy, workers=100, service_ms=20, failing_above=3)
    assert "invocations failed (http_503" in measured.reason
    assert measured.users == 3


def test_a_reached_target_ends_the_load() -> None:
    rules = StoppingRules(target_per_minute=8_000)
    measured, _ = run(PatternPolicy(STAIRS, rules), workers=100, service_ms=20)
    assert measured.users == 3
    assert "the target of 8000" in measured.reason


def test_a_model_that_never_answers_in_time_is_given_up() -> None:
    policy = PatternPolicy(STAIRS, StoppingRules())
    assert isinstance(policy.observe(Window(0, 0.0, 1.0, 1, {}, {"timeout": 1})), Stop)
    assert policy.measured().failure is not None


def test_a_steep_ramp_is_cut_into_blocks_of_three_windows() -> None:
    windows = [Window(i, i, 1.0, i + 1, {1: 10}) for i in range(9)]
    assert [len(block.windows) for block in blocks(windows)] == [3, 3, 3]


def test_the_settling_window_of_a_level_is_dropped() -> None:
    windows = [Window(i, i, 1.0, 1 + i // 10, {1: 10}) for i in range(20)]
    assert [[w.sequence for w in block.windows] for block in blocks(windows)] == [
        list(range(1, 10)),
        list(range(11, 20)),
    ]


def test_phases_grow_by_the_minute() -> None:
    policy = PatternPolicy(Traffic(phases=(Phase(1, 6, 60),)), StoppingRules(stop_when_flat=False))
    _, seconds = run(policy, workers=100, service_ms=20)
    assert seconds == 60
    assert policy.users == 6


def test_users_beyond_the_concurrency_of_a_serverless_configuration_end_the_load() -> None:
    policy = PatternPolicy(STAIRS, StoppingRules(stop_when_flat=False), concurrency=2)
    measured, seconds = run(policy, workers=10, service_ms=20)
    assert measured.reason == "more than 2 users would be throttled, as MaxConcurrency is that"
    assert measured.users == 2
    assert 40 <= seconds <= 50  # two steps of 20 s, and what tells the second one's throughput


def test_a_load_that_begins_beyond_the_concurrency_is_measured_at_the_concurrency() -> None:
    phases = Traffic(phases=(Phase(3, 0, 120),))
    measured, seconds = run(PatternPolicy(phases, StoppingRules(), concurrency=1), workers=10, service_ms=20)
    assert (measured.users, len(measured.windows), seconds) == (1, 9, 10)
