"""Values of metrics: added, merged, and what they tell."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeldyno.domain.metric import (
    CPU,
    MODEL_LATENCY,
    PER_INSTANCE,
    STATISTICS,
    Values,
    figure,
    minute_of,
    percentile_of,
    values_of,
)

SOME = st.lists(st.integers(0, 2**40), max_size=60)


@given(SOME, SOME)
def test_merged_values_are_those_of_both(one, other):
    merged = values_of(one)
    merged.merge(values_of(other))
    assert merged == values_of([*one, *other])


@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=60))
def test_statistics_but_percentiles_are_exact(values):
    found = [figure(MODEL_LATENCY, values_of(values), statistic) for statistic in STATISTICS]
    of = [len(values), sum(values) / len(values) / 1000, sum(values) / 1000, min(values) / 1000, max(values) / 1000]
    assert found == of


@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=200), st.floats(0, 100))
def test_a_percentile_is_near_the_value_of_its_rank_and_within_what_was_seen(values, percent):
    found = figure(MODEL_LATENCY, values_of(values), f"p{percent:.4f}") * 1000
    rank = max(1, -int(-round(percent, 4) / 100 * len(values) // 1))
    near = sorted(values)[min(rank, len(values)) - 1]
    assert min(values) - 0.5 <= found <= max(values) + 0.5
    assert found == pytest.approx(near, rel=1 / 256, abs=0.5)


def test_a_copy_is_its_own():
    values = values_of([1])
    copy = values.copy()
    values.add(9)
    assert copy == values_of([1])
    assert copy != values


def test_the_least_may_be_nothing():
    values = Values()
    values.add(5, 3)
    values.add(0)
    assert (values.count, values.total, values.least, values.greatest) == (4, 15, 0, 5)
    values.merge(Values())
    assert values.least == 0


def test_shares_of_instances_are_whole():
    for instances in range(1, 17):
        assert PER_INSTANCE.steps % instances == 0


def test_a_percent_has_its_thousandths():
    assert figure(CPU, values_of([187_512]), "Average") == 187.512


@pytest.mark.parametrize(
    ("statistic", "percent"),
    [("p99", 99.0), ("p0", 0.0), ("p0.0", 0.0), ("p100", 100.0), ("p99.99", 99.99), ("p100.1", None), ("p", None)]
    + [(word, None) for word in ("99", "P99", "tm99", "p-1", "p1e2", "p٩", "p99 ", "pr(:5)", "IQM")],
)
def test_percentiles_are_read(statistic, percent):
    assert percentile_of(statistic) == percent


def test_a_minute_begins_at_a_whole_one():
    assert (minute_of(59.999), minute_of(60.0), minute_of(1_700_000_099.5)) == (0, 60, 1_700_000_040)
