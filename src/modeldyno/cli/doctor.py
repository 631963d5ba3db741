"""`dyno doctor`: what this host can do, and what follows for the measurements."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from modeldyno.cli import options

_STYLES = {"ok": "green", "limited": "yellow", "missing": "red"}


def doctor(
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    calibrate: Annotated[
        bool,
        typer.Option("--calibrate", help="Measure servers of known truth here (a minute), and tell how far off it is."),
    ] = False,
    config: options.Config = None,
) -> None:
    """Tell what this host can do, and what follows for the measurements."""
    if calibrate:
        from modeldyno.cli import calibration

        with options.terminable():
            calibration.run(json=json)
        return
    from modeldyno.app import compose

    findings = compose.doctor(options.settings_of(config, None, None))
    if json:
        import msgspec

        typer.echo(msgspec.json.format(msgspec.json.encode([asdict(finding) for finding in findings])).decode())
        return
    from rich.console import Console
    from rich.text import Text

    from modeldyno.ui.tables import plain_table

    table = plain_table("what", "", "here, and what follows")
    for finding in findings:
        told = Text(finding.value)
        if finding.consequence:
            told.append(f"\n{finding.consequence}", style="dim")
        table.add_row(Text(finding.topic, style="bold"), Text(finding.verdict, _STYLES.get(finding.verdict, "")), told)
    Console().print(table)
