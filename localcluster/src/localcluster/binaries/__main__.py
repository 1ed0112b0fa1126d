"""`python -m localcluster.binaries`: find or build every program now, so that nothing that follows has to wait."""

import sys

from localcluster.binaries.provide import provide_control_plane, provide_prometheus
from localcluster.errors import LocalClusterError


def main() -> int:
    """Provide every program and print where it is; return the exit status."""
    try:
        programs = {**provide_control_plane(), **provide_prometheus()}
    except LocalClusterError as error:
        print(f"localcluster: {error}", file=sys.stderr)
        return 1
    for name, path in programs.items():
        print(f"{name}: {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
