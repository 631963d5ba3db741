"""What every store does with metrics of endpoints, and with what scales by them."""

# ruff: noqa: D102  (the name of a test says what it shows)

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from modeldyno.domain.metric import Minute, Series, Values, values_of
from modeldyno.domain.target_tracking import Policy, ScalableTarget
from modeldyno.ports import Store
from modeldyno.testing.contracts.facts import REGION

OpenAgain = Callable[[], Store]
BEGIN = 1_700_000_040  # a whole minute


def a_minute(at: int = BEGIN, source: str = "front-1", variant: str = "main", **values: Values) -> Minute:
    """What one source saw."""
    return Minute(REGION, "e", variant, at, source, values or {"Invocations": values_of([1, 1])})


def a_target(variant: str = "main", region: str = REGION) -> ScalableTarget:
    """A target with every part set."""
    document = {"TargetValue": 1.5, "Deep": [{"é": None}]}
    policy = Policy("p", "arn:p", "AWS/SageMaker", "Invocations", "Sum", 1.5, 10, 100, True, 2.0, document)
    return ScalableTarget(region, "e", variant, "arn:t", 1, 4, "role", 1.0, (policy,), True, True, True, 3.0, 4.0)


class MetricContract:
    """Minutes, merged; targets, changed."""

    def _read(
        self, store: Store, metric: str = "Invocations", period: int = 60, seconds: int = 600
    ) -> dict[int, Values]:
        return dict(store.metric_values(REGION, "e", "main", metric, BEGIN, BEGIN + seconds, period))

    def test_values_come_back_as_they_were_told(self, store: Store, open_again: OpenAgain) -> None:
        latency = values_of([0, 255, 1_000_000, 1_000_001, 60_000_000_000])
        store.put_minutes([a_minute(ModelLatency=latency, Invocations=values_of([1] * 5))])
        assert self._read(open_again(), "ModelLatency") == {BEGIN: latency}
        assert self._read(store) == {BEGIN: values_of([1] * 5)}
        assert self._read(store, "OverheadLatency") == {}

    def test_a_source_that_tells_more_of_a_minute_replaces_what_it_told(self, store: Store) -> None:
        store.put_minutes([a_minute(Invocations=values_of([1]))])
        store.put_minutes([a_minute(Invocations=values_of([1, 1, 1]))])
        assert self._read(store) == {BEGIN: values_of([1, 1, 1])}

    def test_what_several_sources_saw_of_a_minute_is_merged(self, store: Store) -> None:
        store.put_minutes(
            [a_minute(ModelLatency=values_of([5, 700])), a_minute(ModelLatency=values_of([9]), source="b")]
        )
        assert self._read(store, "ModelLatency") == {BEGIN: values_of([5, 700, 9])}

    def test_minutes_are_told_by_period_from_the_beginning_and_the_end_is_not_in_it(self, store: Store) -> None:
        store.put_minutes([a_minute(BEGIN + 60 * number) for number in range(-1, 12)])
        by_period = self._read(store, period=300)
        assert {at - BEGIN: values.count for at, values in by_period.items()} == {0: 10, 300: 10}
        assert list(by_period) == sorted(by_period)

    def test_many_days_are_told(self, store: Store) -> None:
        day = 86_400
        store.put_minutes([a_minute(BEGIN), a_minute(BEGIN + day), a_minute(BEGIN + 3 * day + 60)])
        by_day = self._read(store, period=day, seconds=10 * day)
        assert {(at - BEGIN) // day: values.count for at, values in by_day.items()} == {0: 2, 1: 2, 3: 2}

    def test_each_variant_endpoint_and_region_has_its_own(self, store: Store) -> None:
        mine = a_minute()
        for other in (replace(mine, region="r"), replace(mine, endpoint="x"), replace(mine, variant="x")):
            store.put_minutes([other])
        assert self._read(store) == {}

    def test_series_tell_which_metrics_there_are_and_when_last(self, store: Store) -> None:
        store.put_minutes([a_minute(BEGIN + 60), replace(a_minute(), region="elsewhere")])
        store.put_minutes([a_minute(BEGIN), a_minute(BEGIN, variant="b", ModelLatency=values_of([1]))])
        assert store.metric_series(REGION) == (
            Series("e", "b", "ModelLatency", BEGIN),
            Series("e", "main", "Invocations", BEGIN + 60),
        )

    def test_old_minutes_are_forgotten(self, store: Store) -> None:
        store.put_minutes([a_minute(BEGIN), a_minute(BEGIN + 60), a_minute(BEGIN, variant="old")])
        store.prune_minutes(BEGIN + 59.5)
        assert list(self._read(store)) == [BEGIN + 60]
        assert [one.variant for one in store.metric_series(REGION)] == ["main"]

    def test_nothing_told_is_nothing_kept(self, store: Store) -> None:
        store.put_minutes([])
        assert store.metric_series(REGION) == ()

    # what scales
    def test_a_target_comes_back_changes_and_goes(self, store: Store, open_again: OpenAgain) -> None:
        assert store.change_scaling(REGION, "e", "main", lambda before: before or a_target()) == a_target()
        assert open_again().scalable_targets() == (a_target(),)
        changed = store.change_scaling(REGION, "e", "main", lambda before: before and replace(before, most=9))
        assert changed == replace(a_target(), most=9)
        assert store.scalable_targets() == (changed,)
        assert store.change_scaling(REGION, "e", "other", lambda before: before) is None
        assert store.change_scaling(REGION, "e", "main", lambda before: None) is None
        assert store.scalable_targets() == ()

    def test_targets_are_told_in_order(self, store: Store) -> None:
        every = [a_target("b", "r2"), a_target("b", "r1"), a_target("a", "r1")]
        for one in every:
            store.change_scaling(one.region, "e", one.variant, lambda before, one=one: one)  # type: ignore[misc]
        assert store.scalable_targets() == tuple(reversed(every))

    def test_changes_at_once_are_all_made(self, store: Store, open_again: OpenAgain) -> None:
        stores = [store, open_again()]
        store.change_scaling(REGION, "e", "main", lambda before: a_target())

        def one_more(number: int) -> None:
            stores[number % 2].change_scaling(
                REGION, "e", "main", lambda before: before and replace(before, most=before.most + 1)
            )

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(one_more, range(24)))
        assert store.scalable_targets()[0].most == a_target().most + 24
