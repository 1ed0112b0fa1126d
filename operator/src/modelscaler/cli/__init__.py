"""The command line. Each command has a module of its name here, which is imported when that command is asked for.

A command's module has `add_arguments(parser)` and `run(arguments)`, which returns the exit status.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final

from modelscaler import __version__

COMMANDS: Final = {
    "run": "run the operator",
    "activator": "hold requests until a replica is ready",
    "validate": "check ModelDeployment files without a cluster",
    "explain": "say what a ModelDeployment's last decision was, and why",
    "backtest": "score forecasts on recorded load",
    "replay": "compare policies on recorded load",
    "profile": "measure a server and store its speed",
    "forecast": "make the network that forecasts",
    "crd": "print the CustomResourceDefinition",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status: 0 fine, 1 refused, 2 wrong usage."""
    words = sys.argv[1:] if argv is None else list(argv)
    arguments = parser_for(words).parse_args(words)
    status: int = arguments.handler(arguments)
    return status


def parser_for(words: Sequence[str]) -> argparse.ArgumentParser:
    """Return a parser that knows all commands by name, and what the one among these words takes."""
    parser = argparse.ArgumentParser(prog="modelscaler", description="Forecast-driven scaling of model servers.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    asked_for = next((word for word in words if word in COMMANDS), None)
    for name, what_it_does in COMMANDS.items():
        command = commands.add_parser(name, help=what_it_does)
        if name == asked_for:
            module = import_module(f"modelscaler.cli.{name}")
            module.add_arguments(command)
            command.set_defaults(handler=module.run)
    return parser
