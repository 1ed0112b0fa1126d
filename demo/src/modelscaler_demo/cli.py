"""`modelscaler-demo`: run the demo, or one of its parts."""

import argparse
import sys
from collections.abc import Sequence

from modelscaler_demo.errors import DemoError
from modelscaler_demo.load.command import add_load_command


def parser() -> argparse.ArgumentParser:
    """Build the argument parser."""
    top = argparse.ArgumentParser(prog="modelscaler-demo", description=__doc__)
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    add_load_command(commands)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    arguments = parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except DemoError as error:
        print(f"modelscaler-demo: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
