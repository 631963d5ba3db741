"""`dyno shadow`: what inference experiments have shown."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modeldyno.cli import options

if TYPE_CHECKING:
    from rich.console import Console

    from modeldyno.app.compose import Dyno

_WATCH_SECONDS = 1.0
_LINE_SECONDS = 5.0  # between two lines about an experiment that goes on

shadow = typer.Typer(no_args_is_help=True, help="Shadow tests: what inference experiments have shown.")


@shadow.command(name="report")
def report(
    experiment: Annotated[str, typer.Argument(metavar="EXPERIMENT", help="The experiment's name.")],
    json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write it as an HTML page.")] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Show it again each second, until the experiment ends.")
    ] = False,
    region: options.Region = options.DEFAULT_REGION,
    data_dir: options.DataDir = None,
    database: options.Database = None,
    config: options.Config = None,
) -> None:
    """Tell whether the shadow may be promoted, and what that rests on; while the experiment runs and after."""
    if json and watch:
        raise typer.BadParameter("choose one of --json and --watch")
    with options.opened(config, data_dir, database) as dyno:
        if watch:
            from rich.console import Console

            document = follow(dyno, region, experiment, Console())
        else:
            document = dyno.shadow_report(region, experiment)
    if html is not None:
        from modeldyno.ui.shadow import render_shadow

        with options.named(html):
            html.write_text(render_shadow(document), encoding="utf-8")
        typer.echo(f"Written: {html}", err=True)
    if json:
        import msgspec

        typer.echo(msgspec.json.format(msgspec.json.encode(document)).decode())
    elif html is None and not watch:
        _print(document)


def _print(document: dict[str, Any]) -> None:
    from modeldyno.cli.results import print_wide
    from modeldyno.ui.shadow import shadow_view

    print_wide(shadow_view(document))


def follow(
    dyno: Dyno,
    region: str,
    experiment: str,
    console: Console,
    enough: Callable[[dict[str, Any]], bool] = lambda document: False,
) -> dict[str, Any]:
    """Show an experiment until it has ended, or `enough` is known of it: live on a terminal; as lines elsewhere, with
    the whole view last. The document as it is then.

    Raises:
        ResourceNotFound: there is no such experiment (any more).
    """
    from rich.live import Live

    from modeldyno.cli.results import print_wide
    from modeldyno.ui.shadow import ENDED, shadow_view

    live = Live(console=console, auto_refresh=False) if console.is_terminal else None
    told, told_at = "", dyno.clock.monotonic()
    with live or nullcontext():
        while True:
            document = dyno.shadow_report(region, experiment)
            done = document["experiment"]["status"] in ENDED or enough(document)
            now = dyno.clock.monotonic()
            if live is not None:
                live.update(shadow_view(document), refresh=True)
            elif done:
                print_wide(shadow_view(document), console.file)
            elif (news := _news(document)) != told or now - told_at >= _LINE_SECONDS:
                console.print(f"{news}, {document['pairs']} pairs", soft_wrap=True, markup=False, highlight=False)
                told, told_at = news, now
            if done:
                return document
            dyno.clock.pause(_WATCH_SECONDS)


def _news(document: dict[str, Any]) -> str:
    """What is worth a line when it changes."""
    found = ", ".join(f"{one['question']} {one['verdict']}" for one in document["findings"])
    return f"{document['experiment']['status']}: {document['verdict']} ({found})"


@shadow.command(name="list")
def list_experiments(
    region: options.Region = options.DEFAULT_REGION,
    data_dir: options.DataDir = None,
    database: options.Database = None,
    config: options.Config = None,
) -> None:
    """List experiments, oldest first."""
    from rich.text import Text

    from modeldyno.cli.results import print_wide
    from modeldyno.ui.shadow import STYLES
    from modeldyno.ui.tables import plain_table
    from modeldyno.ui.words import printable

    with options.opened(config, data_dir, database) as dyno:
        found = [one for one in dyno.store.experiments() if one.region == region]
        reports = [dyno.shadow_report(region, one.name) for one in found]
    table = plain_table("experiment", "status", "endpoint", "sampled", "pairs", "verdict", "reason", numbers=("pairs",))
    for one, document in zip(found, reports, strict=True):
        table.add_row(
            Text(one.name),
            str(one.status),
            Text(one.endpoint_name),
            f"{one.percent}%",
            str(document["pairs"]),
            Text(document["verdict"], style=STYLES[document["verdict"]]),
            Text(printable(one.status_reason or "")),
        )
    if found:
        print_wide(table)
    else:
        typer.echo(f"No experiments in {region}.", err=True)
