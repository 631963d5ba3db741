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


@pytest.mark.parametrize(("bounds", "text"), [((99.2, 100.8), "±0.8%"), ((80.0, 110.0), "±20%"), ((None, 110.0), "")])
def test_a_throughput_is_so_much_more_or_less(bounds: tuple[float | None, float | None], text: str) -> None:
    assert words.plus_minus(100.0, *bounds) == text


@pytest.mark.parametrize(
    ("bounds", "text"), [((6.31, 6.7), "6.31 to 6.70 ms"), ((6.701, 6.702), "6.70 ms"), ((6.3, None), "")]
)
def test_a_latency_lies_between(bounds: tuple[float | None, float | None], text: str) -> None:
    assert words.between_ms(*bounds) == text


@pytest.mark.parametrize(
    ("lasted", "span"), [([7.6], "8 seconds"), ([8.2, 7.9], "8 seconds"), ([8.0, None, 49.0], "8 to 49 seconds")]
)
def test_what_no_load_can_show_is_told_with_how_long_it_took(lasted: list[float | None], span: str) -> None:
    trials = [{"figures": None if seconds is None else {"total_seconds": seconds}} for seconds in lasted]
    (told,) = words.blind_spot({"trials": trials})
    assert told.startswith(f"The load took {span} a configuration: what a model does later or less often")
    assert words.blind_spot({"trials": [{"figures": None}]}) == []
