"""`dyno compare`: two jobs side by side, and whether the second is the same, faster or slower."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modeldyno.cli import options

if TYPE_CHECKING:
    from modeldyno.app.compose import Dyno

_A_JOB = "A job's name, or the path of a result.json."
Tolerance = Annotated[
    str, typer.Option("--tolerance", metavar="SHARE", help="Up to which share it is the same, such as 5%.")
]


def compare(
    job_a: Annotated[str, typer.Argument(metavar="JOB_A", help=_A_JOB)],
    job_b: Annotated[str, typer.Argument(metavar="JOB_B", help=_A_JOB)],
    tolerance: Tolerance = "5%",
    json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
    region: options.Region = options.DEFAULT_REGION,
    data_dir: options.DataDir = None,
    database: options.Database = None,
    config: options.Config = None,
) -> None:
    """Compare two jobs: how much faster or slower the second is, and how sure that is."""
    from modeldyno.cli.results import print_wide
    from modeldyno.ui.differences import comparison_document, comparison_view

    share = share_of(tolerance)
    with options.opened(config, data_dir, database) as dyno:
        a, b = (_result(dyno, region, named) for named in (job_a, job_b))
    document = comparison_document(a, b, share)
    if json:
        import msgspec

        typer.echo(msgspec.json.format(msgspec.json.encode(document)).decode())
    else:
        print_wide(comparison_view(document))


def _result(dyno: Dyno, region: str, named: str) -> dict[str, Any]:
    path = Path(named)
    return read_result(path) if path.is_file() or path.suffix == ".json" else dyno.result(region, named)


def read_result(path: Path) -> dict[str, Any]:
    """A result document from a file.

    Raises:
        InvalidRequest: it is none.
        OSError: it cannot be read.
    """
    import msgspec

    from modeldyno.domain.difference import check_whole
    from modeldyno.domain.errors import InvalidRequest

    try:
        document = msgspec.json.decode(path.read_bytes())
        check_whole(document)
    except (msgspec.DecodeError, UnicodeDecodeError, InvalidRequest) as error:
        raise InvalidRequest(f"{path} is no result document of Dyno: {error}") from error
    return dict(document)


def share_of(text: str) -> float:
    """A share from ``5%``, ``5`` or ``0.5%``: percent; the sign may be left out from 1 on.

    Raises:
        WrongUse: it is no number between 0 and 100, or one that could be a share.
    """
    number = text.strip().removesuffix("%")
    try:
        percent = float(number)
    except ValueError:
        percent = -1.0
    if not 0 < percent < 100:
        raise options.WrongUse(f"--tolerance {text!r} is no percentage above 0 and below 100, such as 5%.")
    if percent < 1 and "%" not in text:
        raise options.WrongUse(f"--tolerance {text!r} could be two things: write {number}% or {100 * percent:g}%.")
    return percent / 100
