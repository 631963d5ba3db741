"""What a calibration found, in words."""

from __future__ import annotations

from typing import Any

import pytest

from modeldyno.domain.calibration import Calibrated, Percentile, conclusions, document_of
from modeldyno.domain.statistics import Interval
from modeldyno.domain.trial import Flag


def found(value: float = 98.8, truth: float | None = 100.0, **more: Any) -> Calibrated:
    latencies = (Percentile(50.0, 20.0, 20.1), Percentile(99.0, 21.0, 21.5))
    fields = {"name": "fixed", "title": "2 workers", "instance_type": "1 vCPU", "latencies": latencies, "users": 2}
    rest = {"requests": 300, "load_seconds": 8.0, "flags": {}}
    capacity = Interval(value, value - 2, value + 2)
    return Calibrated(capacity=capacity, truth_per_second=truth, **(fields | rest | more))  # type: ignore[arg-type]


def test_a_good_calibration_says_how_near_it_was() -> None:
    assert conclusions([found(), found(100.0)]) == [
        "Capacity within 1.2% of the truth; the truth lies in the stated 95% interval in 2 of 2.",
        "Latencies within 0.10 ms (p50), 0.50 ms (p99) of what the servers recorded.",
    ]


def test_one_that_is_off_is_told_with_what_was_the_matter() -> None:
    told = conclusions([found(90.0, flags={Flag.FOREIGN_LOAD: "others used 40% of the model's cores meanwhile"})])
    assert told[0].startswith("Capacity within 10.0% of the truth; the truth lies in the stated 95% interval in 0 of 1")
    assert "may be off by as much as that, as with 2 workers (others used 40% of the model's cores" in told[1]


def test_a_truth_just_above_the_interval_is_explained_by_the_plateau() -> None:
    assert "is the beginning of the plateau" in conclusions([found(97.5)])[1]
    assert not any("plateau" in told for told in conclusions([found(102.5), found(95.0)]))


def test_what_the_generator_bounds_has_no_truth() -> None:
    instant = found(20_000.0, None, title="answers at once")
    assert (instant.error, instant.inside) == (None, None)
    assert "Of answers at once, 20,000 requests a second were seen" in conclusions([instant])[-1]


def test_the_document_has_figures_and_truth_side_by_side() -> None:
    document = document_of(found())
    assert document["error"] == pytest.approx(-0.012)
    assert document["truth_in_interval"] is True
    assert document["latencies"]["p50"]["error_ms"] == pytest.approx(0.1)  # type: ignore[index]
