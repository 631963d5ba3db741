"""What a front has seen of a variant goes to the store by the minute."""

from __future__ import annotations

import pytest

from modeldyno.domain.errors import StoreUnreachable
from modeldyno.domain.metric import Minute, values_of
from modeldyno.router.meter import Meter
from modeldyno.testing.clock import ManualClock

KEY = ("us-east-1", "e", "main")
OK = 200


class Kept:
    """The one operation of a store that a meter uses."""

    def __init__(self) -> None:
        self.away = False
        self.minutes: dict[tuple[str, int, str], Minute] = {}
        self.writes = 0

    def put_minutes(self, minutes: list[Minute]) -> None:
        if self.away:
            raise StoreUnreachable("gone fishing")
        self.writes += 1
        self.minutes |= {(one.variant, one.at, one.source): one for one in minutes}


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(600.0)


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
async def meter(kept: Kept, clock: ManualClock, notes: list[str]) -> Meter:
    return Meter(kept, clock, "life", notes.append)  # type: ignore[arg-type]


async def test_a_minute_is_told_as_it_goes_on(meter: Meter, kept: Kept, clock: ManualClock) -> None:
    meter.count(KEY, OK, 5_000, 200, 1)
    await meter.write()
    meter.count(KEY, OK, 7_000, 100, 1)
    await meter.write()
    (minute,) = kept.minutes.values()
    assert (minute.region, minute.endpoint, minute.at) == ("us-east-1", "e", 600)
    assert minute.values["ModelLatency"] == values_of([5_000, 7_000])
    assert minute.values["OverheadLatency"] == values_of([200, 100])
    assert minute.values["Invocations"] == values_of([1, 1])


async def test_nothing_new_is_nothing_written(meter: Meter, kept: Kept) -> None:
    await meter.write()
    meter.count(KEY, OK, 1, 1, 1)
    await meter.write()
    await meter.write()
    assert kept.writes == 1


async def test_each_minute_has_its_own_values(meter: Meter, kept: Kept, clock: ManualClock) -> None:
    meter.count(KEY, OK, 1, 1, 1)
    clock.time += 59.0
    meter.count(KEY, OK, 2, 1, 1)
    clock.time += 1.0
    meter.count(KEY, OK, 3, 1, 1)
    await meter.write()
    assert {key[1]: minute.values["ModelLatency"].total for key, minute in kept.minutes.items()} == {600: 3, 660: 3}


async def test_errors_are_told_apart(meter: Meter, kept: Kept) -> None:
    for status in (200, 201, 404, 503, 0, 301):
        meter.count(KEY, status, 1, 1, 1)
    await meter.write()
    (minute,) = kept.minutes.values()
    assert minute.values["Invocation4XXErrors"] == values_of([0, 0, 0, 0, 0, 1])
    assert minute.values["Invocation5XXErrors"] == values_of([0, 0, 0, 0, 0, 1])
    assert minute.values["InvocationModelErrors"] == values_of([0, 0, 1, 1, 1, 1])


async def test_a_request_is_shared_by_the_instances_in_service(meter: Meter, kept: Kept) -> None:
    for instances in (1, 3, 3, 3, 4, 4):
        meter.count(KEY, OK, 1, 1, instances)
    await meter.write()
    (minute,) = kept.minutes.values()
    assert minute.values["InvocationsPerInstance"].total / 720_720 == 2.5
    assert minute.values["Invocations"].total == 6


async def test_a_shadow_has_no_overhead(meter: Meter, kept: Kept) -> None:
    meter.count(("us-east-1", "e", "shadow"), OK, 1, None, 1)
    await meter.write()
    assert "OverheadLatency" not in kept.minutes["shadow", 600, "life"].values


async def test_what_cannot_be_written_waits_and_is_told_once(
    meter: Meter, kept: Kept, clock: ManualClock, notes: list[str]
) -> None:
    kept.away = True
    for _ in range(3):
        meter.count(KEY, OK, 5, 1, 1)
        await meter.write()
        clock.time += 60.0
    assert len(notes) == 1
    assert "gone fishing" in notes[0]
    kept.away = False
    meter.count(KEY, OK, 5, 1, 1)
    await meter.write()
    assert sorted(at for _, at, _ in kept.minutes) == [600, 660, 720, 780]


async def test_what_waits_is_bounded_and_the_oldest_go_first(meter: Meter, kept: Kept, clock: ManualClock) -> None:
    kept.away = True
    for _ in range(1_100):
        meter.count(KEY, OK, 5, 1, 1)
        await meter.write()
        clock.time += 60.0
    kept.away = False
    await meter.write()
    assert len(kept.minutes) == 1_000
    assert min(at for _, at, _ in kept.minutes) == 600 + 100 * 60
