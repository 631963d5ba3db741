"""What the rows make of their runs."""

from typing import Any

import pytest

from benchmarks.capacity import compared, exponential, fixed, pairs, same_things
from benchmarks.forest import near_median, repeats
from benchmarks.instances import disturbances, sizes, true_per_minute
from benchmarks.threshold import LIMIT_MS, passed, says, true_p95_ms
from benchmarks.truth import kept, windows_of
from modeldyno.domain.difference import Verdict
from modeldyno.domain.latency import LatencyHistogram, bucket_of
from modeldyno.domain.measurement import Window


def windows(per_second: int, latency_ms: float, count: int = 10) -> list[Window]:
    spread = {bucket_of(round(latency_ms * 1e6 * (1 + step / 100))): per_second // 5 for step in range(-2, 3)}
    return [Window(number, float(number), 1.0 + number % 2 / 100, 2, spread) for number in range(count)]


def capacity_run(per_second: int = 100, latency_ms: float = 20.0, **more: Any) -> dict[str, Any]:
    rows = kept(windows(per_second, latency_ms))
    run = {"error": 0.01, "inside_interval": True, "half_width": 0.01, "load_seconds": 7.0, "lost": 0.0, "users": 2}
    return {**run, "first_window": 2, "last_window": 9, "windows": rows, **more}


def test_windows_survive_a_journal() -> None:
    made = windows(100, 20.0)
    assert windows_of(kept(made)) == tuple(made)


def test_each_run_is_in_one_pair_and_an_odd_one_in_none() -> None:
    runs = [{"number": number} for number in range(5)]
    assert [(a["number"], b["number"]) for a, b in pairs(runs)] == [(0, 1), (2, 3)]


def test_runs_of_the_same_are_not_different_and_of_another_speed_are() -> None:
    assert compared((capacity_run(), capacity_run())).verdict is Verdict.SAME
    assert compared((capacity_run(), capacity_run(80, 25.0))).verdict is Verdict.SLOWER


def test_pairs_are_of_one_configuration() -> None:
    told = same_things([[capacity_run()] * 2, [capacity_run(80, 25.0)] * 2, [capacity_run()]])
    assert (told["pairs"], told["called_different"], told["reached"]) == (2, 0, True)


def test_a_fixed_capacity_must_be_right_and_soon() -> None:
    assert fixed([[capacity_run()] * 3])["reached"]
    assert not fixed([[capacity_run(error=-0.04)] * 3])["reached"]
    assert not fixed([[capacity_run(load_seconds=8.5)] * 3])["reached"]


def test_an_exponential_one_must_be_inside_its_interval_within_a_minute() -> None:
    runs = [capacity_run()] * 9 + [capacity_run(inside_interval=False)]
    assert exponential([runs])["reached"]
    assert not exponential([runs[1:]])["reached"]
    assert not exponential([[capacity_run(load_seconds=61.0)]])["reached"]


def test_an_answer_that_is_flagged_as_close_does_not_pass() -> None:
    assert [says(None, False), says(None, True), says("no load held", False)] == ["passes", "close", "fails"]


def threshold_run(says: str, check: str = "cannot tell", times_ms: range = range(1, 101)) -> dict[str, Any]:
    recorded = LatencyHistogram.of(round(value * 1e6) for value in times_ms)
    return {
        "says": says,
        "check_says": check,
        "load_seconds": 12.0,
        "requests_at_one_user": recorded.count,
        "recorded_ns": {str(bucket): count for bucket, count in recorded.counts.items()},
    }


def test_the_true_percentile_is_of_all_runs_together() -> None:
    runs = [threshold_run("fails", times_ms=range(1, 51)), threshold_run("fails", times_ms=range(51, 101))]
    assert true_p95_ms(runs) == pytest.approx(95, rel=0.005)
    assert passed([runs])["limit_over_true_p95"] == pytest.approx(LIMIT_MS / 95, rel=0.005)


def test_neither_the_search_nor_the_check_may_let_it_pass() -> None:
    fails = [threshold_run("fails")] * 29
    assert passed([[*fails, threshold_run("passes")]])["reached"]
    assert not passed([[*fails, threshold_run("passes"), threshold_run("passes")]])["reached"]
    assert not passed([[*fails, threshold_run("fails", "passes"), threshold_run("close", "passes")]])["reached"]


def test_the_truth_of_a_cpu_bound_server_is_its_vcpus_over_the_cpu_of_a_request() -> None:
    window = {
        "settling": False,
        "sequence": 3,
        "duration_seconds": 1.0,
        "cpu_percent": 90.0,
        "succeeded": 45,
        "failed": {},
    }
    others = [{**window, "sequence": 2, "cpu_percent": 5.0}, {**window, "settling": True, "cpu_percent": 5.0}]
    trial = {"vcpus": 1.0, "windows": [window, *others], "figures": {"first_window": 3, "last_window": 9}}
    assert true_per_minute(trial) == pytest.approx(60 / 0.02)


def instance_run(foreign: bool = False, p95_ms: float = 21.0) -> dict[str, Any]:
    latency = {str(bucket_of(round(p95_ms * 1e6))): 20}
    return {
        "foreign": foreign,
        "foreign_percent": 10.0 if foreign else 0.5,
        "hog_share": 0.1,
        "p95_ms_at_one_user": p95_ms,
        "latency_at_one_user": latency,
    }


def test_a_hog_must_be_told_and_quiet_must_not() -> None:
    quiet, hogged = [instance_run()] * 10, [instance_run(foreign=True)] * 20
    assert disturbances([quiet, hogged])["reached"]
    assert not disturbances([quiet, [*hogged[:18], *quiet[:2]]])["reached"]
    assert not disturbances([[*quiet[:8], *hogged[:2]], hogged])["reached"]


def test_both_sizes_must_be_held() -> None:
    half, one = [instance_run(p95_ms=43.0)] * 3, [instance_run()] * 3
    told = sizes([half, one])
    assert told["reached"]
    assert told["half_p95_ms_of_all_requests"] == pytest.approx(43, rel=0.005)
    assert not sizes([half, half])["reached"]
    assert not sizes([[instance_run(p95_ms=60.0)], one])["reached"]


def forest_run(per_second: float, deployment: str = "a", load_seconds: float = 8.0) -> dict[str, Any]:
    return {"per_second": per_second, "deployment": deployment, "load_seconds": load_seconds}


def test_a_run_is_near_the_median_of_its_own_deployment() -> None:
    runs = [forest_run(100.0), forest_run(90.0), forest_run(110.0), forest_run(200.0, "b")]
    assert near_median(runs) == pytest.approx([0.0, -0.1, 0.1, 0.0])


def test_a_forest_must_repeat_within_half_a_minute() -> None:
    assert repeats([[forest_run(100.0)] * 20])["reached"]
    assert not repeats([[forest_run(100.0)] * 18 + [forest_run(120.0)] * 2])["reached"]
    assert not repeats([[forest_run(100.0, load_seconds=31.0)]])["reached"]
