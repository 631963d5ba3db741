"""An experiment in words: on a terminal, and as a page into which no answer can write."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from modeldyno.domain.evidence import Evidence, add, look_at
from modeldyno.domain.experiment import ExperimentStatus
from modeldyno.domain.pair import Pair
from modeldyno.domain.shadow_document import shadow_document
from modeldyno.engine.answers import read_answer
from modeldyno.ui.shadow import render_shadow, shadow_view, summary
from tests.unit.domain.hosted import a_pair, an_experiment
from tests.unit.ui.conftest import HOSTILE
from tests.unit.ui.test_report import Page

RUNNING = an_experiment(status=ExperimentStatus.RUNNING)
TALLIES = {"life": ({"eligible": 300, "compared": 140, "timeout": 7, "unsampled": 150}, True)}


def seen(pairs: list[Pair], **changes: Any) -> dict[str, Any]:
    evidence = Evidence()
    add(evidence, look_at(pairs, 1e-6, read_answer))
    return shadow_document(replace(RUNNING, **changes), evidence, TALLIES, ())


def pairs(count: int, answer: bytes = b'["cat"]') -> list[Pair]:
    return [
        a_pair(b'["cat"]', answer, at=1 + n / 10, production_ms=5 + n % 3 / 100, shadow_ms=5 + n % 3 / 100)
        for n in range(count)
    ]


def shown(document: dict[str, Any], width: int = 120) -> str:
    file = io.StringIO()
    Console(file=file, width=width).print(shadow_view(document))
    return file.getvalue()


# --- the verdict in words --------------------------------------------------------------------------------------------


def test_each_verdict_is_one_sentence() -> None:
    assert summary(seen(pairs(8000))) == "the shadow is fit: in every question it is within its margin."
    harmful = summary(seen(pairs(500, b'["dog"]')))
    assert harmful.startswith("the shadow is harmful. 0.00% of the answers agree in their labels (")
    assert summary(seen(pairs(30))) == (
        "cannot tell yet: more pairs are needed to decide on errors, latency and answers."
    )


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (ExperimentStatus.CREATING, "cannot tell yet: the variants are being started."),
        (ExperimentStatus.CREATED, "cannot tell yet: it waits for the start of its schedule."),
        (ExperimentStatus.RUNNING, "cannot tell yet: no request has been mirrored so far."),
        (ExperimentStatus.CANCELLED, "cannot tell yet: no request was mirrored."),
    ],
)
def test_without_a_pair_it_says_why(status: ExperimentStatus, words: str) -> None:
    document = seen([], status=status)
    assert summary(document) == words
    assert "Latency" not in shown(document)
    assert words[1:] in Page(render_shadow(document)).text


def test_one_that_ended_undecided_waits_for_nothing_more() -> None:
    assert summary(seen(pairs(30), status=ExperimentStatus.COMPLETED)).startswith("cannot tell: it ended with too few")


# --- a terminal ------------------------------------------------------------------------------------------------------


def test_the_view_accounts_for_every_request_in_words() -> None:
    text = shown(seen(pairs(30)))
    assert "300 in all, 140 compared, 7 shadow took too long, 150 not sampled, 3 lost in a crash" in text
    assert "Running on endpoint e, 30 pairs in 3 s, 50% sampled." in text
    assert "of 30 pairs at least 50 ms apart" in text


def test_an_end_that_is_not_known_yet_is_said() -> None:
    assert "no upper end yet" in " ".join(shown(seen(pairs(30))).split())
    assert "or more)" in shown(seen(pairs(30)))


@pytest.mark.parametrize("width", [60, 80, 200])
def test_markup_in_an_answer_stays_text_at_every_width(width: int) -> None:
    text = shown(seen(pairs(30, b'["[red]x[/red] \\u001b[31m"]')), width)
    assert "[red]x[/red]\\x1b[31m" in "".join(text.split())
    assert "\x1b" not in text


# --- the page --------------------------------------------------------------------------------------------------------


def test_the_page_says_what_the_view_says() -> None:
    page = Page(render_shadow(seen(pairs(500, b'["dog"]'), status_reason="because & so")))
    for words in ("The shadow is harmful.", "Running: because & so", "Every request that could be mirrored", "300"):
        assert words in page.text
    assert page.open == []


def test_an_answer_cannot_become_a_part_of_the_page() -> None:
    answer = b'["%b"]' % HOSTILE.encode()
    document = seen(pairs(30, answer))
    document["experiment"]["name"] = document["variants"][0]["model"] = HOSTILE
    document["experiment"]["status_reason"] = HOSTILE
    document["fields"].append({"field": HOSTILE, "pairs": 1, "share_percent": 1.0})
    html = render_shadow(document)
    assert Page(html).scripts == []
    assert HOSTILE not in html
    assert Page(html).text.count(HOSTILE) >= 4


def test_the_page_asks_nobody_for_anything() -> None:
    page = Page(render_shadow(seen(pairs(30))))
    assert not page.values("src") | page.values("href")
    assert any("default-src 'none'" in policy for policy in page.values("content"))
