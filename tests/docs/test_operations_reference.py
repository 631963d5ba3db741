from __future__ import annotations

from pathlib import Path

from modeldyno.operations.reference import render
from modeldyno.operations.registry import OPERATIONS
from modeldyno.wire.service import service

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "operations.md"


def test_the_page_of_operations_is_current():
    assert PAGE.read_text() == render(), "run: python -m modeldyno.operations.reference > docs/reference/operations.md"


def test_the_page_has_every_operation_of_the_model_once_and_no_other():
    listed = [line.split("`")[1] for line in render().splitlines() if line.startswith(("| `", "- `"))]
    assert sorted(listed) == sorted(service().operations)
    assert set(OPERATIONS) <= set(listed)
