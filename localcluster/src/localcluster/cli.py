"""The command line: ``localcluster up | down | status | kubectl | node | image | part``."""

import sys

from localcluster.commands.parser import parse
from localcluster.errors import LocalClusterError

INTERRUPTED = 130


def main() -> None:
    """Run one command; end with its exit code."""
    try:
        arguments = parse(sys.argv[1:])
        sys.exit(arguments.command(arguments))
    except LocalClusterError as error:
        sys.stderr.write(f"localcluster: {error}\n")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
