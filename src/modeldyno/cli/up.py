"""`dyno up`: the whole service at one URL."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from modeldyno.cli import options


def up(
    host: Annotated[
        str | None,
        typer.Option(
            help="Address to serve on; one that other machines reach takes a key and TLS.", show_default="127.0.0.1"
        ),
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 chooses a free one.", show_default="8600")] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="PEM file with the certificate.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM file with its private key.")] = None,
    behind_tls_proxy: Annotated[
        bool, typer.Option("--behind-tls-proxy", help="A proxy in front of this address ends TLS.")
    ] = False,
    data_dir: options.DataDir = None,
    database: options.Database = None,
    config: options.Config = None,
) -> None:
    """Start Dyno and serve until Ctrl-C or SIGTERM."""
    import msgspec

    from modeldyno.app.compose import keys_of
    from modeldyno.app.places import places_of
    from modeldyno.app.supervisor import serve

    settings = options.settings_of(config, data_dir, database)
    given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    tls = msgspec.structs.replace(
        settings.tls,
        cert=str(tls_cert) if tls_cert else settings.tls.cert,
        key=str(tls_key) if tls_key else settings.tls.key,
        behind_proxy=behind_tls_proxy or settings.tls.behind_proxy,
    )
    settings = msgspec.structs.replace(settings, **given, tls=tls)

    def ready(url: str) -> None:
        typer.echo(f"ready {url}")
        if not keys_of(settings):
            typer.echo(
                "Requests need not be signed: any credentials will do, from this machine only (dyno keys create).",
                err=True,
            )

    serve(settings, places_of(settings), ready)
