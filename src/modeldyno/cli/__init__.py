"""The command `dyno`."""


def main() -> None:
    """Run the command line."""
    from modeldyno.cli.commands import app

    app()
