"""What is written on the command line becomes what the API takes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from modeldyno.cli.options import settings_of
from modeldyno.cli.request import check_words, job_name, parse_ranges
from modeldyno.domain.errors import InvalidRequest, ServiceError


def test_values_of_a_variable_are_separated_by_commas() -> None:
    assert parse_ranges(["A=1,2,2", "B_C=x=y"]) == {"A": ("1", "2"), "B_C": ("x=y",)}


@pytest.mark.parametrize("text", ["A", "=1", "A=", "A=,", "1A=2", "A B=1"])
def test_a_range_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="NAME=value1,value2"):
        parse_ranges([text])


def test_a_variable_given_twice_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="twice"):
        parse_ranges(["A=1", "A=2"])


@pytest.mark.parametrize(
    ("name", "content_type", "version", "said"),
    [
        ("my job", "text/csv", None, "--name 'my job'"),
        ("job-", "text/csv", None, "--name"),
        ("x" * 64, "text/csv", None, "--name"),
        (None, "csv", None, "--content-type 'csv'"),
        (None, "text/csv", "99", "--framework-version '99'"),
    ],
)
def test_a_mistake_is_told_by_its_option(name: str | None, content_type: str, version: str | None, said: str) -> None:
    with pytest.raises(InvalidRequest, match=re.escape(said)):
        check_words(name, content_type, version)


def test_names_content_types_and_versions_as_people_write_them_are_taken() -> None:
    check_words("churn-1", "application/json; charset=utf-8", "1.5")
    check_words(None, "application/x-npy", "2.6.0-cpu-py312")


@pytest.mark.parametrize("model", ["model", "my model_v2.tar.gz", "日本", "x" * 100, "-.-", "..."])
def test_every_model_gives_a_name_that_the_api_takes(model: str) -> None:
    name = job_name(Path("/somewhere") / model, "abc123")
    assert re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,63}", name)
    assert len(name) <= 63


def test_the_command_line_goes_before_the_file_and_the_file_before_the_defaults(tmp_path: Path) -> None:
    config = tmp_path / "some.toml"
    config.write_text('data_dir = "/from/file"\nport = 9000\n')
    settings = settings_of(config, tmp_path, None)
    assert (settings.data_dir, settings.port, settings.host) == (str(tmp_path), 9000, "127.0.0.1")


def test_dyno_toml_of_the_working_directory_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings_of(None, None, None).port == 8600
    (tmp_path / "dyno.toml").write_text("port = 9001\n")
    assert settings_of(None, None, None).port == 9001
    (tmp_path / "other.toml").write_text("port = 9002\n")
    monkeypatch.setenv("DYNO_CONFIG", "other.toml")
    assert settings_of(None, None, None).port == 9002


def test_a_configuration_that_is_named_but_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match=r"nowhere\.toml"):
        settings_of(tmp_path / "nowhere.toml", None, None)
