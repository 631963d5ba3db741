"""`dyno check`: measure a model and say whether it keeps the rules; the exit status is the answer, for CI."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from modeldyno.cli import options
from modeldyno.cli.compare import Tolerance


def check(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model directory or tar.gz.", exists=True)],
    payload: Annotated[Path, typer.Option(help="A sample request, a directory or tar.gz of them.", exists=True)],
    content_type: Annotated[str, typer.Option(help="Content type of the payload, such as text/csv.")],
    max_p95_ms: Annotated[int | None, typer.Option("--max-p95-ms", min=1, help="The P95 latency at most.")] = None,
    min_per_minute: Annotated[int | None, typer.Option(min=1, help="Invocations a minute at least.")] = None,
    baseline: Annotated[Path | None, typer.Option(help="A result.json that it must not be worse than.")] = None,
    tolerance: Tolerance = "5%",
    instance_types: Annotated[
        str | None,
        typer.Option(help="Types, separated by commas.", show_default="the baseline's, or the cheapest that fits"),
    ] = None,
    env: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="A variable; repeatable.")] = None,
    framework: Annotated[str, typer.Option(help="scikit-learn, xgboost, pytorch, huggingface, tensorflow.")] = "auto",
    framework_version: Annotated[str | None, typer.Option(help="Version of the framework, such as 1.5.2.")] = None,
    image: Annotated[str | None, typer.Option(help="An image name: of AWS's, or of \\[runtimes] in dyno.toml.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the job.", show_default="the model's, and a token")] = None,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write JUnit XML there.")] = None,
    result: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the result: a later baseline.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
    region: options.Region = options.DEFAULT_REGION,
    data_dir: options.DataDir = None,
    database: options.Database = None,
    config: options.Config = None,
) -> None:
    """Measure a model and check it. Exit status 0: it passes; 1: it is worse; 2: that cannot be told."""
    from modeldyno.cli.checking import Asked, run_check
    from modeldyno.cli.compare import read_result, share_of
    from modeldyno.cli.recommending import choose
    from modeldyno.cli.request import check_words, parse_ranges
    from modeldyno.domain.gate import Rules

    if max_p95_ms is None and min_per_minute is None and baseline is None:
        raise typer.BadParameter("say what to check: --max-p95-ms, --min-per-minute or --baseline")
    check_words(name, content_type, framework_version)
    options.check_writable("--junit", junit)
    options.check_writable("--result", result)
    rules = Rules(max_p95_ms, min_per_minute, tolerance=share_of(tolerance))
    known = read_result(baseline) if baseline is not None else None
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
    )
    settings = options.settings_of(config, data_dir, database)
    asked = Asked(rules, known, name, json=json, junit=junit, result=result)
    raise typer.Exit(run_check(settings, region, wish, asked))
