"""What every `ports.LoadGenerator` does. Subclass, and give the fixtures `generator`, `target` and `kill`."""

# ruff: noqa: D102  (the name of a test says what it shows)

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Callable

import pytest

from modeldyno.domain.errors import ServiceError
from modeldyno.domain.measurement import Window, merged_latency
from modeldyno.domain.traffic import Arrivals
from modeldyno.ports import LoadGenerator, LoadSession, LoadTarget

Kill = Callable[[LoadSession], None]


class LoadGeneratorContract:
    """Collected by pytest in a subclass named ``Test...``.

    `target`: a server that answers every invocation well and fast. `kill`: ends a session's generator as a crash would.
    """

    async def test_a_session_without_users_invokes_nothing(self, generator: LoadGenerator, target: LoadTarget) -> None:
        async with generator.drive(target) as session:
            (window,) = await _take(session, 1)
        assert (window.users, window.succeeded, window.failures) == (0, 0, 0)

    async def test_the_first_window_after_the_first_users_has_them(
        self, generator: LoadGenerator, target: LoadTarget
    ) -> None:
        async with generator.drive(target) as session:
            await session.set_users(3)
            (window,) = await _loaded(session, 1)
        assert window.users == 3

    async def test_windows_are_numbered_and_contiguous(self, generator: LoadGenerator, target: LoadTarget) -> None:
        async with generator.drive(target) as session:
            await session.set_users(2)
            windows = await _take(session, 3)
        assert [window.sequence for window in windows] == [0, 1, 2]
        _assert_contiguous(windows)

    async def test_users_change_up_and_down_to_none(self, generator: LoadGenerator, target: LoadTarget) -> None:
        seen: list[int] = []
        async with generator.drive(target) as session:
            wanted = iter((2, 5, 1, 0))
            async for window in session.windows():
                if not seen or window.users != seen[-1]:
                    seen.append(window.users)
                    if (users := next(wanted, None)) is None:
                        break
                    await session.set_users(users)
        assert seen == [0, 2, 5, 1, 0]

    async def test_a_change_cuts_the_open_window_and_a_short_settling_one_follows(
        self, generator: LoadGenerator, target: LoadTarget
    ) -> None:
        async with generator.drive(target) as session:
            await session.set_users(2)
            first = await _loaded(session, 2)
            await session.set_users(4)
            windows = first + await _take(session, 4)
        assert [window.settling for window in first] == [True, False]
        assert [window.users for window in windows] == sorted(window.users for window in windows)
        after = [window for window in windows if window.users == 4]
        assert [window.settling for window in after] == [True] + [False] * (len(after) - 1)
        assert min(after, key=lambda window: window.duration_seconds) is after[0]
        _assert_contiguous(windows)

    async def test_what_changes_nothing_cuts_nothing(self, generator: LoadGenerator, target: LoadTarget) -> None:
        async with generator.drive(target) as session:
            await session.set_users(2)
            first = await _loaded(session, 1)
            await session.set_users(2)
            windows = first + await _take(session, 2)
        assert [window.settling for window in windows] == [True, False, False]

    async def test_redrawn_connections_settle_anew_and_lose_no_invocation(
        self, generator: LoadGenerator, target: LoadTarget
    ) -> None:
        async with generator.drive(target) as session:
            await session.set_users(2)
            windows = await _loaded(session, 2)
            await session.set_users(2, redraw=True)
            async for window in session.windows():
                windows.append(window)
                if not window.settling:
                    break
        assert {window.users for window in windows} == {2}
        assert [window.settling for window in windows[:2]] == [True, False]
        assert windows[-2].settling
        assert not any(window.failed for window in windows)
        _assert_contiguous(windows)

    async def test_throughput_times_response_time_is_the_number_of_users(
        self, generator: LoadGenerator, target: LoadTarget
    ) -> None:
        """Little's law; the first window also holds the connecting."""
        async with generator.drive(target) as session:
            await session.set_users(4)
            _, *windows = await _loaded(session, 5)
        mean_ns = merged_latency(windows).mean_ns()
        assert mean_ns is not None
        per_second = sum(window.succeeded for window in windows) / sum(window.duration_seconds for window in windows)
        assert 3 < per_second * mean_ns / 1e9 < 4.5

    async def test_fewer_than_no_users_are_refused(self, generator: LoadGenerator, target: LoadTarget) -> None:
        async with generator.drive(target) as session:
            with pytest.raises(ValueError, match="-1"):
                await session.set_users(-1)

    @pytest.mark.parametrize("arrivals", Arrivals)
    async def test_arrivals_come_at_their_rate_and_are_counted_as_offered(
        self, generator: LoadGenerator, target: LoadTarget, arrivals: Arrivals
    ) -> None:
        async with generator.drive(target) as session:
            await session.set_rate(300, arrivals)
            windows = await _offered(session, 5)
        seconds = sum(window.duration_seconds for window in windows)
        offered = sum(window.offered or 0 for window in windows)
        assert {window.rate_per_second for window in windows} == {300}
        assert {window.users for window in windows} == {0}
        assert windows[0].settling
        assert 0.5 * 300 * seconds < offered < 1.6 * 300 * seconds
        answered = sum(window.succeeded for window in windows)
        assert answered + windows[-1].in_flight == offered
        _assert_contiguous(windows)

    async def test_a_closed_loop_offers_nothing(self, generator: LoadGenerator, target: LoadTarget) -> None:
        async with generator.drive(target) as session:
            await session.set_users(2)
            (window,) = await _loaded(session, 1)
        assert (window.offered, window.rate_per_second) == (None, None)

    async def test_users_end_arrivals_and_arrivals_end_users(
        self, generator: LoadGenerator, target: LoadTarget
    ) -> None:
        seen: list[tuple[int, float | None]] = []
        async with generator.drive(target) as session:
            await session.set_users(2)
            async for window in session.windows():
                load = (window.users, window.rate_per_second)
                if not window.settling and load not in seen:
                    seen.append(load)
                    match len([load for load in seen if load != (0, None)]):
                        case 1:
                            await session.set_rate(100)
                        case 2:
                            await session.set_users(1)
                        case 3:
                            break
        assert [load for load in seen if load != (0, None)] == [(2, None), (0, 100), (1, None)]

    async def test_rate_0_ends_the_arrivals(self, generator: LoadGenerator, target: LoadTarget) -> None:
        async with generator.drive(target) as session:
            await session.set_rate(100)
            await _offered(session, 2)
            await session.set_rate(0)
            async for window in session.windows():
                if window.offered is None and not window.settling:
                    break
        assert (window.in_flight, window.failures) == (0, 0)

    @pytest.mark.parametrize("rate", [-1.0, math.inf, math.nan])
    async def test_a_rate_that_cannot_be_is_refused(
        self, generator: LoadGenerator, target: LoadTarget, rate: float
    ) -> None:
        async with generator.drive(target) as session:
            with pytest.raises(ValueError, match="rate"):
                await session.set_rate(rate)

    async def test_windows_end_quietly_when_the_session_is_left(
        self, generator: LoadGenerator, target: LoadTarget
    ) -> None:
        async with generator.drive(target) as session:
            await session.set_users(1)
            first = asyncio.Event()

            async def watch() -> None:
                async for _ in session.windows():
                    first.set()

            watching = asyncio.create_task(watch())
            await first.wait()
        await watching

    async def test_a_dead_generator_is_an_error_and_not_an_end(
        self, generator: LoadGenerator, target: LoadTarget, kill: Kill
    ) -> None:
        async with generator.drive(target) as session:
            await session.set_users(1)
            await _loaded(session, 1)
            kill(session)
            with pytest.raises(ServiceError, match="load generator"):
                async for _ in session.windows():
                    pass

    async def test_two_sessions_do_not_mix(self, generator: LoadGenerator, target: LoadTarget) -> None:
        async with generator.drive(target) as one, generator.drive(target) as other:
            await one.set_users(1)
            await other.set_users(2)
            assert (await _loaded(one, 1))[0].users == 1
            assert (await _loaded(other, 1))[0].users == 2


def _assert_contiguous(windows: list[Window]) -> None:
    assert [window.sequence for window in windows] == list(
        range(windows[0].sequence, windows[0].sequence + len(windows))
    )
    for earlier, later in itertools.pairwise(windows):
        assert abs(earlier.started_at + earlier.duration_seconds - later.started_at) < 1e-3


async def _take(session: LoadSession, count: int) -> list[Window]:
    windows: list[Window] = []
    async for window in session.windows():
        windows.append(window)
        if len(windows) == count:
            break
    return windows


async def _offered(session: LoadSession, count: int) -> list[Window]:
    """So many windows from the first with arrivals on."""
    windows: list[Window] = []
    async for window in session.windows():
        if window.offered is not None:
            windows.append(window)
        if len(windows) == count:
            break
    return windows


async def _loaded(session: LoadSession, count: int) -> list[Window]:
    """So many windows from the first with users on: idle ones may have ended before the users came."""
    windows: list[Window] = []
    async for window in session.windows():
        if windows or window.users:
            windows.append(window)
        if len(windows) == count:
            break
    return windows
