"""A tag names a directory and a cgroup, and can be read back."""

from __future__ import annotations

import pytest

from modeldyno.instances.naming import directory_name, owner_prefix, tag_text
from modeldyno.ports import Tag


@pytest.mark.parametrize("unit", ["trial-1", "a/b", "a+b", "../..", "a b", "ü"])
def test_a_tag_becomes_one_file_name_and_back(unit: str) -> None:
    tag = Tag("installation", "worker", unit, 3)
    name = directory_name(tag)
    assert "/" not in name
    assert tag_text(name) == str(tag)


def test_one_workers_names_are_not_anothers() -> None:
    assert not directory_name(Tag("i", "worker-10", "u", 1)).startswith(owner_prefix("i", "worker-1"))


@pytest.mark.parametrize("name", ["", "dyno+a+b+c", "lost+found+a+b", "dyno-service"])
def test_any_other_name_is_no_tag(name: str) -> None:
    assert tag_text(name) is None
