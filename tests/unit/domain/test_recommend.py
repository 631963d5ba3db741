"""Ranking of measured trials, and what they cost."""

import pytest

from modeldyno.domain.job import JobType, StoppingRules
from modeldyno.domain.recommend import outcome_of, pareto_front, recommend
from modeldyno.domain.result import result_document
from modeldyno.domain.trial import TrialStatus
from tests.unit.domain.builders import a_job, a_spec, a_trial, a_type


def test_the_cheapest_inference_is_first_and_unpriced_types_are_last_by_throughput() -> None:
    trials = [
        a_trial(0, a_type("dear", usd=0.8), 6000),
        a_trial(1, a_type("unknown-slow", usd=None), 9000),
        a_trial(2, a_type("cheap", usd=0.1), 3000),
        a_trial(3, a_type("unknown-fast", usd=None), 90_000),
    ]
    rows = recommend(a_job(), trials)
    assert [row.trial.spec.instance_type.name for row in rows] == ["cheap", "dear", "unknown-fast", "unknown-slow"]
    assert rows[2].outcome.cost_per_hour_usd is None
    assert rows[2].outcome.cost_per_inference_usd is None


def test_costs_are_those_of_the_published_examples() -> None:
    outcome = outcome_of(a_spec(), a_trial(0, a_type("ml.c5.xlarge", usd=0.204), 648.9))
    assert outcome is not None
    assert outcome.capacity_per_minute == 648
    assert outcome.cost_per_inference_usd == pytest.approx(5.2469e-06, rel=1e-4)


def test_a_load_test_with_a_target_counts_the_instances_that_carry_it() -> None:
    spec = a_spec(JobType.ADVANCED, rules=StoppingRules(target_per_minute=1000))
    outcome = outcome_of(spec, a_trial(0, a_type("ml.c5d.xlarge", usd=0.23), 371))
    assert outcome is not None
    assert (outcome.instance_count, outcome.capacity_per_minute) == (3, 1113)
    assert outcome.cost_per_hour_usd == pytest.approx(0.69)
    assert outcome.cost_per_inference_usd == pytest.approx(1.0332e-05, rel=1e-4)


@pytest.mark.parametrize(("measured", "told"), [(0.04, 1), (20.0, 20), (20.01, 21)])
def test_latency_is_whole_milliseconds_rounded_up_and_never_zero(measured: float, told: int) -> None:
    outcome = outcome_of(a_spec(), a_trial(0, a_type("t"), 100, measured))
    assert outcome is not None
    assert outcome.latency_ms == told


def test_what_did_not_complete_is_not_recommended() -> None:
    failed = a_trial(0, a_type("t"), 100, status=TrialStatus.FAILED)
    assert recommend(a_job(), [failed, a_trial(1, a_type("u"), 100, result=None)]) == ()


def test_a_recommendation_has_the_effective_workers_and_a_stable_id() -> None:
    (row,) = recommend(a_job(), [a_trial(0, a_type("t"), 100)])
    assert row.environment == {"SAGEMAKER_MODEL_SERVER_WORKERS": "1"}
    assert row.id == recommend(a_job(), [a_trial(0, a_type("t"), 100)])[0].id
    assert row.id.startswith("job/")


def test_at_most_ten_are_recommended() -> None:
    assert len(recommend(a_job(), [a_trial(i, a_type(f"t{i}"), 100 + i) for i in range(15)])) == 10


def test_the_pareto_front_leaves_out_what_another_beats_in_cost_and_latency() -> None:
    rows = recommend(
        a_job(),
        [
            a_trial(0, a_type("cheap-slow", usd=0.1), 1000, 50.0),
            a_trial(1, a_type("dear-fast", usd=0.4), 1000, 10.0),
            a_trial(2, a_type("beaten", usd=0.5), 1000, 60.0),
        ],
    )
    front = pareto_front(rows)
    names = {row.trial.spec.instance_type.name for row in rows if row.id in front}
    assert names == {"cheap-slow", "dear-fast"}


def test_the_result_document_has_rank_price_basis_and_every_trial() -> None:
    trials = [a_trial(0, a_type("t", usd=None), 100), a_trial(1, a_type("u"), 100, status=TrialStatus.FAILED)]
    document = result_document(a_job(), trials, {})
    (row,) = document["recommendations"]  # type: ignore[misc]
    assert (row["rank"], row["price_basis"], row["cost_per_inference_usd"]) == (1, "unknown", None)
    assert [trial["status"] for trial in document["trials"]] == ["COMPLETED", "FAILED"]  # type: ignore[union-attr]
