"""`dyno demo`: the whole main job on real input, from training a model to a report; or two shadow tests."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    out: Annotated[Path, typer.Option(help="Where everything goes.", file_okay=False)] = Path("demo-out"),
    shadow: Annotated[bool, typer.Option("--shadow", help="Show two shadow tests on live traffic instead.")] = False,
) -> None:
    """Train a real model, start Dyno, submit a job with boto3, and show the ranking."""
    if shadow:
        from modeldyno.cli.shadow_demonstration import run
    else:
        from modeldyno.cli.demonstration import run

    raise typer.Exit(run(out.absolute()))
