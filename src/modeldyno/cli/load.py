"""`dyno load`: drive any HTTP server, in a closed or an open loop."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from modeldyno.cli import options
from modeldyno.domain.traffic import Arrivals

MOST_USERS = 100_000
"""Chosen: each is a connection, of which an address has 64,512 to give."""


def load(
    url: Annotated[str, typer.Argument(metavar="URL", help="http://HOST:PORT/PATH, any path and query.")],
    users: Annotated[
        int | None,
        typer.Option(
            min=1, max=MOST_USERS, help="Closed-loop users: each invokes, waits, invokes again.", show_default="1"
        ),
    ] = None,
    rate: Annotated[
        float | None, typer.Option(metavar="R", help="Open-loop arrivals a second; they wait for no answer.")
    ] = None,
    arrivals: Annotated[
        Arrivals | None, typer.Option(help="How arrivals follow each other.", show_default="poisson")
    ] = None,
    duration: Annotated[float, typer.Option(metavar="SECONDS", help="How long to measure.")] = 10.0,
    body: Annotated[
        Path | None, typer.Option(metavar="FILE", exists=True, dir_okay=False, help="POST this; without a body: GET.")
    ] = None,
    body_dir: Annotated[
        Path | None,
        typer.Option(metavar="DIR", exists=True, file_okay=False, help="POST files drawn from this directory."),
    ] = None,
    content_type: Annotated[str | None, typer.Option(help="Content type of the body, such as text/csv.")] = None,
    header: Annotated[list[str] | None, typer.Option(metavar="'NAME: VALUE'", help="A header; repeatable.")] = None,
    processes: Annotated[int, typer.Option(min=1, max=64, help="Generators that share the load.")] = 1,
    timeout: Annotated[float, typer.Option(metavar="SECONDS", help="A request that takes longer has failed.")] = 60.0,
    raw: Annotated[Path | None, typer.Option(metavar="FILE.npz", help="Keep times of every request.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Drive any HTTP server with load, and tell its throughput and latency."""
    from modeldyno.cli.loading import choose, run
    from modeldyno.domain.errors import InvalidRequest

    options.check_writable("--raw", raw)
    try:
        wish = choose(
            url=url,
            users=users,
            rate=rate,
            arrivals=arrivals,
            duration_seconds=duration,
            body=body,
            body_dir=body_dir,
            content_type=content_type,
            headers=header or (),
            processes=processes,
            timeout_seconds=timeout,
            raw=raw,
        )
    except InvalidRequest as error:
        raise options.WrongUse(str(error)) from error
    with options.terminable():
        status = run(wish, json=json)
    raise typer.Exit(status)
