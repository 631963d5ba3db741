"""Which tests can run here. What cannot is deselected, and the closing line says how many."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.requests import a_package


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--run-vm", action="store_true", help="run the tests in a virtual machine (make test-cgroup)")
    parser.addoption(
        "--run-frameworks",
        action="store_true",
        help="run the tests that build large environments (make test-frameworks)",
    )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    parts = collection_path.relative_to(Path(__file__).parent).parts
    unwanted = {name for name in ("vm", "frameworks") if not config.getoption(f"--run-{name}")}
    return True if unwanted & set(parts) else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    able = {
        "root": os.name == "posix" and os.geteuid() == 0,
        "postgres": bool(os.environ.get("DYNO_TEST_POSTGRES")) or _has_postgres(),
        "docker": False,
        "gpu": shutil.which("nvidia-smi") is not None,
    }
    kept, left = [], []
    for item in items:
        needed = {mark for mark in able if item.get_closest_marker(mark)}
        (kept if all(able[mark] for mark in needed) else left).append(item)
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = kept


@pytest.fixture
def package_request() -> dict[str, Any]:
    """CreateModelPackage without a name."""
    return a_package()


def _has_postgres() -> bool:
    return any(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
