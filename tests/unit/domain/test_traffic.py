"""Phases and stairs: how many users there are at any second."""

from modeldyno.domain.traffic import Phase, Stairs, Traffic, stages, users_at


def test_spawn_rate_is_users_a_minute() -> None:
    plan = stages(Traffic(phases=(Phase(1, 2, 120),)))
    assert [users_at(plan, t) for t in (0, 29.9, 30, 60, 119.9)] == [1, 1, 2, 3, 4]


def test_the_pattern_is_over_after_its_last_phase() -> None:
    plan = stages(Traffic(phases=(Phase(1, 0, 10), Phase(5, 0, 10))))
    assert [users_at(plan, t) for t in (9.9, 10, 19.9, 20)] == [1, 5, 5, None]


def test_a_stair_duration_is_the_total_of_all_steps() -> None:
    traffic = Traffic(stairs=Stairs(duration_seconds=600, steps=5, users_per_step=2))
    plan = stages(traffic)
    assert traffic.duration_seconds == 600
    assert [stage.duration_seconds for stage in plan] == [120.0] * 5
    assert [users_at(plan, t) for t in (0, 119, 120, 599, 600)] == [2, 2, 4, 10, None]


def test_a_pattern_of_phases_lasts_as_long_as_all_of_them() -> None:
    assert Traffic(phases=(Phase(1, 1, 120), Phase(2, 1, 180))).duration_seconds == 300
