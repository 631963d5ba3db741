"""The pages that people look words up in know every word that the program uses."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
from typer.main import get_command

from modeldyno.cli.commands import app
from modeldyno.domain.job import JobStatus, JobType
from modeldyno.domain.trial import Flag, TrialStatus
from modeldyno.settings import (
    CaptureSetting,
    InstanceSetting,
    MeasurementSetting,
    ObjectsSetting,
    RuntimeSetting,
    ServerlessSetting,
    Settings,
    ShadowSetting,
)

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def read(page: str) -> str:
    return (DOCS / page).read_text()


@pytest.mark.parametrize("status", sorted({*JobStatus, *TrialStatus}))
def test_every_status_is_in_the_glossary(status: str) -> None:
    assert f"`{status}`" in read("glossary.md")


@pytest.mark.parametrize("kind", JobType)
def test_every_type_of_job_is_in_the_glossary(kind: str) -> None:
    assert f"**{kind} job**" in read("glossary.md")


def test_words_are_in_the_glossary_once_and_in_order_of_the_alphabet() -> None:
    words = re.findall(r"^\| \*\*(.+?)\*\*", read("glossary.md"), re.MULTILINE)
    assert words == sorted(dict.fromkeys(words), key=str.lower)


@pytest.mark.parametrize("flag", Flag)
def test_every_flag_is_explained(flag: str) -> None:
    assert f"| `{flag}` |" in read("explanation/measurement.md")


_PARTS = [
    Settings,
    InstanceSetting,
    MeasurementSetting,
    ObjectsSetting,
    RuntimeSetting,
    ShadowSetting,
    ServerlessSetting,
    CaptureSetting,
]


@pytest.mark.parametrize("part", _PARTS)
def test_every_setting_is_in_the_reference_with_its_default(part: type[msgspec.Struct]) -> None:
    page = read("reference/configuration.md")
    for field in msgspec.structs.fields(part):
        row = re.search(rf"^(?:\| `{field.name}` \|(.*)\||## `\[{field.name}[\].])", page, re.MULTILINE)
        assert row is not None, field.name
        default = field.default
        if isinstance(default, (int, float)) and not isinstance(default, bool) and row[1]:
            assert f"`{default:g}`" in row[1], field.name


def test_every_command_and_option_is_in_the_reference() -> None:
    page = read("reference/cli.md")
    for name, command in get_command(app).commands.items():
        assert f"dyno {name}" in page, name
        for parameter in command.params:
            for option in parameter.opts:
                assert not option.startswith("--") or option in page or option == "--help", f"{name} {option}"


@pytest.mark.parametrize("page", ["README.md", *(str(path.relative_to(ROOT)) for path in sorted(DOCS.rglob("*.md")))])
def test_links_lead_to_files_that_are_there(page: str) -> None:
    for link in re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / page).read_text()):
        assert (ROOT / page).parent.joinpath(link).exists(), link
