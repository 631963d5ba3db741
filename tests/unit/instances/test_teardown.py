"""What is removed of an instance, whatever its server has made."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from modeldyno.instances.teardown import remove_tree


def dig(directory: Path, depth: int) -> None:
    """Folders in folders, as a server makes them that goes into each: deeper than a path can name."""
    here = os.open(directory, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("folder", dir_fd=here)
        deeper = os.open("folder", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(here)


def test_folders_deeper_than_a_path_can_name_are_removed(tmp_path: Path) -> None:
    home = tmp_path / "instance"
    home.mkdir()
    dig(home, 3000)
    assert remove_tree(home)
    assert list(tmp_path.iterdir()) == []


def test_folders_that_a_server_has_locked_are_removed(tmp_path: Path) -> None:
    locked = tmp_path / "instance" / "work"
    locked.mkdir(parents=True)
    (locked / "file").write_text("x")
    locked.chmod(0o000)
    assert remove_tree(tmp_path / "instance")


def test_what_a_link_of_a_server_leads_to_keeps_its_rights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outside = tmp_path / "outside"
    outside.touch(mode=0o600)
    (tmp_path / "instance").mkdir()
    (tmp_path / "instance" / "link").symlink_to(outside)

    def refuse(path: str, *, dir_fd: int | None = None) -> None:
        raise PermissionError(path)

    with monkeypatch.context() as stubborn:
        stubborn.setattr(os, "unlink", refuse)
        remove_tree(tmp_path / "instance")
    assert outside.stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / "instance").exists()
