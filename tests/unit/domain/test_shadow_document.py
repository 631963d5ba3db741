"""What an experiment has shown, as a document: every request accounted for, and no figure that was not measured."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from modeldyno.domain.catalog import InstanceType, PriceBasis
from modeldyno.domain.endpoint import Server, ServerStatus
from modeldyno.domain.evidence import Evidence, add, look_at
from modeldyno.domain.experiment import Experiment, ExperimentStatus
from modeldyno.domain.pair import Outcome, Pair
from modeldyno.domain.shadow_document import accounting, shadow_document
from modeldyno.engine.answers import read_answer
from tests.unit.domain.hosted import a_pair, an_experiment, fleet_spec, variant

RUNNING = an_experiment(status=ExperimentStatus.RUNNING)


def document(pairs: list[Pair], experiment: Experiment = RUNNING, **more: Any) -> dict[str, Any]:
    evidence = Evidence()
    add(evidence, look_at(pairs, 1e-6, read_answer))
    return shadow_document(experiment, evidence, more.get("tallies", {}), more.get("servers", ()))


def a_server(name: str, *, shadow: bool = False, cpu: float = 50.0) -> Server:
    made = Server(f"{name}-{shadow}", "e1", "us-east-1", "e", 1, variant(name), 0, shadow)
    return replace(made, status=ServerStatus.READY, url="http://127.0.0.1:1", usage={"cpu": cpu, "memory": 10.0})


# --- accounting ------------------------------------------------------------------------------------------------------


def test_every_eligible_request_is_accounted_for() -> None:
    killed = {"eligible": 100, "compared": 60, "unsampled": 30, "dropped": 4}
    living = {"eligible": 50, **{outcome.value: 5 for outcome in Outcome}}
    counts = accounting({"a": (killed, True), "b": (living, False)})
    assert counts["eligible"] == 150
    assert (counts["lost_in_crash"], counts["in_flight"]) == (6, 10)
    assert counts["compared"] == 65
    assert sum(counts.values()) - counts["eligible"] == counts["eligible"]


def test_nothing_seen_is_nothing_counted() -> None:
    assert set(accounting({}).values()) == {0}


# --- latency ---------------------------------------------------------------------------------------------------------


def test_the_difference_within_pairs_is_the_shadows_less_productions() -> None:
    slower = document([a_pair(at=n / 10, production_ms=5.0, shadow_ms=7.0) for n in range(100)])
    faster = document([a_pair(at=n / 10, production_ms=7.0, shadow_ms=5.0) for n in range(100)])
    assert slower["latency_ms"]["p50"]["paired_difference"] == pytest.approx(2.0, rel=0.01)
    assert faster["latency_ms"]["p50"]["paired_difference"] == pytest.approx(-2.0, rel=0.01)


def test_quantiles_of_a_difference_run_from_the_largest_lead_to_the_largest_lag() -> None:
    pairs = [a_pair(at=n / 10, production_ms=50.0, shadow_ms=1.0 + n) for n in range(100)]
    found = document(pairs)["latency_ms"]
    assert found["p50"]["paired_difference"] == pytest.approx(0.0, abs=1.5)
    assert found["p95"]["paired_difference"] == pytest.approx(45.0, rel=0.05)


def test_a_quantile_lies_within_its_interval_also_where_bursts_are_slower() -> None:
    """The first request of each burst of ten is quick; the value and the interval are both of those alone."""
    pairs = [a_pair(at=1 + n // 10 + n % 10 / 1000, production_ms=5.0 if n % 10 == 0 else 50.0) for n in range(5000)]
    found = document(pairs)
    row = found["latency_ms"]["p50"]["production"]
    assert row["low"] <= row["value"] == pytest.approx(5.0, rel=0.01)
    assert row["of_every_pair"] == pytest.approx(50.0, rel=0.01)
    assert found["spaced_pairs"] == 500


def test_what_is_not_known_is_null_and_the_document_is_json() -> None:
    found = shadow_document(RUNNING, None, {}, ())
    assert found["verdict"] == "cannot tell yet"
    assert found["latency_ms"]["p95"]["production"] == {"value": None, "low": 0.0, "high": None, "of_every_pair": None}
    assert found["last_pair_at"] is None
    assert "Infinity" not in json.dumps(found)


# --- variants --------------------------------------------------------------------------------------------------------


def priced() -> Experiment:
    kind = InstanceType("local.one", 1.0, 512, usd_per_hour=3.6, price_basis=PriceBasis.CONFIGURED)
    main, shadow = (replace(variant(name), instance_type=kind) for name in ("main", "shadow"))
    return replace(RUNNING, fleet=fleet_spec(main, shadows=(shadow,)))


def test_the_cost_of_each_variant_rests_on_the_requests_that_it_answered() -> None:
    """Half of the requests are mirrored: the shadow costs twice as much for each."""
    pairs = [a_pair(at=1.0 + n) for n in range(101)]
    tallies = {"a": ({"eligible": 200, "compared": 100, "unsampled": 100}, False)}
    production, shadow = document(pairs, priced(), tallies=tallies)["variants"]
    assert production["requests_per_second"] == pytest.approx(2.0)
    assert production["usd_per_million_at_this_rate"] == pytest.approx(500.0)
    assert shadow["usd_per_million_at_this_rate"] == pytest.approx(1000.0, rel=0.02)


def test_a_variant_without_a_price_or_a_rate_has_no_cost() -> None:
    unpriced = document([a_pair(at=1.0), a_pair(at=2.0)])["variants"][1]
    assert (unpriced["usd_per_hour"], unpriced["usd_per_million_at_this_rate"]) == (None, None)
    alone = document([a_pair(at=1.0)], priced())["variants"][1]
    assert (alone["requests_per_second"], alone["usd_per_million_at_this_rate"]) == (None, None)


def test_what_servers_use_is_told_of_the_role_that_they_have() -> None:
    servers = (a_server("main", cpu=50.0), a_server("shadow", shadow=True, cpu=20.0), a_server("shadow", cpu=99.0))
    production, shadow = document([], servers=servers)["variants"]
    assert (production["cpu_percent"], production["instances_in_service"]) == (50.0, 1)
    assert (shadow["cpu_percent"], shadow["instances_in_service"]) == (20.0, 1)


def test_servers_of_a_later_fleet_are_not_those_of_an_experiment_that_has_ended() -> None:
    ended = replace(RUNNING, status=ExperimentStatus.COMPLETED)
    production = document([], ended, servers=(a_server("main"),))["variants"][0]
    assert (production["instances_in_service"], production["cpu_percent"]) == (None, None)


# --- answers ---------------------------------------------------------------------------------------------------------


def test_labels_of_scores_are_told_apart_from_the_scores() -> None:
    alike = [a_pair(b"[[0.4, 0.6]]", b"[[0.3, 0.7]]", at=n / 10) for n in range(60)]
    unlike = [a_pair(b"[[0.4, 0.6]]", b"[[0.7, 0.3]]", at=10 + n / 10) for n in range(30)]
    found = document(alike + unlike)
    assert found["answers"]["judged_by"] == "labels"
    assert {one["field"]: one["pairs"] for one in found["fields"]} == {"[][]": 90, "(label)": 30}
    examples = [one["field"] for one in found["examples"]]
    assert (examples.count("[][]"), examples.count("(label)")) == (10, 10)
    labels = {(one["production"], one["shadow"]) for one in found["examples"] if one["field"] == "(label)"}
    assert labels == {("1", "0")}


def test_quantities_are_judged_by_their_fields() -> None:
    assert document([a_pair(b"[0.5]", b"[0.5]")])["answers"]["judged_by"] == "fields"


def test_the_metrics_of_the_dashboard_are_of_each_role() -> None:
    evidence = Evidence()
    statuses = [(200, 200), (200, 404), (500, 200), (200, 500), (200, 0)]
    pairs = [
        a_pair(at=float(number), production_status=ours, shadow_status=theirs)
        for number, (ours, theirs) in enumerate(statuses)
    ]
    add(evidence, look_at(pairs, 1e-6, read_answer))
    told = shadow_document(an_experiment(), evidence, {}, (), 40.0)["metrics"]
    errors = ("Invocation4XXErrors", "Invocation5XXErrors", "InvocationModelErrors")
    assert [told["production"][name] for name in errors] == [0, 1, 1]
    assert [told["shadow"][name] for name in errors] == [1, 1, 3]
    assert told["shadow"]["Invocations"] == 5
    assert told["shadow"]["ModelLatency"] == pytest.approx(5000, rel=0.01)
    assert told["shadow"]["DiskUtilization"] == 40.0
