"""The terminal shows the same ranking as the report."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console, RenderableType

from modeldyno.ui.tables import ranking, results_view, rows_of

Result = dict[str, Any]


def shown(view: RenderableType) -> str:
    console = Console(file=io.StringIO(), width=160)
    console.print(view)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def rows(table: RenderableType) -> list[list[str]]:
    """The lines that begin with a rank, split into words."""
    return [line.split() for line in shown(table).splitlines() if line[0].isdigit()]


def test_the_ranking_lists_every_recommendation_in_order(result: Result) -> None:
    ranked = rows(ranking(result))
    assert [row[:2] for row in ranked] == [
        ["1", "local.one"],
        ["2", "local.half"],
        ["3", "local.one-and-half"],
        ["4", "local.mystery"],
    ]
    assert "estimated" in ranked[0]
    assert "example" in ranked[1]
    assert ranked[3].count("unknown") == 2  # an hour, and a million inferences


def test_a_target_adds_instances_and_monthly_cost(result: Result) -> None:
    assert rows(ranking(result, 50_000))[0][-2:] == ["17", "$621"]  # by the arrivals that hold the limit
    assert rows(ranking(result, 50_000))[2][-4:] == ["≥", "9", "≥", "$591"]  # by the capacity, where they were not


def test_a_target_says_by_what_its_instances_were_planned(result: Result) -> None:
    assert "$621 a month, planned for arrivals that do not wait (P95 within 100 ms)." in shown(
        results_view(result, 50_000)
    )
    result["trials"][1]["open_loop"] = None
    assert "planned by the closed-loop capacity, without head-room." in shown(results_view(result, 50_000))
    result["job"]["threshold_ms"] = None
    assert "with a latency limit it is planned for arrivals that do not wait" in shown(results_view(result, 50_000))


def test_the_rate_of_arrivals_that_holds_the_limit_has_a_column_where_it_was_measured(result: Result) -> None:
    assert "open loop/min" in shown(ranking(result))
    assert "3,000" in rows(ranking(result))[0]
    told = result["recommendations"][0]["open_loop"]
    result["recommendations"][0]["open_loop"] = told | {"at_least": True}
    assert "≥ 3,000" in shown(ranking(result))
    result["recommendations"][0]["open_loop"] = told | {"per_minute": None}
    assert "unknown" in rows(ranking(result))[0]
    result["recommendations"][0]["open_loop"] = None
    assert "open loop/min" not in shown(ranking(result))


def test_a_result_from_before_the_open_loop_has_a_table(result: Result) -> None:
    for part in (*result["trials"], *result["recommendations"]):
        part.pop("open_loop", None)
        part.pop("rates", None)
    assert len(rows(ranking(result, 50_000))) == 4


def test_the_view_tells_flags_failures_and_what_was_left_out(result: Result) -> None:
    text = shown(results_view(result))
    assert "#3: The instance fills the host: the load generator shared its cores." in text
    assert "local.big" in text
    assert "ml.c5.9xlarge was left out" in text


def test_what_concerns_every_trial_is_told_once(result: Result) -> None:
    for trial in result["trials"]:
        trial["flags"] = {"no_cgroup": "no cgroup could be used"}
        trial["failure_reason"] = "the model has no script"
    text = shown(results_view(result))
    assert "All: No cgroup could be used." in text
    assert text.count("The model has no script.") == 1


def test_without_an_answer_the_end_of_the_log_stands_below_with_repeated_lines_once(result: Result) -> None:
    result["recommendations"] = []
    result["trials"][4]["log_tail"] = "oops\n" * 5 + "ValueError: x\n"
    result["job"] |= {"status": "FAILED", "failure_reason": "It ended. Last lines of its log: oops\noops"}
    text = shown(results_view(result))
    assert "No recommendation. It ended.\n" in text
    assert "  oops (5 times)" in text
    assert text.count("oops") == 1


def test_the_interval_of_a_figure_stands_below_it_where_it_is_known(result: Result) -> None:
    text = shown(ranking(result))
    assert "±1.0%" in text
    assert "67.9 to 73.5" in text
    for item in result["recommendations"]:
        item |= {"capacity_low_per_minute": None, "capacity_high_per_minute": None, "latency_low_ms": None}
        item["open_loop"] = None
    assert "±" not in shown(ranking(result))
    row = rows_of(result)[1]
    assert row["capacity_low_per_minute"] < row["capacity_per_minute"] < row["capacity_high_per_minute"]
    assert row["latency_low_ms"] < row["latency_ms"] < row["latency_high_ms"]


def test_a_compiled_model_is_called_so(result: Result) -> None:
    best = result["recommendations"][0]
    assert "compiled" not in shown(results_view(result))
    best["compiled"] = "job-abc123"
    view = shown(results_view(result))
    assert view.startswith(f"Use the compiled model on {best['instance_type']} with ")
    assert f"{best['instance_type']} · compiled" in view


def test_markup_in_a_setting_is_shown_and_not_obeyed(result: Result) -> None:
    result["recommendations"][0]["environment"] = {"A": "[red]x[/red]"}
    assert "A=[red]x[/red]" in shown(ranking(result))


def test_every_trial_is_a_row_with_empty_cells_for_what_is_not_known(result: Result) -> None:
    rows = rows_of(result)
    assert [row["index"] for row in rows] == [0, 1, 2, 3, 4]
    assert [row["rank"] for row in rows] == [3, 1, 2, 4, None]
    assert rows[3]["cost_per_inference_usd"] is None
    assert rows[4]["status"] == "FAILED"
    assert rows[4]["capacity_per_minute"] is None


def test_an_endpoint_that_was_there_already_is_told_apart_from_the_ranking(result: Result) -> None:
    trial = result["trials"][0] | {"index": 99, "existing_endpoint": True, "endpoint_name": "live"}
    trial["flags"] = {"live_traffic": "measured at a live endpoint"}
    view = shown(results_view(result | {"trials": [*result["trials"], trial]}))
    assert "The endpoint as it serves" in view
    assert "live: " in view
    assert "the endpoint live: Measured at a live endpoint." in view
    assert "The endpoint as it serves" not in shown(results_view(result))


def test_a_run_off_is_told_beneath_the_ranking(result: Result) -> None:
    assert "told apart" not in shown(results_view(result))
    told = shown(results_view(result | {"run_off": {"note": "Run-off: one costs 1.08 times as much as the other."}}))
    assert "How the leaders were told apart" in told
    assert "Run-off: one costs 1.08 times" in told
