"""Runs that are done are not repeated."""

from pathlib import Path

import pytest

from benchmarks.journal import Journal, in_short


def test_a_run_that_the_file_holds_is_not_measured_again(tmp_path: Path) -> None:
    path = tmp_path / "runs.json"
    Journal(path).take("fixed 0", lambda: {"error": 0.01, "windows": [{"users": 2}]})

    def never() -> dict[str, float]:
        raise AssertionError

    assert Journal(path).take("fixed 0", never) == {"error": 0.01, "windows": [{"users": 2}]}


def test_the_file_is_whole_after_every_run(tmp_path: Path) -> None:
    path = tmp_path / "runs.json"
    journal = Journal(path)
    for number in range(3):
        journal.keep(f"fixed {number}", {"error": number})
        assert Journal(path).get(f"fixed {number}") == {"error": number}
    assert [entry.name for entry in tmp_path.iterdir()] == ["runs.json"]


def test_a_run_is_told_on_standard_error_without_its_lists(capsys: pytest.CaptureFixture[str]) -> None:
    Journal().keep("fixed 0", {"error": 0.0123456, "windows": [1, 2]})
    assert capsys.readouterr().err == 'fixed 0: {"error": 0.01235}\n'


def test_single_values_are_shortened() -> None:
    assert in_short({"a": 1234.5678, "b": 7, "c": None, "d": True, "e": {}}) == {
        "a": 1235.0,
        "b": 7,
        "c": None,
        "d": True,
    }
