"""The command `dyno`."""


def main() -> None:
    """Run the command line."""
    import sys

    from modeldyno.cli.commands import app

    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # what a terminal cannot show is no reason to show nothing
    app()
