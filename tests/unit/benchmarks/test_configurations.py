"""The search over configurations, on a surface that was really measured."""

from __future__ import annotations

from benchmarks.configurations import RECORDED, SEEDS, grid, search


def test_the_search_finds_the_optimum_of_the_recorded_surface_with_15_percent_of_it() -> None:
    found = search(RECORDED)
    assert found["configurations"] == len(grid()) == 60
    assert found["tests"] == 9
    assert len(found["over_optimum"]) == SEEDS
    assert found["seeds_within_5_percent"] >= 18
    assert found["different_optima"] > 1
    assert found["over_optimum"][0] <= 0.05
