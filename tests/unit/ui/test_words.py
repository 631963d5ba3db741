"""Figures read the same everywhere."""

from __future__ import annotations

import pytest

from modeldyno.ui import words


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "unknown"),
        (0.0, "$0.00"),
        (0.000_012_34, "$0.0000123"),
        (0.05, "$0.05"),
        (0.0624, "$0.0624"),
        (0.3, "$0.30"),
        (7.5, "$7.50"),
        (1204.4, "$1,204"),
    ],
)
def test_dollars_keep_the_figures_that_matter(value: float | None, text: str) -> None:
    assert words.dollars(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "unknown"), (0.836, "0.84 ms"), (12.34, "12.3 ms"), (1340.2, "1,340 ms")]
)
def test_latencies_keep_three_figures(value: float | None, text: str) -> None:
    assert words.milliseconds(value) == text


@pytest.mark.parametrize(("value", "text"), [(0.4, "0 s"), (59, "59 s"), (190, "3 min 10 s"), (7500, "2 h 05 min")])
def test_durations_read_as_people_say_them(value: float, text: str) -> None:
    assert words.seconds(value) == text


@pytest.mark.parametrize(("value", "text"), [(1234.4, "1,234"), (3.0, "3"), (2.5, "2.5"), (None, "unknown")])
def test_counts_have_thousands_apart(value: float | None, text: str) -> None:
    assert words.count(value) == text


@pytest.mark.parametrize(
    ("fragment", "text"),
    [("others used 9% of it", "Others used 9% of it."), ("ml.m5.large is dear.", "ml.m5.large is dear."), (None, "")],
)
def test_fragments_become_sentences_and_names_keep_their_spelling(fragment: str | None, text: str) -> None:
    assert words.sentence(fragment) == text
