"""The demonstration's own files fit together; `make demo` runs the whole."""

from __future__ import annotations

import ast
from importlib.resources import files
from pathlib import Path

from modeldyno.app.catalogue import build_catalogue
from modeldyno.cli.demonstration import TYPES
from modeldyno.domain.catalog import PriceBasis
from modeldyno.settings import read_settings

DEMO = Path(str(files("modeldyno") / "data" / "demo"))


def test_its_types_are_configured_and_their_prices_are_examples() -> None:
    catalogue = build_catalogue(read_settings(DEMO / "dyno.toml"))
    assert {catalogue[name].price_basis for name in TYPES} == {PriceBasis.EXAMPLE}
    assert [catalogue[name].vcpus for name in TYPES] == [0.5, 1.0, 1.5]


def test_its_script_has_what_script_mode_calls() -> None:
    script = ast.parse((DEMO / "inference.py").read_text())
    assert {node.name for node in script.body if isinstance(node, ast.FunctionDef)} == {"model_fn", "predict_fn"}
