"""Margins that tags set: each within what it can be."""

from __future__ import annotations

import pytest

from modeldyno.domain.errors import InvalidRequest
from modeldyno.domain.experiment import Margins
from modeldyno.operations.margins import margins_of


def test_tags_go_over_the_defaults_and_other_tags_are_nobodys() -> None:
    found = margins_of(Margins(), {"dyno:latency_percent": "20", "dyno:stop_when_harmful": "true", "team": "a"})
    assert found == Margins(latency_percent=20.0, stop_when_harmful=True)


@pytest.mark.parametrize(
    ("tag", "value", "words"),
    [
        ("dyno:latency", "20", "names no margin; there are latency_percent"),
        ("dyno:latency_percent", "much", "none of its margin"),
        ("dyno:latency_percent", "-1", "must be 0 or more"),
        ("dyno:latency_percent", "nan", "must be 0 or more"),
        ("dyno:agreement_percent", "101", "must be from 0 to 100"),
        ("dyno:error_percent", "-0.5", "must be from 0 to 100"),
        ("dyno:confidence_percent", "100", "must be from 50 to 99.9999"),
        ("dyno:confidence_percent", "150", "must be from 50 to 99.9999"),
    ],
)
def test_a_margin_that_cannot_be_is_refused_by_its_name(tag: str, value: str, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words) as refused:
        margins_of(Margins(), {tag: value})
    assert tag in str(refused.value)
