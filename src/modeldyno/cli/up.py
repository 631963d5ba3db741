"""`dyno up`: the whole service at one URL."""

from __future__ import annotations

from typing import Annotated

import typer

from modeldyno.cli import options


def up(
    host: Annotated[str | None, typer.Option(help="Loopback address to serve on.", show_default="127.0.0.1")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 chooses a free one.", show_default="8600")] = None,
    data_dir: options.DataDir = None,
    database: options.Database = None,
    config: options.Config = None,
) -> None:
    """Start Dyno and serve until Ctrl-C or SIGTERM."""
    import msgspec

    from modeldyno.app.places import places_of
    from modeldyno.app.supervisor import serve

    settings = options.settings_of(config, data_dir, database)
    given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    settings = msgspec.structs.replace(settings, **given)
    serve(settings, places_of(settings), lambda url: typer.echo(f"ready {url}"))
