"""Two measurements are the same, faster, slower, or it cannot be told: on simulated servers of known speed."""

from __future__ import annotations

import heapq
import math
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from modeldyno.domain.difference import Sample, Verdict, compare, pairs, sample_of
from modeldyno.domain.errors import InvalidRequest
from modeldyno.domain.latency import bucket_of
from modeldyno.domain.measurement import Window

Draw = Callable[[random.Random], float]
STEADY: Draw = lambda rng: rng.gauss(0.02, 0.0004)  # noqa: E731
WIDE: Draw = lambda rng: 0.02 * rng.gammavariate(16, 1 / 16)  # noqa: E731


def load(rng: random.Random, draw: Draw, slower: float = 1.0, seconds: int = 10, users: int = 4) -> tuple[Window, ...]:
    """Windows of two workers behind one queue, in a closed loop, each invocation `slower` times as long as drawn."""
    free = [0.0, 0.0]
    waiting = [0.0] * users
    counts: dict[int, Counter[int]] = {second: Counter() for second in range(seconds + 2)}
    while waiting[0] < seconds + 1:
        sent = heapq.heappop(waiting)
        ended = max(sent, heapq.heappop(free)) + draw(rng) * slower
        heapq.heappush(free, ended)
        heapq.heappush(waiting, ended)
        if ended < seconds + 1:
            counts[int(ended)][bucket_of(int((ended - sent) * 1e9))] += 1
    return tuple(Window(second, second, 1.0, users, dict(counts[second])) for second in range(1, seconds + 1))


def sample(windows: tuple[Window, ...], **more: Any) -> Sample:
    values = {"percentile": 95.0, "threshold_ms": None, "usd_per_hour": 0.04} | more
    return Sample(("local.one", ()), windows, windows, windows[0].users, **values)


def deployed(rng: random.Random, draw: Draw, slower: float = 1.0, **more: Any) -> Sample:
    """A deployment: half a percent faster or slower than the next, as deployments of the same thing are."""
    return sample(load(rng, draw, slower * math.exp(rng.gauss(0.0, 0.005)), **more))


def test_the_same_server_deployed_twice_is_called_different_at_most_3_times_in_60() -> None:
    rng = random.Random(7)
    verdicts = [compare(deployed(rng, draw), deployed(rng, draw)).verdict for draw in (STEADY, WIDE) for _ in range(30)]
    different = [verdict for verdict in verdicts if verdict in (Verdict.FASTER, Verdict.SLOWER)]
    assert len(different) <= 3
    assert verdicts[:30].count(Verdict.SAME) >= 25


def test_a_tenth_more_work_is_slower_and_a_tenth_less_is_faster() -> None:
    rng = random.Random(8)
    before = deployed(rng, STEADY)
    slower, faster = compare(before, deployed(rng, STEADY, 1.1)), compare(before, deployed(rng, STEADY, 0.9))
    assert slower.verdict is Verdict.SLOWER
    assert faster.verdict is Verdict.FASTER
    throughput = slower.changes[0]
    assert throughput.name == "throughput"
    assert throughput.difference is not None
    assert throughput.difference.low < 1 / 1.1 - 1 < throughput.difference.high
    cost = slower.changes[-1]
    assert cost.difference is not None
    assert cost.difference.low < 0.1 < cost.difference.high


def test_a_few_noisy_seconds_cannot_tell_and_say_how_many_more_would() -> None:
    rng = random.Random(9)
    told = compare(deployed(rng, WIDE, seconds=4), deployed(rng, WIDE, seconds=4))
    assert told.verdict is Verdict.CANNOT_TELL
    needed = told.changes[0].seconds_needed
    assert needed is not None
    assert 1 <= needed <= 600


def test_what_deployments_alone_may_differ_by_is_never_told_apart_however_long_the_load() -> None:
    rng = random.Random(10)
    windows = load(rng, STEADY, seconds=60)
    told = compare(sample(windows), sample(load(rng, STEADY, 1.012, seconds=60)))
    assert told.verdict is Verdict.SAME
    strict = compare(sample(windows), sample(load(rng, STEADY, 1.012, seconds=60)), tolerance=0.01)
    assert strict.verdict is Verdict.CANNOT_TELL
    assert strict.changes[0].seconds_needed is None


def test_latencies_are_compared_at_the_same_users_although_the_answers_are_at_others() -> None:
    rng = random.Random(11)
    four, eight = load(rng, STEADY), load(rng, STEADY, users=8)
    a = replace(sample(four), others=four + eight)
    b = replace(sample(eight), others=eight)
    told = compare(a, b, tolerance=0.08)  # a plateau's beginning is within 3% of its height
    assert told.verdict is Verdict.SAME
    percentile = next(change for change in told.changes if change.name == "p95")
    assert "at 8 users" in percentile.note
    nowhere = compare(sample(four), sample(eight))
    assert nowhere.verdict is not Verdict.SLOWER
    assert "at no number of users both" in nowhere.why


def test_more_throughput_with_a_longer_percentile_is_left_to_the_reader() -> None:
    rng = random.Random(12)

    def pausing(rng: random.Random) -> float:
        return 0.016 if rng.random() < 0.9 else 0.03

    told = compare(deployed(rng, STEADY, seconds=30), deployed(rng, pausing, seconds=30))
    assert told.verdict is Verdict.CANNOT_TELL
    assert told.why == "more throughput, but a longer P95: it depends on what you need"


def test_what_was_disturbed_is_not_called_slower_but_may_be_called_faster() -> None:
    rng = random.Random(14)
    quick, slow = deployed(rng, STEADY), deployed(rng, STEADY, 1.2)
    assert compare(quick, replace(slow, lost=0.3)).verdict is Verdict.CANNOT_TELL
    assert compare(slow, replace(quick, lost=0.3)).verdict is Verdict.FASTER


def test_costs_are_not_compared_without_a_price() -> None:
    windows = load(random.Random(13), STEADY)
    cost = compare(sample(windows), sample(windows, usd_per_hour=None)).changes[-1]
    assert cost.difference is None
    assert cost.note == "a price is not known"


def document(*trials: dict[str, Any]) -> dict[str, Any]:
    ranked = [{"trial_index": trial["index"]} for trial in trials]
    return {"format": "dyno-result/1", "recommendations": ranked, "trials": list(trials), "job": {"name": "churn"}}


def trial(index: int, kind: str, **tuned: str) -> dict[str, Any]:
    return {"index": index, "instance_type": kind, "tuned": tuned}


def test_trials_are_paired_by_type_and_setting_else_best_with_best() -> None:
    a = document(trial(0, "local.one", W="1"), trial(1, "local.two", W="2"))
    b = document(trial(4, "local.two", W="2"), trial(5, "local.one", W="2"))
    assert [(one["index"], other["index"]) for one, other in pairs(a, b)] == [(1, 4)]
    c = document(trial(9, "local.nine"))
    assert [(one["index"], other["index"]) for one, other in pairs(a, c)] == [(0, 9)]
    assert pairs(a, document()) == []


def test_a_compiled_model_is_compared_with_a_compiled_one() -> None:
    plain, compiled = trial(0, "local.one"), trial(1, "local.one") | {"compiled": "a-1"}
    again = [trial(4, "local.one") | {"compiled": "b-2"}, trial(5, "local.one")]
    found = [(one["index"], other["index"]) for one, other in pairs(document(plain, compiled), document(*again))]
    assert found == [(0, 5), (1, 4)]


@pytest.mark.parametrize("other", [{}, {"format": "dyno-result/9"}, []])
def test_what_is_no_result_document_is_refused(other: Any) -> None:
    with pytest.raises(InvalidRequest, match="no result document"):
        pairs(document(), other)


def test_a_result_that_does_not_tell_its_windows_is_refused_by_name() -> None:
    result = document(trial(0, "local.one"))
    with pytest.raises(InvalidRequest, match="churn does not tell which windows"):
        sample_of(result, trial(0, "local.one") | {"figures": {"users": 4}, "windows": []})
