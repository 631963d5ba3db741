"""`dyno put`: a file becomes an object."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from modeldyno.cli import options


def put(
    file: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, readable=True)],
    url: Annotated[str, typer.Argument(metavar="S3_URL", help="s3://bucket/key")],
    data_dir: options.DataDir = None,
    database: options.Database = None,
    config: options.Config = None,
) -> None:
    """Store a file at s3://bucket/key, where jobs find it."""
    with options.opened(config, data_dir, database, may_be_new=True) as dyno:
        dyno.objects.put(url, file)
    typer.echo(url)
