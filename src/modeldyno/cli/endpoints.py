"""`dyno endpoints`: what is hosted, and how each server stands."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from modeldyno.cli import options

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from modeldyno.app.compose import Dyno
    from modeldyno.domain.endpoint import Endpoint, Server

_LOG_LINES = 12  # a traceback's end; the file, whose path is told, has the rest
_LOG_BYTES = 65_536


def endpoints(
    endpoint: Annotated[
        str | None, typer.Argument(metavar="[ENDPOINT]", help="One endpoint's name: its story.")
    ] = None,
    region: options.Region = options.DEFAULT_REGION,
    data_dir: options.DataDir = None,
    database: options.Database = None,
    config: options.Config = None,
) -> None:
    """List endpoints and their servers; with a name, tell its story and what its servers wrote last."""
    with options.opened(config, data_dir, database) as dyno:
        if endpoint is not None:
            _tell(dyno, dyno.store.endpoint(region, endpoint))
            return
        here = [one for one in dyno.store.endpoints() if one.region == region]
        servers = dyno.store.servers()
    if not here:
        typer.echo(f"No endpoints in {region}.", err=True)
    for index, one in enumerate(here):
        if index:
            typer.echo("")
        _print(one, servers)


def _tell(dyno: Dyno, endpoint: Endpoint) -> None:
    """Everything that is known of one endpoint."""
    from modeldyno.ui.words import log_lines, printable

    _print(endpoint, dyno.store.servers())
    typer.echo("")
    for event in dyno.store.story(endpoint.arn):
        at = datetime.fromtimestamp(event.at, UTC).strftime("%Y-%m-%d %H:%M:%S")
        typer.echo(f"{at} {event.message}")
    logs = dyno.places.server_log(endpoint.region, endpoint.name, "any", 0).parent
    for path in sorted(logs.glob("*.log")):
        if path.stat().st_mtime < endpoint.created_at:
            continue  # of an endpoint that had the name before
        typer.echo(f"\n--- the last lines of {path} ---")
        typer.echo("\n".join(map(printable, log_lines(_end_of(path))[-_LOG_LINES:])) or "(nothing)")


def _end_of(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _LOG_BYTES))
        return file.read().decode("utf-8", "replace")


def _print(endpoint: Endpoint, servers: Sequence[Server]) -> None:
    from rich.console import Group
    from rich.text import Text

    from modeldyno.cli.results import print_wide
    from modeldyno.ui.tables import plain_table
    from modeldyno.ui.words import percent

    told = "".join(f" · {words}" for words in _standing(endpoint))
    head = Text(f"{endpoint.name}  {endpoint.status}{told}", style="bold")
    table = plain_table(
        "variant", "type", "status", "server", "CPU", "memory", "what to know", numbers=("CPU", "memory")
    )
    for column in (1, 2, 3):
        table.columns[column].no_wrap = True
    for server in servers:
        if server.endpoint_id == endpoint.id:
            kind = f"{server.variant.name} (shadow)" if server.shadow else server.variant.name
            table.add_row(
                Text(kind),
                Text(server.variant.instance_type.name),
                str(server.status) if server.wanted else "DRAINING",
                Text(server.url or ""),
                *(percent(server.usage[name]) if name in server.usage else "" for name in ("cpu", "memory")),
                Text(" ".join(_notes(server))),
            )
    print_wide(Group(head, table) if table.row_count else Group(head, Text(f"  {_no_servers(endpoint)}")))


def _no_servers(endpoint: Endpoint) -> str:
    if endpoint.fleet.spec.serverless:
        return "It has no servers now: the next invocation starts one."
    return "It has no servers."


def _standing(endpoint: Endpoint) -> Iterator[str]:
    """What belongs beside its status."""
    from modeldyno.domain.endpoint import EndpointStatus

    if endpoint.update is not None:
        shown = f"{endpoint.update.share:.0%} of the traffic" if endpoint.update.share else "no traffic yet"
        yield f"on its way to {endpoint.update.fleet.spec.config_name}, which has {shown}"
    if endpoint.experiment is not None:
        yield f"inference experiment {endpoint.experiment}"
    if endpoint.failure_reason:
        serves = endpoint.status is EndpointStatus.IN_SERVICE
        yield f"its last change was taken back: {endpoint.failure_reason}" if serves else endpoint.failure_reason


def _notes(server: Server) -> Iterator[str]:
    if server.reason:
        yield server.reason
    if server.variant.serverless is not None and server.setup_seconds is not None:
        yield f"Its cold start took {server.setup_seconds:.2f} s."
    yield from server.flags.values()
