"""Every command of `dyno`, by name. What a command needs is imported when it runs, so that all start at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from modeldyno.cli.aws import PASSED_ON, aws
from modeldyno.cli.check import check
from modeldyno.cli.compare import compare
from modeldyno.cli.demo import demo
from modeldyno.cli.doctor import doctor
from modeldyno.cli.endpoints import endpoints
from modeldyno.cli.jobs import delete, jobs, logs, stop, watch
from modeldyno.cli.keys import keys
from modeldyno.cli.load import load
from modeldyno.cli.options import WrongUse
from modeldyno.cli.put import put
from modeldyno.cli.recommend import recommend
from modeldyno.cli.results import results
from modeldyno.cli.shadow import shadow
from modeldyno.cli.up import up

_STATUS_OF_ERROR = {"check": 2}  # a check that could not be made tells nothing of the model


class Commands(TyperGroup):
    """Turns what went wrong into one line on standard error and exit status 1 (2: of `check`, and of a wrong command
    line)."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that the context names."""
        from modeldyno.domain.errors import DynoError

        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise  # the reader of a pipe has gone: nothing to tell, and nobody to tell it
        except (DynoError, OSError) as error:
            typer.echo(f"dyno: {_one_line(error)}", err=True)
            status = 2 if isinstance(error, WrongUse) else _STATUS_OF_ERROR.get(ctx.invoked_subcommand or "", 1)
            raise typer.Exit(status) from None


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split())


def _tell_version(asked: bool) -> None:
    from importlib.metadata import version

    if asked:
        typer.echo(f"dyno {version('modeldyno')}")
        raise typer.Exit


app = typer.Typer(
    name="dyno",
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def everywhere(
    version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Measure a model server on each candidate instance type and setting, and recommend."""


_PANELS: dict[str, tuple[Callable[..., None], ...]] = {
    "Start here": (demo, recommend, check, up),
    "Jobs": (jobs, watch, results, compare, logs, stop, delete),
    "Serving": (endpoints,),
    "Surroundings": (load, put, doctor),
}
for panel, commands in _PANELS.items():
    for command in commands:
        app.command(rich_help_panel=panel)(command)
app.command(rich_help_panel="Surroundings", context_settings=PASSED_ON)(aws)
app.add_typer(shadow, name="shadow", rich_help_panel="Serving")
app.add_typer(keys, name="keys", rich_help_panel="Serving")
