from __future__ import annotations

from pathlib import Path

import pytest

from modeldyno.app.reference import render
from modeldyno.buckets.table import TABLE
from modeldyno.operations.registry import OPERATIONS, OPERATIONS_OF
from modeldyno.wire.service import Api, service

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "operations.md"


@pytest.fixture(scope="module")
def page() -> str:
    return render(ROOT / "tests")


def test_the_page_of_operations_is_current(page):
    assert PAGE.read_text() == page, "run: python -m modeldyno.app.reference > docs/reference/operations.md"


def test_the_page_has_every_operation_of_the_model_once_and_no_other(page):
    own, others = page.split("## Other services")
    others, refused = others.split("## What Dyno refuses")
    listed = [line.split("`")[1] for line in (own + refused).splitlines() if line.startswith(("| `", "- `"))]
    assert sorted(listed) == sorted(service().operations)
    assert set(OPERATIONS) <= set(listed)
    told = {line.split("`")[1] for line in others.splitlines() if line.startswith("| `")}
    assert told == set(TABLE) | {
        name for api, done in OPERATIONS_OF.items() if api is not Api.SAGEMAKER for name in done
    }


def test_a_test_shows_every_operation(page):
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert [row for row in rows if "`tests/" not in row.rsplit("|", 2)[1]] == []
