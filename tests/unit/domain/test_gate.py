"""A rule passes, fails, or cannot be told: on simulated servers of known speed."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from modeldyno.domain.difference import Sample, lost_to_others
from modeldyno.domain.gate import (
    Finding,
    Outcome,
    Rules,
    judge,
    latency_outcome,
    levels_of,
    throughput_outcome,
    together,
)
from modeldyno.domain.measurement import Window
from tests.unit.domain.test_difference import STEADY, WIDE, load, sample

PASSES, FAILS, CANNOT = Finding.PASSES, Finding.FAILS, Finding.CANNOT_TELL


def row(window: Window) -> dict[str, Any]:
    """A window as a result document has it."""
    counts = {str(bucket): count for bucket, count in window.latency_counts.items()}
    names = ("sequence", "started_at", "duration_seconds", "users", "failed", "settling")
    return {name: getattr(window, name) for name in names} | {"latency_counts": counts}


def trial(*windows: Window, status: str = "COMPLETED", failed: int = 0, reason: str | None = None) -> dict[str, Any]:
    figures = {"requests": sum(window.succeeded for window in windows), "failed": failed} if windows else None
    rows = [row(window) for window in windows]
    return {"status": status, "figures": figures, "failure_reason": reason, "windows": rows, "flags": {}}


@pytest.mark.parametrize(("limit", "finding"), [(5500, PASSES), (5990, CANNOT), (6500, FAILS)])
def test_a_throughput_passes_and_fails_only_where_its_whole_interval_does(limit: float, finding: Finding) -> None:
    windows = load(random.Random(1), STEADY)  # two workers of 20 ms: 6,000 a minute
    told = throughput_outcome(windows, limit)
    assert told.finding is finding
    assert told.low is not None
    assert told.high is not None
    assert told.low < 6000 < told.high


@pytest.mark.parametrize(("limit", "finding"), [(60, PASSES), (51.3, CANNOT), (40, FAILS)])
def test_a_percentile_passes_and_fails_only_where_it_is_certain(limit: float, finding: Finding) -> None:
    levels = levels_of(trial(*load(random.Random(2), WIDE, seconds=12)))
    assert latency_outcome(levels, limit, 0).finding is finding


def test_a_latency_is_judged_where_the_wanted_throughput_is() -> None:
    rng = random.Random(3)
    one, four = load(rng, STEADY, users=1), load(rng, STEADY, users=4)  # 3,000 a minute in 20 ms; 6,000 in 40 ms
    levels = levels_of(trial(*one, *four))
    assert latency_outcome(levels, 30, 0).finding is PASSES
    assert latency_outcome(levels, 30, 5000).finding is FAILS
    assert latency_outcome(levels, 50, 5000).finding is PASSES


def test_a_few_requests_tell_nothing_of_a_percentile() -> None:
    levels = levels_of(trial(*load(random.Random(4), STEADY, seconds=1, users=1)))
    assert latency_outcome(levels, 30, 0).finding is CANNOT


def test_a_model_that_cannot_be_served_fails_with_the_reason() -> None:
    broken = trial(status="FAILED", reason="The model server exited with status 1.")
    assert judge(broken, None, Rules(max_p95_ms=50)) == [
        Outcome("answers", FAILS, "The model server exited with status 1.")
    ]
    stopped = judge(trial(status="STOPPED", reason="The job was stopped."), None, Rules(max_p95_ms=50))
    assert [one.finding for one in stopped] == [CANNOT]


def test_a_broken_latency_limit_leaves_no_throughput_within_it() -> None:
    slow = trial(*load(random.Random(5), STEADY, users=1), status="FAILED", reason="No load held.")
    outcomes = judge(slow, None, Rules(max_p95_ms=10, min_per_minute=100))
    assert [(one.rule, one.finding) for one in outcomes] == [
        ("answers", PASSES),
        ("P95 at most 10 ms", FAILS),
        ("at least 100 invocations a minute", FAILS),
    ]


def against(baseline: Sample | None, now: Sample, windows: tuple[Window, ...]) -> list[Finding]:
    rules = Rules(baseline=baseline, tolerance=0.05, has_baseline=True)
    return [one.finding for one in judge(trial(*windows), now, rules)[1:]]


@pytest.mark.parametrize(
    ("slower", "findings"), [(1.0, [PASSES, PASSES]), (0.8, [PASSES, PASSES]), (1.2, [FAILS, FAILS])]
)
def test_a_baseline_fails_what_is_surely_worse_and_passes_what_is_not(slower: float, findings: list[Finding]) -> None:
    before, windows = load(random.Random(6), STEADY), load(random.Random(7), STEADY, slower)
    assert against(sample(before), sample(windows), windows) == findings


def test_a_baseline_without_the_configuration_tells_nothing() -> None:
    windows = load(random.Random(8), STEADY)
    assert against(None, sample(windows), windows) == [CANNOT]


def test_others_on_the_cores_make_a_failure_doubtful_unless_it_is_beyond_what_they_can_have_cost() -> None:
    windows = load(random.Random(9), STEADY)  # 6,000 a minute in 40 ms
    busy = trial(*windows) | {"flags": {"foreign_load": "others used 20% of the model's cores"}}
    busy["figures"]["foreign_percent"] = 20.0
    disturbed = replace(sample(windows), lost=lost_to_others(busy))

    def told(**limits: float) -> Finding:
        return judge(busy, disturbed, Rules(**limits))[1].finding

    assert [told(min_per_minute=limit) for limit in (3000, 9000, 30_000)] == [PASSES, CANNOT, FAILS]
    assert [told(max_p95_ms=limit) for limit in (60, 30, 10)] == [PASSES, CANNOT, FAILS]


def test_one_rule_that_fails_fails_them_all() -> None:
    outcomes = [Outcome("a", PASSES, ""), Outcome("b", CANNOT, ""), Outcome("c", FAILS, "")]
    assert together(outcomes) is FAILS
    assert together(outcomes[:2]) is CANNOT
    assert together(outcomes[:1]) is PASSES
