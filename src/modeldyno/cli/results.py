"""`dyno results`: the answer of a job, for people, spreadsheets and programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from modeldyno.cli import options

if TYPE_CHECKING:
    from rich.console import RenderableType

_FILE_WIDTH = 120  # of what is not a terminal


def results(
    job: options.JobName,
    json: Annotated[bool, typer.Option("--json", help="The whole result document, with every window.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="One row a trial.")] = False,
    html: Annotated[bool, typer.Option("--html", help="The report, a page with plots.")] = False,
    out: Annotated[Path | None, typer.Option("--out", help="Write to a file instead of standard output.")] = None,
    target_per_minute: options.Target = None,
    region: options.Region = options.DEFAULT_REGION,
    data_dir: options.DataDir = None,
    database: options.Database = None,
    config: options.Config = None,
) -> None:
    """Show what a job has measured: a table, or JSON, CSV or HTML."""
    if json + as_csv + html > 1:
        raise typer.BadParameter("choose one of --json, --csv and --html")
    with options.opened(config, data_dir, database) as dyno:
        result = dyno.result(region, job)
    if json:
        text = json_text(result, target_per_minute)
    elif as_csv:
        text = csv_text(result)
    elif html:
        from modeldyno.ui.report import render_report

        text = render_report(result, target_per_minute)
    elif out is None:
        show(result, target_per_minute)
        return
    else:
        kept = io.StringIO()
        show(result, target_per_minute, kept)
        text = kept.getvalue()
    if out is not None:
        with options.named(out):
            out.write_text(text, encoding="utf-8")
    else:
        typer.echo(text, nl=not text.endswith("\n"))


def show(result: Mapping[str, Any], target_per_minute: int | None, file: IO[str] | None = None) -> None:
    """Print the ranking, to standard output where no file is given."""
    from modeldyno.ui.tables import results_view

    print_wide(results_view(result, target_per_minute), file)


def print_wide(view: RenderableType, file: IO[str] | None = None) -> None:
    """Print to a terminal in its width, to anything else in one that holds a table."""
    from rich.console import Console

    console = Console(file=file)
    if not console.is_terminal:
        console.width = max(console.width, _FILE_WIDTH)
    console.print(view)


def json_text(result: Mapping[str, Any], target_per_minute: int | None) -> str:
    """The result document; with a target, also the ``fleets`` that carry it, by rank."""
    import msgspec

    from modeldyno.ui import words

    document = dict(result)
    if target_per_minute is not None:
        document["fleets"] = [
            {
                "rank": item["rank"],
                "target_per_minute": target_per_minute,
                "instances": needed.instances,
                "usd_per_month": needed.usd_per_month,
                "planned_by": "open_loop" if needed.open_loop else "closed_loop",
            }
            for item in result["recommendations"]
            if (needed := words.fleet(result, item, target_per_minute)) is not None
        ]
    return msgspec.json.format(msgspec.json.encode(document)).decode()


def csv_text(result: Mapping[str, Any]) -> str:
    """One row a trial, with a header."""
    from modeldyno.ui.tables import ROW_NAMES, rows_of

    kept = io.StringIO()
    writer = csv.DictWriter(kept, ROW_NAMES, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows_of(result))
    return kept.getvalue()
