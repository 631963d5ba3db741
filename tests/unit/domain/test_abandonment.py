"""Configurations that cannot win: what they would have to reach, and that none is given up wrongly."""

from __future__ import annotations

from dataclasses import replace

import pytest

from modeldyno.domain.abandonment import Bar, bar_of, growth, out_of_reach
from modeldyno.domain.catalog import InstanceType
from modeldyno.domain.figures import figures_of
from modeldyno.domain.job import JobType, LatencyThreshold, StoppingRules
from modeldyno.domain.latency import bucket_of
from modeldyno.domain.measurement import Window
from modeldyno.domain.recommend import pareto_front, recommend
from modeldyno.domain.saturation import SaturationSearch
from modeldyno.domain.statistics import throughput_interval
from modeldyno.domain.stopping import Hold, Instruction, Measured, Users
from modeldyno.domain.traffic import Phase, Traffic
from modeldyno.domain.trial import Flag, Trial, TrialResult, TrialStatus
from modeldyno.testing.simulation import ClosedLoop, Service, exponential, fixed, warming_up
from tests.unit.domain.builders import a_job, a_spec, a_trial, a_type

LIMIT = StoppingRules(threshold=LatencyThreshold(95.0, 90))


def searched(
    service: Service, bar: float | None, seed: int = 0, workers: int = 2, rules: StoppingRules | None = None
) -> tuple[Measured, ClosedLoop]:
    loop = ClosedLoop(workers, service, seed, gap_seconds=0.0)
    search = SaturationSearch(rules or StoppingRules(), bar=None if bar is None else Bar(bar, "as cheap as another"))
    return loop.drive(search), loop


def rate(measured: Measured) -> float:
    return sum(one.succeeded for one in measured.windows) / sum(one.duration_seconds for one in measured.windows)


# --- the bar ---

CHEAP, DEAR, UNPRICED = a_type("cheap", usd=0.05), a_type("dear", usd=0.1), a_type("own", usd=None)


def measured_at(kind: InstanceType, low_per_minute: float | None, index: int = 0, **more: object) -> Trial:
    trial = a_trial(index, kind, (low_per_minute or 0.0) * 1.05, **more)
    assert trial.result is not None
    figures = replace(trial.result.figures, capacity_low_per_minute=low_per_minute)
    return replace(trial, result=replace(trial.result, figures=figures))


def bar_for(kind: InstanceType, *trials: Trial, **spec: object) -> float | None:
    bar = bar_of(a_spec(**spec), kind, trials)
    return None if bar is None else bar.per_second


def test_twice_the_price_needs_twice_the_throughput() -> None:
    assert bar_for(DEAR, measured_at(CHEAP, 600)) == pytest.approx(20)
    assert bar_for(CHEAP, measured_at(DEAR, 600)) == pytest.approx(5)


def test_the_cheapest_so_far_sets_the_bar() -> None:
    assert bar_for(CHEAP, measured_at(CHEAP, 600), measured_at(DEAR, 3000, 1)) == pytest.approx(25)


def test_types_without_a_price_are_held_against_each_other_only() -> None:
    assert bar_for(UNPRICED, measured_at(UNPRICED, 600), measured_at(CHEAP, 6000, 1)) == pytest.approx(10)
    assert bar_for(UNPRICED, measured_at(CHEAP, 600)) is None
    assert bar_for(CHEAP, measured_at(UNPRICED, 600)) is None


def test_there_is_no_bar_before_anything_is_measured_well() -> None:
    good = measured_at(CHEAP, 600)
    assert bar_for(DEAR) is None
    assert bar_for(DEAR, replace(good, status=TrialStatus.FAILED)) is None
    assert bar_for(DEAR, replace(good, status=TrialStatus.IN_PROGRESS, result=None)) is None
    assert bar_for(DEAR, measured_at(CHEAP, None)) is None


@pytest.mark.parametrize("flag", [Flag.CLOSE_CALL, Flag.TREND])
def test_a_best_that_may_be_none_sets_no_bar(flag: Flag) -> None:
    good = measured_at(CHEAP, 600)
    assert good.result is not None
    assert bar_for(DEAR, replace(good, result=replace(good.result, flags={flag: "so"}))) is None


def test_there_is_no_bar_where_the_job_wants_every_configuration_measured_or_asks_something_else() -> None:
    best = measured_at(CHEAP, 600)
    assert bar_for(DEAR, best, thorough=True) is None
    assert bar_for(DEAR, best, rules=StoppingRules(target_per_minute=100)) is None
    assert bar_for(DEAR, best, job_type=JobType.ADVANCED, traffic=Traffic((Phase(1, 30, 60),))) is None
    assert bar_for(DEAR, best, rules=StoppingRules(threshold=LatencyThreshold(95.0, 50))) is not None


def test_foreign_load_lowers_the_bar_by_twice_its_share() -> None:
    assert Bar(100.0, "").lowered(0.1).per_second == pytest.approx(80)
    assert Bar(100.0, "").lowered(0.7).per_second == 0.0


# --- what is given up, and what is not ---


def test_a_configuration_far_under_the_bar_is_given_up_and_says_so() -> None:
    measured, loop = searched(exponential(0.02), 300.0)
    _, whole = searched(exponential(0.02), None)
    assert measured.cannot_win is not None
    assert measured.cannot_win.startswith("cannot win: about ")
    assert "18000 would be needed to be as cheap as another" in measured.cannot_win
    assert measured.reason == "throughput went flat, and the configuration cannot win"
    assert measured.failure is None
    assert loop.now < 0.65 * whole.now


def test_the_interval_of_what_is_given_up_still_holds_the_truth() -> None:
    inside = given_up = 0
    for seed in range(60):
        measured, _ = searched(exponential(0.02), 300.0, seed)
        interval = throughput_interval(measured.windows)
        assert interval is not None
        inside += interval.low <= 100 <= interval.high
        given_up += measured.cannot_win is not None
    assert given_up >= 55
    assert inside >= 54


@pytest.mark.parametrize("service", [fixed(0.02, 0.1), fixed(0.02, 0.3), exponential(0.02)])
def test_one_that_is_as_good_as_the_best_is_never_given_up(service: Service) -> None:
    for seed in range(40):
        assert searched(service, 100.0, seed)[0].cannot_win is None


@pytest.mark.parametrize("service", [fixed(0.02, 0.3), exponential(0.02)])
def test_one_within_the_margin_is_hardly_ever_given_up(service: Service) -> None:
    assert sum(searched(service, 108.0, seed)[0].cannot_win is not None for seed in range(40)) <= 1


def test_the_nearer_the_bar_the_longer_it_is_measured() -> None:
    seconds = [sum(searched(exponential(0.02), bar, seed)[1].now for seed in range(10)) for bar in (1000, 200, 120)]
    assert seconds == sorted(seconds)


@pytest.mark.parametrize("warm_after", [5.0, 15.0, 30.0, 60.0, 90.0])
@pytest.mark.parametrize("cold_factor", [1.5, 3.0])
def test_a_winner_that_is_cold_at_first_is_not_given_up(warm_after: float, cold_factor: float) -> None:
    for seed in range(6):
        assert searched(warming_up(0.02, cold_factor, warm_after), 100.0, seed)[0].cannot_win is None


@pytest.mark.parametrize("warm_after", [15.0, 30.0, 60.0])
def test_a_winner_that_is_cold_and_scatters_is_hardly_ever_given_up(warm_after: float) -> None:
    def serve(chance: object, now: float) -> float:
        return exponential(0.02 * (1 + 2 * max(0.0, 1 - now / warm_after)))(chance, now)  # type: ignore[arg-type]

    assert sum(searched(serve, 100.0, seed)[0].cannot_win is not None for seed in range(30)) <= 1


def test_a_winner_that_pauses_is_not_given_up() -> None:
    """A pause of a second in every ten costs a tenth of the throughput: 90 a second is its truth."""

    def serve(chance: object, now: float) -> float:
        pause = max(0.0, now % 10 - 9)
        return 0.02 + (1 - pause if pause else 0.0)

    for seed in range(10):
        assert searched(serve, 90.0, seed)[0].cannot_win is None


def test_with_a_threshold_the_users_are_the_same_as_without_a_bar_and_the_latency_holds() -> None:
    for seed in range(20):
        given_up, loop = searched(fixed(0.02, 0.4), 300.0, seed, 3, LIMIT)
        whole, longer = searched(fixed(0.02, 0.4), None, seed, 3, LIMIT)
        assert given_up.failure is whole.failure is None
        assert rate(given_up) == pytest.approx(rate(whole), rel=0.1)
        assert abs(given_up.users - whole.users) <= 1
        assert loop.now <= longer.now


def test_the_pareto_front_is_the_one_of_a_thorough_job() -> None:
    """Cost against latency of types that are slow and cheap, quick and dear, and neither."""
    kinds = {a_type("cheap", usd=0.02): 0.04, a_type("quick", usd=0.1): 0.015, a_type("neither", usd=0.2): 0.06}
    for seed in range(10):
        fronts = []
        for thorough in (False, True):
            trials: list[Trial] = []
            for index, (kind, seconds) in enumerate(kinds.items()):
                bar = bar_of(a_spec(thorough=thorough), kind, trials)
                search = SaturationSearch(StoppingRules(), bar=bar)
                measured = ClosedLoop(2, exponential(seconds), seed).drive(search)
                figures = figures_of(measured, measured.windows, StoppingRules(), None)
                assert figures is not None
                assert (measured.cannot_win is not None) == (not thorough and index > 0)
                trials.append(a_trial(index, kind, 0.0, result=TrialResult(figures, "flat", {}, 0.0, 1.0)))
            rows = recommend(a_job(), trials)
            fronts.append({row.trial.spec.instance_type.name for row in rows if row.id in pareto_front(rows)})
        assert fronts == [{"cheap", "quick"}] * 2


def test_one_that_breaks_the_threshold_at_one_user_fails_as_without_a_bar() -> None:
    rules = StoppingRules(threshold=LatencyThreshold(95.0, 5))
    measured, _ = searched(fixed(0.02), 300.0, rules=rules)
    assert measured.cannot_win is None
    assert measured.failure is not None


def test_a_bar_that_comes_while_it_is_measured_counts() -> None:
    class Late(SaturationSearch):
        def observe(self, window: Window) -> Instruction:
            if window.started_at > 20:
                self.bar = Bar(1000.0, "as cheap as another")
            return SaturationSearch.observe(self, window)

    loop = ClosedLoop(2, exponential(0.02), 0, gap_seconds=0.0)
    measured = loop.drive(Late(StoppingRules()))
    assert measured.cannot_win is not None
    assert 20 < loop.now < 25


def test_before_the_plateau_nothing_is_given_up() -> None:
    search = SaturationSearch(StoppingRules(), bar=Bar(1e9, "as cheap as another"))
    told = search.observe(Window(0, 0.0, 1.0, 1, {bucket_of(10_000_000): 100}))
    assert isinstance(told, Users | Hold)


# --- doubts ---


def windows(*rates: int, **more: float) -> list[Window]:
    counts = [(count, bucket_of(round(2e9 / count))) for count in rates]
    return [Window(i, float(i), 1.0, 2, {latency: count}, **more) for i, (count, latency) in enumerate(counts)]  # type: ignore[arg-type]


def test_windows_that_may_be_slower_than_the_server_give_nothing_up() -> None:
    bar, quiet = Bar(1000.0, ""), windows(100, 101, 99, 100, 101, 99)
    assert out_of_reach(bar, 100.0, quiet, quiet)
    doubtful = windows(100, 101, 99, 100, 101, 99, generator_cpu_seconds=0.5)
    assert not out_of_reach(bar, 100.0, doubtful, doubtful)


def test_what_the_generator_waited_lowers_the_bar() -> None:
    quiet, late = (windows(*(100,) * 6, generator_delay_seconds=delay) for delay in (0.0, 0.05))
    assert out_of_reach(Bar(115.0, ""), 100.0, quiet, quiet)
    assert not out_of_reach(Bar(115.0, ""), 100.0, late, late)


def test_a_level_that_gave_more_keeps_it_in() -> None:
    quiet = windows(100, 101, 99, 100, 101, 99)
    assert not out_of_reach(Bar(200.0, ""), 190.0, quiet, quiet)


def test_growth_is_told_with_its_interval() -> None:
    low, high = growth(windows(100, 102, 104, 106, 108))
    assert low < 0.0192 < high < 0.025
    low, high = growth(windows(100, 104, 98, 101, 99, 103))
    assert low < 0 < high
    assert growth(windows(100, 102)) == (float("-inf"), float("inf"))
