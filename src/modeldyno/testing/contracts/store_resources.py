"""What every store does with resources, tags and pages."""

# ruff: noqa: D102  (the name of a test says what it shows)

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from modeldyno.domain.errors import Conflict, InvalidRequest, LimitExceeded, ResourceInUse, ResourceNotFound
from modeldyno.domain.resource import Cursor, Kind, Query, Resource
from modeldyno.ports import Store
from modeldyno.testing.contracts.facts import REGION, a_resource

OpenAgain = Callable[[], Store]


def _version(group: str) -> Callable[[int], Resource]:
    return lambda number: a_resource(f"{group}/{number}", Kind.PACKAGE, float(number), parent=group, version=number)


def _names(store: Store, **wishes: object) -> list[str]:
    """The names in every page of a list, in order."""
    query = Query(REGION, limit=2, **wishes)  # type: ignore[arg-type]
    names: list[str] = []
    while True:
        page = store.find_resources(Kind.MODEL, query)
        names += [item.name for item in page.items]
        if page.next is None:
            return names
        query = replace(query, after=page.next)


class ResourceContract:
    """Resources, tags, pages."""

    def test_the_installation_has_one_id_for_everybody(self, store: Store, open_again: OpenAgain) -> None:
        assert store.installation
        assert open_again().installation == store.installation

    def test_a_resource_comes_back_as_it_was_added(self, store: Store, open_again: OpenAgain) -> None:
        added = a_resource(labels={"approval": "Approved", 'odd"key': "x"}, parent="p", version=3)
        store.add_resource(added)
        assert open_again().resource(Kind.MODEL, REGION, "m") == added

    def test_a_name_is_taken_once_in_a_kind_and_region(self, store: Store) -> None:
        store.add_resource(a_resource())
        with pytest.raises(ResourceInUse):
            store.add_resource(a_resource(at=2.0), {"never": "kept"})
        assert store.tags(a_resource().arn) == {}
        store.add_resource(a_resource(kind=Kind.PACKAGE_GROUP))
        store.add_resource(a_resource(region="eu-west-1", arn="other"))

    def test_what_is_not_there_is_not_found(self, store: Store) -> None:
        for call in (
            lambda: store.resource(Kind.MODEL, REGION, "none"),
            lambda: store.remove_resource(Kind.MODEL, REGION, "none"),
            lambda: store.update_resource(Kind.MODEL, REGION, "none", lambda it: it),
            lambda: store.add_version(_version("none"), Kind.PACKAGE, REGION, "none"),
        ):
            with pytest.raises(ResourceNotFound, match="none"):
                call()

    def test_an_update_replaces_what_it_changes(self, store: Store) -> None:
        store.add_resource(a_resource())
        changed = store.update_resource(
            Kind.MODEL, REGION, "m", lambda it: replace(it, status="Failed", modified_at=9.0, labels={"a": "b"})
        )
        assert changed.status == "Failed"
        assert store.resource(Kind.MODEL, REGION, "m") == changed

    def test_updates_at_once_lose_nothing(self, store: Store) -> None:
        store.add_resource(a_resource(document={"count": 0}))

        def count_up(it: Resource) -> Resource:
            count = it.document["count"]
            assert isinstance(count, int)
            return replace(it, document={"count": count + 1})

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: store.update_resource(Kind.MODEL, REGION, "m", count_up), range(20)))
        assert store.resource(Kind.MODEL, REGION, "m").document == {"count": 20}

    def test_a_removed_resource_leaves_its_name_and_tags(self, store: Store) -> None:
        store.add_resource(a_resource(), {"team": "a"})
        store.remove_resource(Kind.MODEL, REGION, "m")
        assert store.tags(a_resource().arn) == {}
        store.add_resource(a_resource())

    # versions
    def test_versions_count_from_one_and_are_never_used_twice(self, store: Store) -> None:
        store.add_resource(a_resource("g", Kind.PACKAGE_GROUP))
        numbers = [store.add_version(_version("g"), Kind.PACKAGE, REGION, "g").version for _ in range(2)]
        store.remove_resource(Kind.PACKAGE, REGION, "g/2")
        numbers.append(store.add_version(_version("g"), Kind.PACKAGE, REGION, "g").version)
        assert numbers == [1, 2, 3]

    def test_versions_added_at_once_are_all_different(self, open_again: OpenAgain, store: Store) -> None:
        store.add_resource(a_resource("g", Kind.PACKAGE_GROUP))
        stores = (store, open_again())
        with ThreadPoolExecutor(4) as pool:
            made = list(
                pool.map(lambda n: stores[n % 2].add_version(_version("g"), Kind.PACKAGE, REGION, "g"), range(16))
            )
        assert sorted(item.version or 0 for item in made) == list(range(1, 17))

    def test_a_version_asked_for_many_times_at_once_with_one_token_is_added_once(
        self, open_again: OpenAgain, store: Store
    ) -> None:
        store.add_resource(a_resource("g", Kind.PACKAGE_GROUP))
        stores = (store, open_again())

        def make(number: int) -> Resource:
            return replace(_version("g")(number), labels={"client_token": "t"})

        with ThreadPoolExecutor(4) as pool:
            made = list(pool.map(lambda n: stores[n % 2].add_version(make, Kind.PACKAGE, REGION, "g"), range(8)))
        assert {item.version for item in made} == {1}
        assert store.add_version(_version("g"), Kind.PACKAGE, REGION, "g").version == 2

    def test_a_group_with_versions_is_not_removed(self, store: Store) -> None:
        store.add_resource(a_resource("g", Kind.PACKAGE_GROUP))
        store.add_version(_version("g"), Kind.PACKAGE, REGION, "g")
        with pytest.raises(Conflict):
            store.remove_resource(Kind.PACKAGE_GROUP, REGION, "g")
        store.remove_resource(Kind.PACKAGE, REGION, "g/1")
        store.remove_resource(Kind.PACKAGE_GROUP, REGION, "g")

    # tags
    def test_tags_are_added_overwritten_and_sorted(self, store: Store) -> None:
        store.add_resource(a_resource(), {"b": "1"})
        assert store.set_tags(a_resource().arn, {"a": "2", "b": "3"}) == {"a": "2", "b": "3"}
        assert list(store.tags(a_resource().arn).items()) == [("a", "2"), ("b", "3")]
        store.remove_tags(a_resource().arn, ["b", "unknown"])
        assert store.tags(a_resource().arn) == {"a": "2"}
        assert store.tags("arn:of:nothing") == {}

    def test_too_many_tags_change_nothing(self, store: Store) -> None:
        store.set_tags("arn:x", {"a": "1", "b": "2"}, limit=2)
        with pytest.raises(LimitExceeded):
            store.set_tags("arn:x", {"a": "changed", "c": "3"}, limit=2)
        assert store.tags("arn:x") == {"a": "1", "b": "2"}

    def test_tags_set_at_once_keep_the_limit(self, store: Store) -> None:
        def add(number: int) -> bool:
            try:
                store.set_tags("arn:x", {f"k{number}": "v"}, limit=5)
            except LimitExceeded:
                return False
            return True

        with ThreadPoolExecutor(4) as pool:
            assert sum(pool.map(add, range(12))) == 5
        assert len(store.tags("arn:x")) == 5

    # pages
    @pytest.mark.parametrize("sort_by", ["name", "created_at", "modified_at", "status"])
    def test_pages_hold_everything_once_in_order(self, store: Store, sort_by: str) -> None:
        for number, name in enumerate(["b", "B", "a-1", "a_1", "a"]):
            status = "Completed" if number % 2 else "Failed"
            store.add_resource(a_resource(name, at=float(number // 2), status=status))
        rows = {item.name: item for item in store.find_resources(Kind.MODEL, Query(REGION, limit=100)).items}
        added = list(reversed(rows)) if sort_by == "created_at" else ["b", "B", "a-1", "a_1", "a"]
        expected = sorted(added, key=lambda name: getattr(rows[name], sort_by))
        assert _names(store, sort_by=sort_by, descending=False) == expected
        assert _names(store, sort_by=sort_by, descending=True) == expected[::-1]

    def test_pages_stay_correct_while_items_are_added_and_removed(self, store: Store) -> None:
        for number in range(6):
            store.add_resource(a_resource(f"m{number}", at=float(number)))
        first = store.find_resources(Kind.MODEL, Query(REGION, limit=3))
        assert [item.name for item in first.items] == ["m5", "m4", "m3"]
        store.add_resource(a_resource("newer", at=9.0))
        store.add_resource(a_resource("as-old", at=3.0))
        store.remove_resource(Kind.MODEL, REGION, "m3")
        second = store.find_resources(Kind.MODEL, Query(REGION, limit=3, after=first.next))
        assert [item.name for item in second.items] == ["m2", "m1", "m0"]
        assert second.next is None

    def test_lists_are_of_one_kind_and_region(self, store: Store) -> None:
        store.add_resource(a_resource("here"))
        store.add_resource(a_resource("there", region="eu-west-1"))
        store.add_resource(a_resource("group", Kind.PACKAGE_GROUP))
        assert _names(store) == ["here"]

    def test_lists_are_filtered(self, store: Store) -> None:
        store.add_resource(a_resource("per%cent", at=1.0, status="Failed"))
        store.add_resource(a_resource("under_score", at=2.0, labels={"approval": "Approved"}))
        store.add_resource(a_resource("Percent", at=3.0, modified_at=9.0, parent="g", version=1))
        assert _names(store, name_contains="%") == ["per%cent"]
        assert _names(store, name_contains="r_s") == ["under_score"]
        assert _names(store, name_contains="ercent") == ["Percent"]
        assert _names(store, name_contains="p") == ["per%cent"]
        assert _names(store, name_contains="") == ["Percent", "under_score", "per%cent"]
        assert _names(store, created_after=1.0, created_before=3.0) == ["under_score"]
        assert _names(store, modified_after=2.0, modified_before=10.0) == ["Percent"]
        assert _names(store, equals={"status": "Failed"}) == ["per%cent"]
        assert _names(store, equals={"parent": "g"}) == ["Percent"]
        assert _names(store, equals={"approval": "Approved"}) == ["under_score"]
        assert _names(store, equals={"approval": "Rejected"}) == []
        assert _names(store, versioned=True) == ["Percent"]
        assert _names(store, versioned=False) == ["under_score", "per%cent"]

    def test_a_token_of_another_list_is_refused(self, store: Store) -> None:
        with pytest.raises(InvalidRequest):
            store.find_resources(Kind.MODEL, Query(REGION, sort_by="created_at", after=Cursor("m5", 1)))
        with pytest.raises(InvalidRequest):
            store.find_resources(Kind.MODEL, Query(REGION, sort_by="name", after=Cursor(3.0, 1)))
