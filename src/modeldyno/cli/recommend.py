"""`dyno recommend`: from a model directory to a ranking, without a server and without AWS JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from modeldyno.cli import options


def recommend(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model directory or tar.gz.", exists=True)],
    payload: Annotated[Path, typer.Option(help="A sample request, a directory or tar.gz of them.", exists=True)],
    content_type: Annotated[str, typer.Option(help="Content type of the payload, such as text/csv.")],
    framework: Annotated[str, typer.Option(help="scikit-learn, xgboost, pytorch, huggingface, tensorflow.")] = "auto",
    framework_version: Annotated[str | None, typer.Option(help="Version of the framework, such as 1.5.2.")] = None,
    image: Annotated[str | None, typer.Option(help="An image name: of AWS's, or of \\[runtimes] in dyno.toml.")] = None,
    instance_types: Annotated[str | None, typer.Option(help="Types to try, separated by commas.")] = None,
    max_p95_ms: Annotated[int | None, typer.Option("--max-p95-ms", min=1, help="Limit of the P95 latency.")] = None,
    env: Annotated[
        list[str] | None, typer.Option(metavar="NAME=V1,V2", help="Values of a variable to try; repeatable.")
    ] = None,
    target_per_minute: options.Target = None,
    thorough: Annotated[
        bool, typer.Option("--thorough", help="Measure to the end also what cannot win any more.")
    ] = False,
    open_loop: Annotated[
        bool, typer.Option(help="With a latency limit, search also the rate of arrivals that holds it.")
    ] = True,
    name: Annotated[str | None, typer.Option(help="Name of the job.", show_default="the model's, and a token")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the trials and run nothing.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result document as JSON.")] = False,
    html: Annotated[Path | None, typer.Option(help="Where the report goes.", show_default="the data directory")] = None,
    region: options.Region = options.DEFAULT_REGION,
    data_dir: options.DataDir = None,
    database: options.Database = None,
    config: options.Config = None,
) -> None:
    """Measure a model on the candidate instance types and settings, and recommend."""
    from modeldyno.cli.recommending import Output, choose, dry_run_of, run
    from modeldyno.cli.request import check_words, parse_ranges

    check_words(name, content_type, framework_version)
    settings = options.settings_of(config, data_dir, database)
    wish = choose(
        model=model,
        payload=payload,
        content_type=content_type,
        framework=framework,
        framework_version=framework_version,
        image=image,
        instance_types=tuple(part.strip() for part in (instance_types or "").split(",") if part.strip()),
        max_p95_ms=max_p95_ms,
        ranges=parse_ranges(env or ()),
        thorough=thorough,
        open_loop=open_loop,
    )
    if dry_run:
        dry_run_of(settings, region, wish, json=json)
        return
    output = Output(json=json, html=html, target_per_minute=target_per_minute)
    raise typer.Exit(run(settings, region, wish, name, output))
