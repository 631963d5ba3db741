"""`dyno up`: the whole service at one URL."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from modeldyno.app.places import places_of
from modeldyno.app.supervisor import serve
from modeldyno.domain.errors import DynoError
from modeldyno.settings import read_settings


def up(
    host: Annotated[str | None, typer.Option(help="Loopback address to serve on.  [default: 127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 chooses a free one.  [default: 8600]")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where records, objects and logs are kept.")] = None,
    database: Annotated[str | None, typer.Option(help="postgresql+psycopg://... instead of the embedded one.")] = None,
    config: Annotated[Path | None, typer.Option(help="A dyno.toml.")] = None,
) -> None:
    """Start Dyno and serve until Ctrl-C or SIGTERM."""
    try:
        settings = read_settings(config)
        given = {"host": host, "port": port, "data_dir": str(data_dir) if data_dir else None, "database": database}
        for name, value in given.items():
            if value is not None:
                setattr(settings, name, value)
        serve(settings, places_of(settings), lambda url: typer.echo(f"ready {url}"))
    except DynoError as error:
        typer.echo(f"dyno up: {error}", err=True)
        raise typer.Exit(1) from None
