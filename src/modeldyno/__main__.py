"""`python -m modeldyno` is the command `dyno`."""

from modeldyno.cli import main

if __name__ == "__main__":
    main()
