"""What a known-truth server does on purpose, without a server."""

from __future__ import annotations

import pytest

from modeldyno.testing.truth_behaviour import Behaviour, ServiceTimes, with_pauses


def taken(count: int, *, body: bytes = b"", age: float = 100.0, **more: object) -> list[float]:
    times = ServiceTimes(Behaviour(service_ms=10.0, **more))  # type: ignore[arg-type]
    return [times.next_seconds(age, 1, body) for _ in range(count)]


def test_a_leak_makes_each_invocation_longer_than_the_one_before() -> None:
    assert taken(3, leak_share=0.5) == pytest.approx([0.010, 0.015, 0.020])


def test_it_throttles_itself_after_so_much_work() -> None:
    assert taken(4, throttle_after=0.02, throttle_factor=3.0) == pytest.approx([0.01, 0.01, 0.03, 0.03])


def test_the_cost_is_the_number_that_the_body_begins_with() -> None:
    assert taken(1, body=b"50,1,2\n", cost_from_body=True) == pytest.approx([0.5])
    assert taken(1, body=b" 0.5", cost_from_body=True) == pytest.approx([0.005])
    assert taken(1, body=b"none", cost_from_body=True) == taken(1, body=b"50") == pytest.approx([0.01])


def test_the_first_seconds_are_slow() -> None:
    assert taken(1, age=1.0, warm_up_seconds=2.0) == pytest.approx([0.03])


@pytest.mark.parametrize(
    ("age", "seconds", "takes"),
    [
        (0.5, 1.0, 1.0),  # long before the first pause
        (9.9, 0.2, 1.2),  # it comes in between
        (10.0, 0.2, 1.2),
        (10.6, 0.2, 0.6),  # begun within it
        (10.6, 0.0, 0.4),
        (11.0, 0.2, 0.2),
        (5.0, 20.0, 22.0),  # over two of them
    ],
)
def test_all_work_stops_in_a_pause(age: float, seconds: float, takes: float) -> None:
    assert with_pauses(Behaviour(pause_every=10.0, pause_seconds=1.0), age, seconds) == pytest.approx(takes)
    assert with_pauses(Behaviour(), age, seconds) == seconds
