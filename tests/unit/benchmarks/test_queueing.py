"""The exact answers for Poisson arrivals and exponential service."""

import math

import pytest

from benchmarks.queueing import erlang_c, share_over, sustainable_rate


def test_with_one_worker_it_is_the_closed_form() -> None:
    assert share_over(0.1, 30.0, 1, 0.02) == pytest.approx(math.exp(-(50 - 30) * 0.1))
    assert sustainable_rate(0.1, 95, 1, 0.02) == pytest.approx(50 - math.log(20) / 0.1)


def test_two_workers_and_a_limit_of_five_service_times_hold_two_thirds_of_the_capacity() -> None:
    assert sustainable_rate(0.1, 95, 2, 0.02) / 100 == pytest.approx(0.66, abs=0.005)


def test_an_arrival_waits_as_erlang_says() -> None:
    assert erlang_c(1, 0.4) == pytest.approx(0.4)
    assert erlang_c(2, 1.0) == pytest.approx(1 / 3)
    assert erlang_c(3, 2.0) == pytest.approx(4 / 9)


def test_where_the_formula_has_a_gap_it_is_continuous() -> None:
    at, near = share_over(0.1, 50.0, 2, 0.02), share_over(0.1, 50.0001, 2, 0.02)
    assert at == pytest.approx(near, rel=1e-4)


def test_a_limit_that_the_service_alone_breaks_holds_at_no_rate() -> None:
    assert sustainable_rate(0.059, 95, 2, 0.02) == 0.0


def test_from_the_capacity_on_every_time_in_the_system_is_over() -> None:
    assert share_over(0.1, 100.0, 2, 0.02) == 1.0
