"""Fit, harmful, or cannot tell yet; and how often that is wrong when it is looked at again and again."""

from __future__ import annotations

import random

import numpy as np
import pytest

from modeldyno.domain.anytime import quantile_range_ns, share_range
from modeldyno.domain.evidence import Evidence, add, look_at
from modeldyno.domain.experiment import Margins
from modeldyno.domain.latency import bucket_of
from modeldyno.domain.pair import Pair
from modeldyno.domain.verdict import Verdict, judge
from modeldyno.engine.answers import read_answer
from tests.unit.domain.hosted import a_pair

MARGINS = Margins()


def judged(pairs: list[Pair], margins: Margins = MARGINS) -> tuple[Verdict, dict[str, Verdict]]:
    evidence = Evidence()
    add(evidence, look_at(pairs, margins.numeric_tolerance, read_answer))
    found = judge(evidence, margins)
    return found.verdict, {one.question: one.verdict for one in found.findings}


def pairs(count: int, seed: int = 1, *, slower: float = 1.0, fails: float = 0.0, differs: float = 0.0) -> list[Pair]:
    chance = random.Random(seed)
    made = []
    for index in range(count):
        base = 5.0 * chance.lognormvariate(0.0, 0.05)
        made.append(
            a_pair(
                b'["cat"]',
                b'["dog"]' if chance.random() < differs else b'["cat"]',
                at=index * 0.1,
                production_ms=base,
                shadow_ms=slower * 5.0 * chance.lognormvariate(0.0, 0.05),
                shadow_status=500 if chance.random() < fails else 200,
            )
        )
    return made


def test_nothing_seen_tells_nothing() -> None:
    found = judge(Evidence(), MARGINS)
    assert found.verdict is Verdict.CANNOT_TELL
    assert {one.verdict for one in found.findings} == {Verdict.CANNOT_TELL}


def test_a_few_pairs_cannot_tell() -> None:
    assert judged(pairs(20))[0] is Verdict.CANNOT_TELL


def test_the_same_model_twice_is_fit() -> None:
    assert judged(pairs(6000)) == (
        Verdict.FIT,
        {"errors": Verdict.FIT, "latency": Verdict.FIT, "answers": Verdict.FIT},
    )


@pytest.mark.parametrize(
    ("question", "harm"), [("latency", {"slower": 1.5}), ("errors", {"fails": 0.1}), ("answers", {"differs": 0.3})]
)
def test_a_harmful_shadow_is_told_by_the_question_that_it_fails(question: str, harm: dict[str, float]) -> None:
    verdict, findings = judged(pairs(2000, **harm))
    assert verdict is Verdict.HARMFUL
    assert findings[question] is Verdict.HARMFUL
    assert [one for one, told in findings.items() if told is Verdict.HARMFUL] == [question]


def test_a_shadow_that_fails_less_than_production_is_no_harm() -> None:
    made = [a_pair(production_status=500 if index % 5 == 0 else 200, at=index * 0.1) for index in range(3000)]
    assert judged(made)[1]["errors"] is Verdict.FIT


def test_disagreement_is_net_of_productions_own_noise() -> None:
    chance = random.Random(3)
    made = [
        a_pair(b'["a"]', b'["b"]' if chance.random() < 0.2 else b'["a"]', at=index * 0.1,
               again=b'["b"]' if chance.random() < 0.2 else b'["a"]')
        for index in range(8000)
    ]  # fmt: skip
    assert judged(made)[1]["answers"] is not Verdict.HARMFUL
    alone = [a_pair(b'["a"]', b'["b"]' if index % 5 == 0 else b'["a"]', at=index * 0.1) for index in range(8000)]
    assert judged(alone)[1]["answers"] is Verdict.HARMFUL


def test_an_interval_of_a_share_holds_at_every_look() -> None:
    """In at most 5% of 200 rows of 1000 the truth is ever outside: 23 and more would come by chance once in 1000."""
    draw = np.random.default_rng(7)
    outside = 0
    for _ in range(200):
        hits = np.cumsum(draw.random(1000) < 0.1)
        looks = (share_range(int(hits[n - 1]), n, 0.05) for n in range(10, 1001, 30))
        outside += any(not look.low <= 0.1 <= look.high for look in looks)
    assert outside <= 22


def test_an_interval_of_a_quantile_holds_at_every_look_and_becomes_narrow() -> None:
    draw = np.random.default_rng(11)
    truth = float(np.exp(1.6448536269514722 * 0.3)) * 5e6
    outside = 0
    for _ in range(100):
        counts: dict[int, int] = {}
        bad = False
        for index, value in enumerate(draw.lognormal(0.0, 0.3, 1500) * 5e6, 1):
            bucket = bucket_of(int(value))
            counts[bucket] = counts.get(bucket, 0) + 1
            if index % 100 == 0:
                look = quantile_range_ns(counts, 0.95, 0.05)
                bad |= not look.low <= truth * 1.004 or not truth <= look.high * 1.004
        outside += bad
    assert outside <= 14
    assert look.high / look.low < 1.3


def test_a_share_of_nothing_is_unknown() -> None:
    assert share_range(0, 0, 0.05).value is None
    assert quantile_range_ns({}, 0.95, 0.05).value is None


def test_the_quantile_of_a_latency_that_never_varies_has_both_ends() -> None:
    found = quantile_range_ns({bucket_of(5_000_000): 2000}, 0.95, 0.05)
    assert found.low <= 5_000_000 <= found.high < 5_050_000
