"""`dyno aws`: the AWS CLI, pointed at this Dyno."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modeldyno.cli import options

if TYPE_CHECKING:
    from modeldyno.domain.key import AccessKey
    from modeldyno.settings import Settings

PASSED_ON = {"ignore_unknown_options": True, "allow_interspersed_args": False}
"""Dyno's own options come before the first word of the AWS CLI's; whatever it does not know is not its own."""

_ANY = "any"  # without keys, requests are signed by whatever there is, and nobody looks
_EVERY_ADDRESS = ("0.0.0.0", "[::]")
# What would point a client elsewhere, or give it another identity.
_IN_THE_WAY = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
_OF_A_SERVICE = "AWS_ENDPOINT_URL_"


def aws(
    words: Annotated[
        list[str], typer.Argument(metavar="WORDS", help="What the AWS CLI gets: sagemaker list-models --output table")
    ],
    host: Annotated[
        str | None, typer.Option(help="Where Dyno serves.", show_default="where the data directory is served")
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="Its port.", show_default="that of the running dyno up, else 8600")
    ] = None,
    data_dir: options.DataDir = None,
    database: options.Database = None,
    config: options.Config = None,
) -> None:
    """Run the AWS CLI against this Dyno: URL, region and credentials are set. Exit status: the AWS CLI's."""
    from modeldyno.app.places import DirectoryLock

    program = _program()
    with options.opened(config, data_dir, database, may_be_new=True) as dyno:
        keys = dyno.store.access_keys()
        served = DirectoryLock(dyno.places).url() if host is None and port is None else None
        url = reachable(served or url_of(dyno.settings, host, port))
    # Said twice: before 1.29 and 2.13 the AWS CLI does not look at AWS_ENDPOINT_URL, and would ask AWS.
    os.execve(program, [program, "--endpoint-url", url, *words], variables(os.environ, url, keys))


def url_of(settings: Settings, host: str | None, port: int | None) -> str:
    """Where Dyno serves, by the settings and what was given instead."""
    name = host or settings.host
    scheme = "https" if settings.tls.cert else "http"
    return f"{scheme}://{f'[{name}]' if ':' in name else name}:{settings.port if port is None else port}"


def reachable(url: str) -> str:
    """A URL to ask where `url` names every address of this machine, which no certificate is for."""
    for every in _EVERY_ADDRESS:
        url = url.replace(f"//{every}:", "//localhost:")
    return url


def variables(given: Mapping[str, str], url: str, keys: Sequence[AccessKey]) -> dict[str, str]:
    """The environment of the AWS CLI: `given`, with the URL, a region and a key. A valid key that is set already stays;
    else it is the newest valid one.

    Raises:
        ServiceError: there are keys, and none is valid.
    """
    from modeldyno.domain.errors import ServiceError

    kept = {
        name: value for name, value in given.items() if name not in _IN_THE_WAY and not name.startswith(_OF_A_SERVICE)
    }
    valid = [key for key in keys if key.revoked_at is None]
    if keys and not valid:
        raise ServiceError("Every key is revoked, so nobody gets in: dyno keys create makes one.")
    named = given.get("AWS_ACCESS_KEY_ID")
    mine = next((key for key in valid if key.id == named), max(valid, key=lambda key: key.created_at, default=None))
    return kept | {
        "AWS_ENDPOINT_URL": url,
        "AWS_DEFAULT_REGION": given.get("AWS_REGION") or given.get("AWS_DEFAULT_REGION") or options.DEFAULT_REGION,
        "AWS_ACCESS_KEY_ID": mine.id if mine else _ANY,
        "AWS_SECRET_ACCESS_KEY": mine.secret if mine else _ANY,
    }


def _program() -> str:
    """The AWS CLI of Dyno's own environment, else of the PATH.

    Raises:
        ServiceError: it is in neither.
    """
    from modeldyno.domain.errors import ServiceError

    beside = str(Path(sys.executable).parent)
    found = shutil.which("aws", path=beside) or shutil.which("aws")
    if found is None:
        raise ServiceError(
            "The AWS CLI is not installed: pip install 'modeldyno[aws]' brings version 1; an `aws` of version 2 in the "
            "PATH is used as well."
        )
    return found
