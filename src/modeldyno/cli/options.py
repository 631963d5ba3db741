"""Options that every command shares, and how an installation is opened from them."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modeldyno.domain.errors import InvalidRequest

if TYPE_CHECKING:
    from modeldyno.app.compose import Dyno
    from modeldyno.settings import Settings

CONFIG_VARIABLE = "DYNO_CONFIG"
CONFIG_NAME = "dyno.toml"
DEFAULT_REGION = "us-east-1"
INTERRUPTED = 130
"""The exit status of a command that was interrupted. Source: 128 and the number of SIGINT, as shells have it."""

_PANEL = "Where"
DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Where records, objects and logs are kept.", rich_help_panel=_PANEL),
]
Database = Annotated[
    str | None,
    typer.Option("--database", help="postgresql+psycopg://... instead of the embedded one.", rich_help_panel=_PANEL),
]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="A configuration file.",
        show_default=f"${CONFIG_VARIABLE}, or ./{CONFIG_NAME}",
        rich_help_panel=_PANEL,
    ),
]
Region = Annotated[
    str,
    typer.Option("--region", envvar="AWS_DEFAULT_REGION", help="Names are unique per region.", rich_help_panel=_PANEL),
]
JobName = Annotated[str, typer.Argument(metavar="JOB", help="The job's name.")]
Target = Annotated[
    int | None,
    typer.Option("--target-per-minute", min=1, help="Tell the instances and the monthly cost of so many invocations."),
]


def settings_of(config: Path | None, data_dir: Path | None, database: str | None) -> Settings:
    """The settings of the configuration file, with what the command line says otherwise.

    Without --config: the file that DYNO_CONFIG names, else ./dyno.toml where there is one, else the defaults.

    Raises:
        ServiceError: the file cannot be read or breaks a rule.
    """
    import msgspec

    from modeldyno.settings import read_settings

    settings = read_settings(config or _config_path())
    given: dict[str, Any] = {"data_dir": str(data_dir) if data_dir else None, "database": database}
    return msgspec.structs.replace(settings, **{name: value for name, value in given.items() if value is not None})


def _config_path() -> Path | None:
    named = os.environ.get(CONFIG_VARIABLE)
    if named:
        return Path(named)
    local = Path(CONFIG_NAME)
    return local if local.is_file() else None


@contextmanager
def opened(
    config: Path | None, data_dir: Path | None, database: str | None, *, may_be_new: bool = False
) -> Iterator[Dyno]:
    """The installation that the options name, closed in the end. `may_be_new`: it is made where there is none.

    Raises:
        ServiceError: there is none, or as `app.compose.open_dyno`.
    """
    from modeldyno.app.compose import open_dyno

    settings = settings_of(config, data_dir, database)
    if not may_be_new:
        _check_there_is_one(settings)
    dyno = open_dyno(settings)
    try:
        yield dyno
    finally:
        dyno.close()


def _check_there_is_one(settings: Settings) -> None:
    """Whoever only looks makes no installation: more likely it is elsewhere."""
    from modeldyno.app.places import places_of
    from modeldyno.domain.errors import ServiceError

    places = places_of(settings)
    if settings.database is None and not places.database.exists():
        raise ServiceError(
            f"There is no installation in {places.root}: `dyno recommend` and `dyno up` make one; "
            "--data-dir (or DYNO_DATA_DIR) names another place."
        )


class WrongUse(InvalidRequest):
    """The command line is wrong: one line, and exit status 2."""


def check_writable(option: str, path: Path | None) -> None:
    """See, before anything takes its time, that a file can be written in the end.

    Raises:
        WrongUse: it cannot; says why.
    """
    if path is None or (path.exists() and not path.is_file() and not path.is_dir()):
        return  # a pipe or a device is for whoever is at its other end
    fresh = not path.exists()
    try:
        with path.open("ab"):
            pass
        if fresh:
            path.unlink()
    except OSError as error:
        raise WrongUse(f"{option} {path} cannot be written: {error.strerror}.") from error


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Have the error of a file that is written tell which it is: that of a full disk does not by itself."""
    try:
        yield
    except OSError as error:
        if error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


@contextmanager
def heard_or_not() -> Iterator[None]:
    """Print, and go on where the reader of a pipe has gone.

    Source: the documentation of Python's signal, Note on SIGPIPE.
    """
    try:
        yield
        sys.stdout.flush()
    except (BrokenPipeError, SystemExit):  # the latter is Rich's
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM ends the block as Ctrl-C does, so that what it started is cleaned up."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
