"""What Prometheus reads of a variant."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest
from prometheus_client.parser import text_string_to_metric_families

from modeldyno.domain.pair import Side
from modeldyno.domain.routing import Choice
from modeldyno.router.invoke import Exchange
from modeldyno.router.metrics import Metrics
from modeldyno.router.request import Invocation
from modeldyno.router.table import Target

_OF_A = (("EndpointName", "e"), ("VariantName", "a"))


class _Route:
    name, region, mirror = "e", "us-east-1", None


@pytest.fixture
def target() -> Target:
    choices = (Choice("a", 1.0, (("s1", "u1"), ("s2", "u2"))), Choice("b", 1.0, (("s3", "u3"),)))
    return Target(cast("object", _Route()), choices, (0.5, 0.5))  # type: ignore[arg-type]


def exchange(variant: str, status: int, model_us: float, overhead_us: float) -> Exchange:
    model_ns = round(model_us * 1e3)
    total_ns = model_ns + round(overhead_us * 1e3)
    invocation = Invocation("us-east-1", "e", streams=False)
    return Exchange(invocation, b"", variant, status, b"", b"", model_ns, total_ns, failed=status != 200)


def told(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = text_string_to_metric_families(metrics.text([], 5.0).decode())
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def test_every_request_is_counted_by_what_it_came_to(target: Target) -> None:
    metrics = Metrics()
    for status in (200, 200, 404, 503, 0):
        metrics.answered(target, exchange("a", status, 1000, 250))
    metrics.answered(target, exchange("b", 200, 1000, 250))
    found = told(metrics)
    counts = {
        name: found[f"{name}_total", _OF_A]
        for name in (
            "Invocations",
            "InvocationsPerInstance",
            "Invocation4XXErrors",
            "Invocation5XXErrors",
            "InvocationModelErrors",
        )
    }
    assert counts == {
        "Invocations": 5,
        "InvocationsPerInstance": 2.5,
        "Invocation4XXErrors": 1,
        "Invocation5XXErrors": 1,
        "InvocationModelErrors": 3,
    }
    assert found["InvocationsPerInstance_total", (("EndpointName", "e"), ("VariantName", "b"))] == 1


def test_latencies_are_in_the_buckets_that_hold_them_in_microseconds(target: Target) -> None:
    metrics = Metrics()
    for model_us in (100, 100.001, 3000, 60e6):  # a bucket holds its own bound
        metrics.answered(target, exchange("a", 200, model_us, 20))
    found = told(metrics)
    buckets = {
        dict(labels)["le"]: value
        for (name, labels), value in found.items()
        if name == "ModelLatency_bucket" and ("VariantName", "a") in labels
    }
    assert [buckets[le] for le in ("100.0", "200.0", "2000.0", "5000.0", "5e+07", "+Inf")] == [1, 2, 2, 3, 3, 4]
    assert found["ModelLatency_count", _OF_A] == 4
    assert found["ModelLatency_sum", _OF_A] == pytest.approx(100 + 100.001 + 3000 + 60e6)
    assert found["OverheadLatency_sum", _OF_A] == pytest.approx(80)


def test_a_shadow_has_no_overhead(target: Target) -> None:
    metrics = Metrics()
    side = Side("a", 200, "text/csv", b"1", 2_000_000)
    metrics.mirrored(target, side)
    metrics.mirrored(target, replace(side, status=0))
    found = told(metrics)
    assert (found["Invocations_total", _OF_A], found["InvocationModelErrors_total", _OF_A]) == (2, 1)
    assert (found["ModelLatency_count", _OF_A], found["OverheadLatency_count", _OF_A]) == (2, 0)
