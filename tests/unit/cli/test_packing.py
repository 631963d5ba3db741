"""Archives from a person's files: the same files make the same bytes."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest

from modeldyno.cli.packing import pack_model, pack_payload
from modeldyno.domain.errors import InvalidRequest


def names(archive: Path) -> list[str]:
    with tarfile.open(archive, "r:gz") as opened:
        return opened.getnames()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    root = tmp_path / "model"
    for name in ("model.joblib", "code/inference.py", "code/__pycache__/inference.pyc", ".git/config"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return root


def test_a_model_directory_is_packed_without_caches_and_version_control(model: Path, tmp_path: Path) -> None:
    assert names(pack_model(model, tmp_path / "a.tar.gz")) == ["code/inference.py", "model.joblib"]


def test_the_same_files_make_the_same_bytes_whenever_they_were_written(model: Path, tmp_path: Path) -> None:
    first = pack_model(model, tmp_path / "a.tar.gz").read_bytes()
    for path in model.rglob("*"):
        os.utime(path, (1, 1))
    assert pack_model(model, tmp_path / "b.tar.gz").read_bytes() == first


def test_a_model_archive_is_used_as_it_is(model: Path, tmp_path: Path) -> None:
    archive = pack_model(model, tmp_path / "a.tar.gz")
    assert pack_model(archive, tmp_path / "b.tar.gz") == archive


@pytest.mark.parametrize("name", ["model.tar.gz", "model.joblib"])
def test_a_model_that_is_no_archive_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"garbage")
    with pytest.raises(InvalidRequest, match=r"neither a directory nor a tar\.gz"):
        pack_model(path, tmp_path / "out")


def test_one_payload_file_is_an_archive_of_one(tmp_path: Path) -> None:
    path = tmp_path / "request.csv"
    path.write_text("1,2\n")
    assert names(pack_payload(path, tmp_path / "p.tar.gz")) == ["request.csv"]


def test_an_empty_payload_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").touch()
    (tmp_path / "empty").mkdir()
    for source in ("empty.csv", "empty"):
        with pytest.raises(InvalidRequest):
            pack_payload(tmp_path / source, tmp_path / "p.tar.gz")
