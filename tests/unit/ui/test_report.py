"""The report is one self-contained page that says everything a result document says."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest

from modeldyno.ui.report import render_report

Result = dict[str, Any]
_VOID = {"meta", "br", "wbr", "link", "img", "hr", "input"}


class Page(HTMLParser):
    """Checks that tags nest, and keeps texts, ids, links and scripts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.scripts: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _VOID:
            self.open.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        elif not self.open or self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.texts))

    def values(self, name: str) -> set[str]:
        return {value for _, key, value in self.attributes if key == name}


def test_the_report_opens_with_the_recommendation_in_words(result: Result) -> None:
    text = Page(render_report(result)).text
    assert (
        "Use local.one with SAGEMAKER_MODEL_SERVER_WORKERS=1: 4,195 invocations a minute at 70.0 ms (P95), "
        "for $0.199 a million inferences (estimated)." in text
    )


def test_every_tag_of_the_report_is_closed(result: Result) -> None:
    assert Page(render_report(result)).open == []


def test_the_report_asks_nothing_of_the_network(result: Result) -> None:
    page = Page(render_report(result))
    assert page.values("src") == set()
    assert {tag for tag, name, _ in page.attributes if name == "href"} == {"a"}
    assert all(link.startswith("#") for link in page.values("href"))
    assert "default-src 'none'" in " ".join(page.values("content"))


def test_a_models_log_cannot_become_a_part_of_the_page(result: Result) -> None:
    result["trials"][0]["instance_type"] = "</script><b>x"
    result["recommendations"][1]["instance_type"] = "</script><b>x"
    page = Page(render_report(result))
    assert len(page.scripts) == 3  # the numbers, uPlot, and the page's own
    assert "b" not in {tag for tag, _, _ in page.attributes}
    assert "</script><script>alert('x')</script>" in page.text


def test_the_embedded_numbers_are_those_that_the_plots_show(result: Result) -> None:
    charts = json.loads(Page(render_report(result)).scripts[0])
    assert [point["rank"] for point in charts["points"]] == [1, 2, 3]  # the unpriced one has no cost to plot
    assert [point["pareto"] for point in charts["points"]] == [True, False, True]
    assert set(charts["trials"]) == {"0", "1", "2", "3"}
    assert charts["trials"]["1"]["levels"]["users"] == [1, 2, 4, 8]
    assert len(charts["trials"]["1"]["time"]["seconds"]) == 24
    assert charts["trials"]["1"]["chosen_users"] == 4


def test_links_inside_the_report_lead_somewhere(result: Result) -> None:
    page = Page(render_report(result))
    assert {link.removeprefix("#") for link in page.values("href")} <= page.values("id")


def test_doubts_failures_and_what_was_left_out_are_told_in_words(result: Result) -> None:
    text = Page(render_report(result)).text
    assert "The instance fills the host: the load generator shared its cores." in text
    assert "The model server exited with status 1 before /ping answered." in text
    assert "ml.c5.9xlarge was left out: it has 36 vCPUs, the host has 2 cores." in text


def test_prices_say_what_they_are(result: Result) -> None:
    text = Page(render_report(result)).text
    assert "Example prices are made up for the demonstration." in text
    assert "Estimated prices are derived from another type or region" in text
    assert "Without a price there is no cost: local.mystery ranks last, by throughput." in text


def test_a_target_tells_instances_and_monthly_cost(result: Result) -> None:
    text = Page(render_report(result, 50_000)).text
    planned = "planned for arrivals that do not wait (P95 within 100 ms)"
    assert f"50,000 a minute take 17 instances, $621 a month, {planned}." in text
    assert "For 50,000 / min" in text
    assert f"Instances for 50,000 a minute: {planned}." in text


def test_the_rate_of_arrivals_that_holds_the_limit_stands_beside_the_capacity(result: Result) -> None:
    html = render_report(result)
    text = Page(html).text
    assert "Open loop / min" in text
    assert "3,000±5.0%" in text
    assert "Arrivals that do not wait: 3,000 a minute hold the threshold (±5.0%), from 2,100 arrivals in 45 s." in text
    charts = json.loads(Page(html).scripts[0])
    assert charts["trials"]["1"]["rates"]["rate_per_minute"] == [2700.0, 3300.0]
    assert charts["trials"]["1"]["sustained_per_minute"] == 3000.0
    assert html.count('data-plot="latency-rates"') == 1


@pytest.mark.parametrize(
    ("status", "reason", "said"),
    [
        ("FAILED", "Every trial failed.", "No recommendation. Every trial failed."),
        ("STOPPED", None, "No recommendation: the job was stopped."),
        ("IN_PROGRESS", None, "No recommendation yet: the job is still running."),
    ],
)
def test_a_job_without_an_answer_says_so(
    without_answer: Callable[..., Result], status: str, reason: str | None, said: str
) -> None:
    page = Page(render_report(without_answer(status, reason)))
    assert said in page.text
    assert page.open == []


def test_a_job_whose_trials_are_not_planned_yet_has_a_report(result: Result) -> None:
    empty = result | {"recommendations": [], "trials": [], "job": result["job"] | {"completed_at": None}}
    assert "No trial was run." in Page(render_report(empty)).text


def test_a_run_off_is_told_beneath_the_ranking(result: Result) -> None:
    note = "Run-off: one costs 1.08 times as much as <the> other."
    assert "Run-off" not in Page(render_report(result)).text
    assert note in Page(render_report(result | {"run_off": {"note": note}})).text
