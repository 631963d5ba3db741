"""What every store does with endpoints, servers, fronts and experiments."""

# ruff: noqa: D102  (the name of a test says what it shows)

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from modeldyno.domain.catalog import InstanceType
from modeldyno.domain.endpoint import (
    Endpoint,
    EndpointStatus,
    Fleet,
    FleetSpec,
    Rollout,
    Server,
    ServerStatus,
    Update,
    VariantSpec,
)
from modeldyno.domain.errors import InvalidRequest, ResourceInUse, ResourceNotFound
from modeldyno.domain.evidence import Evidence
from modeldyno.domain.experiment import Experiment, ExperimentStatus
from modeldyno.domain.model import ModelSource
from modeldyno.domain.resource import Kind, Query
from modeldyno.domain.rollout import Step
from modeldyno.ports import Store
from modeldyno.testing.contracts.facts import HOST, REGION

OpenAgain = Callable[[], Store]
VARIANT = VariantSpec("main", ModelSource("image:1", None, {"A": "é"}), InstanceType("ml.c5.large", 2.0, 4096), 2)


def an_endpoint(name: str = "e", at: float = 1.0) -> Endpoint:
    """An endpoint with every part set."""
    fleet = Fleet(1, FleetSpec("c", (VARIANT,), (replace(VARIANT, name="shadow"),)))
    return Endpoint(
        id=f"id-{name}",
        region=REGION,
        name=name,
        arn=f"arn:aws:sagemaker:{REGION}:000000000000:endpoint/{name}",
        status=EndpointStatus.CREATING,
        fleet=fleet,
        created_at=at,
        modified_at=at,
        update=Update(Fleet(2, fleet.spec), Rollout(), 2.0, 0.5, 3.0),
        weights={"main": 2.0},
        experiment="x",
        experiment_id="id-x",
        rollout_document={"Deep": [1, None]},
    )


def a_server(name: str = "s1", endpoint_id: str = "id-e") -> Server:
    """A server that nobody has taken."""
    return Server(name, endpoint_id, REGION, "e", 1, VARIANT, 0)


def an_experiment(name: str = "x", at: float = 1.0) -> Experiment:
    """An experiment that is being created."""
    fleet = FleetSpec("x-1", (VARIANT,), (replace(VARIANT, name="shadow"),))
    return Experiment(
        id=f"id-{name}",
        region=REGION,
        name=name,
        arn=f"arn:aws:sagemaker:{REGION}:000000000000:inference-experiment/{name}",
        status=ExperimentStatus.CREATING,
        endpoint_name="e",
        endpoint_arn="arn",
        production="main",
        shadow="shadow",
        percent=50,
        fleet=fleet,
        starts_at=1.0,
        ends_at=2.0,
        created_at=at,
        modified_at=at,
        document={"Deep": {"é": [1.5]}},
    )


def _with(store: Store, *servers: Server) -> None:
    store.add_endpoint(an_endpoint())
    store.step_endpoint(REGION, "e", lambda row, _: Step(row, add=servers))


class HostingContract:
    """Endpoints, servers, fronts, experiments."""

    def test_an_endpoint_comes_back_as_it_was_added(self, store: Store, open_again: OpenAgain) -> None:
        store.add_endpoint(an_endpoint(), {"team": "a"})
        other = open_again()
        assert other.endpoint(REGION, "e") == an_endpoint()
        assert other.endpoints() == (an_endpoint(),)
        assert other.tags(an_endpoint().arn) == {"team": "a"}
        page = other.find_resources(Kind.ENDPOINT, Query(REGION, equals={"status": "Creating"}))
        assert [item.name for item in page.items] == ["e"]

    def test_an_endpoints_name_is_taken_once_and_what_is_not_there_is_not_found(self, store: Store) -> None:
        store.add_endpoint(an_endpoint())
        with pytest.raises(ResourceInUse):
            store.add_endpoint(replace(an_endpoint(), id="another"))
        with pytest.raises(ResourceNotFound):
            store.endpoint(REGION, "none")
        with pytest.raises(ResourceNotFound):
            store.change_endpoint(REGION, "none", lambda row: row)
        assert store.step_endpoint(REGION, "none", lambda row, _: Step(row)) is None

    def test_a_change_is_whole_or_not_at_all(self, store: Store) -> None:
        store.add_endpoint(an_endpoint())

        def refuse(row: Endpoint) -> Endpoint:
            raise InvalidRequest("no")

        version = store.routes_version()
        with pytest.raises(InvalidRequest):
            store.change_endpoint(REGION, "e", refuse)
        assert store.routes_version() == version
        changed = store.change_endpoint(REGION, "e", lambda row: replace(row, status=EndpointStatus.IN_SERVICE))
        assert store.endpoint(REGION, "e") == changed
        assert store.routes_version() > version

    def test_changes_at_once_all_count(self, store: Store, open_again: OpenAgain) -> None:
        store.add_endpoint(replace(an_endpoint(), created_at=0.0))
        stores = [store, open_again()]

        def add_one(number: int) -> None:
            stores[number % 2].change_endpoint(REGION, "e", lambda row: replace(row, modified_at=row.modified_at + 1.0))

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(add_one, range(40)))
        assert store.endpoint(REGION, "e").modified_at == 41.0

    def test_a_step_adds_servers_once_and_unwants_them(self, store: Store, open_again: OpenAgain) -> None:
        _with(store, a_server("s2"), a_server("s1"))
        assert [server.id for server in open_again().servers()] == ["s1", "s2"]
        seen: list[str] = []

        def again(row: Endpoint, servers: object) -> Step:
            seen.extend(server.id for server in servers)  # type: ignore[attr-defined]
            return Step(row, add=(a_server("s1"),), unwant=("s2",))

        store.step_endpoint(REGION, "e", again)
        assert seen == ["s1", "s2"]
        assert [(server.id, server.wanted) for server in store.servers()] == [("s1", True), ("s2", False)]

    def test_an_endpoint_that_is_gone_takes_everything_of_it_along(self, store: Store) -> None:
        store.add_endpoint(an_endpoint(), {"team": "a"})
        arn = an_endpoint().arn
        store.tell(arn, 1.0, "once")
        store.step_endpoint(REGION, "e", lambda row, _: Step(row, add=(a_server(),)))
        store.step_endpoint(REGION, "e", lambda row, _: Step(None))
        assert store.endpoints() == ()
        assert store.servers() == ()
        assert store.tags(arn) == {}
        assert store.story(arn) == ()

    def test_a_server_is_changed_only_under_its_attempt(self, store: Store) -> None:
        _with(store, a_server())
        taken = store.change_server("s1", 0, lambda row: replace(row, attempt=1, worker_id="w", lease_expires_at=9.0))
        assert taken is not None
        assert (taken.attempt, taken.worker_id, taken.lease_expires_at) == (1, "w", 9.0)
        assert store.change_server("s1", 0, lambda row: replace(row, worker_id="thief")) is None
        assert store.servers() == (taken,)
        assert not store.remove_server("s1", 0)
        assert store.remove_server("s1", 1)
        assert store.change_server("s1", 1, lambda row: row) is None

    def test_a_heartbeat_renews_the_leases_of_servers(self, store: Store) -> None:
        _with(store, a_server())
        store.change_server("s1", 0, lambda row: replace(row, worker_id="w", lease_expires_at=9.0))
        store.heartbeat("w", HOST, 100.0, 15.0)
        assert store.servers()[0].lease_expires_at == 115.0

    def test_routes_are_newer_when_what_serves_has_changed(self, store: Store) -> None:
        _with(store, a_server())
        version = store.routes_version()
        store.change_server("s1", 0, lambda row: replace(row, usage={"cpu": 5.0}))
        assert store.routes_version() == version
        store.change_server("s1", 0, lambda row: replace(row, status=ServerStatus.READY, url="http://127.0.0.1:1"))
        assert store.routes_version() > version

    def test_fronts_tell_how_new_their_routes_are_and_which_servers_they_use(self, store: Store) -> None:
        assert store.fronts_behind(10, 0.0) == 0
        store.tell_front("f1", 5, ["s1"], 100.0, {})
        store.tell_front("f2", 10, [], 100.0, {})
        assert store.fronts_behind(10, 50.0) == 1
        assert store.fronts_behind(10, 150.0) == 0  # its lease is over
        assert store.busy_servers(50.0) == {"s1"}
        store.tell_front("f1", 10, [], 200.0, {})
        assert store.fronts_behind(10, 50.0) == 0
        assert store.busy_servers(50.0) == frozenset()
        store.remove_front("f1")
        assert store.fronts_behind(11, 50.0) == 1

    def test_the_demand_of_living_fronts_adds_up(self, store: Store) -> None:
        assert store.demand(0.0) == {}
        store.tell_front("f1", 1, [], 100.0, {"e/v": 2})
        store.tell_front("f2", 1, [], 200.0, {"e/v": 1, "e/w": 3})
        assert store.demand(50.0) == {"e/v": 3, "e/w": 3}
        assert store.demand(150.0) == {"e/v": 1, "e/w": 3}
        store.tell_front("f2", 1, [], 200.0, {})
        assert store.demand(150.0) == {}

    def test_a_story_is_told_in_order(self, store: Store) -> None:
        store.tell("arn", 1.0, "one", "two\0three")
        store.tell("arn", 2.0)
        store.tell("arn", 3.0, "four")
        assert [(event.at, event.message) for event in store.story("arn")] == [
            (1.0, "one"),
            (1.0, "two\ufffdthree"),
            (3.0, "four"),
        ]

    def test_an_experiment_comes_back_changes_and_goes(self, store: Store, open_again: OpenAgain) -> None:
        store.add_experiment(an_experiment(), {"team": "a"})
        with pytest.raises(ResourceInUse):
            store.add_experiment(replace(an_experiment(), id="another"))
        assert open_again().experiment(REGION, "x") == an_experiment()
        store.change_experiment(REGION, "x", lambda row: replace(row, status=ExperimentStatus.RUNNING))
        assert [one.status for one in store.experiments()] == [ExperimentStatus.RUNNING]
        store.put_tally("id-x", "life", {"eligible": 1}, ended=False)
        store.add_evidence("segment", {"id-x": lambda before: Evidence(both_good=1)}, 1.0)
        store.remove_experiment(REGION, "x")
        assert store.experiments() == ()
        assert store.tags(an_experiment().arn) == {}
        assert store.tallies("id-x") == {}
        assert store.evidence("id-x") is None
        for call in (
            lambda: store.experiment(REGION, "x"),
            lambda: store.remove_experiment(REGION, "x"),
            lambda: store.change_experiment(REGION, "x", lambda row: row),
        ):
            with pytest.raises(ResourceNotFound):
                call()

    def test_tallies_are_of_each_life_of_a_front(self, store: Store) -> None:
        store.put_tally("x", "a", {"eligible": 1}, ended=False)
        store.put_tally("x", "a", {"eligible": 5, "compared": 4}, ended=True)
        store.put_tally("x", "b", {"eligible": 2}, ended=False)
        store.put_tally("y", "a", {"eligible": 9}, ended=False)
        assert store.tallies("x") == {"a": ({"eligible": 5, "compared": 4}, True), "b": ({"eligible": 2}, False)}

    def test_a_segment_is_taken_once_and_for_all_its_experiments(self, store: Store, open_again: OpenAgain) -> None:
        def one_more(before: Evidence | None) -> Evidence:
            evidence = before or Evidence(production={5: 1})
            evidence.both_good += 1
            return evidence

        assert store.add_evidence("s1", {"x": one_more, "y": one_more}, 1.0)
        assert not open_again().add_evidence("s1", {"x": one_more}, 1.0)
        assert store.add_evidence("s2", {"x": one_more}, 1.0)
        seen = store.evidence("x")
        assert seen is not None
        assert (seen.both_good, seen.production) == (2, {5: 1})
        other = store.evidence("y")
        assert other is not None
        assert other.both_good == 1
        assert store.evidence("z") is None

    def test_segments_taken_at_once_all_count(self, store: Store, open_again: OpenAgain) -> None:
        stores = [store, open_again()]

        def one_more(before: Evidence | None) -> Evidence:
            evidence = before or Evidence()
            evidence.both_good += 1
            return evidence

        def take(number: int) -> None:
            stores[number % 2].add_evidence(f"segment-{number}", {"x": one_more}, 1.0)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(take, range(24)))
        seen = store.evidence("x")
        assert seen is not None
        assert seen.both_good == 24
