"""`dyno keys`: what requests are signed with."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from modeldyno.cli import options

keys = typer.Typer(no_args_is_help=True, help="Access keys: once there is one, every request must be signed with one.")

_ID_CHARACTERS, _SECRET_CHARACTERS = 16, 40  # AWS's ids have 20 with their prefix, its secrets 40


@keys.command()
def create(
    note: Annotated[str, typer.Option(help="Whose it is, for people.")] = "",
    json: Annotated[bool, typer.Option("--json", help="Print JSON, as `aws configure` and scripts take it.")] = False,
    data_dir: options.DataDir = None,
    database: options.Database = None,
    config: options.Config = None,
) -> None:
    """Make a key and print it: the secret is told here only."""
    from msgspec import json as as_json

    from modeldyno.domain.key import KEY_PREFIX, AccessKey

    with options.opened(config, data_dir, database, may_be_new=True) as dyno:
        first = not dyno.store.access_keys()
        key = AccessKey(
            id=f"{KEY_PREFIX}{dyno.entropy.token(_ID_CHARACTERS).upper()}",
            secret=dyno.entropy.token(_SECRET_CHARACTERS),
            created_at=dyno.clock.now(),
            note=note,
        )
        dyno.store.add_key(key)
    if json:
        typer.echo(as_json.encode({"AccessKeyId": key.id, "SecretAccessKey": key.secret}))
    else:
        typer.echo(f"export AWS_ACCESS_KEY_ID={key.id}\nexport AWS_SECRET_ACCESS_KEY={key.secret}")
    if first:
        typer.echo("From now on every request must be signed with a key.", err=True)


@keys.command("list")
def list_keys(
    data_dir: options.DataDir = None,
    database: options.Database = None,
    config: options.Config = None,
) -> None:
    """List the keys, without their secrets."""
    with options.opened(config, data_dir, database) as dyno:
        found = dyno.store.access_keys()
    if not found:
        typer.echo("There are no keys: requests need not be signed, and only this machine is served.", err=True)
    for key in found:
        state = "valid" if key.revoked_at is None else f"revoked {_told(key.revoked_at)}"
        typer.echo("  ".join(part for part in (key.id, f"made {_told(key.created_at)}", state, key.note) if part))


@keys.command()
def revoke(
    key: Annotated[str, typer.Argument(metavar="KEY", help="The key's id.")],
    data_dir: options.DataDir = None,
    database: options.Database = None,
    config: options.Config = None,
) -> None:
    """Take a key out of use, within a second."""
    with options.opened(config, data_dir, database) as dyno:
        dyno.store.revoke_key(key, dyno.clock.now())
        left = sum(one.revoked_at is None for one in dyno.store.access_keys())
    typer.echo(f"{key} is revoked; {left} valid {'key is' if left == 1 else 'keys are'} left.", err=True)


def _told(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M")
