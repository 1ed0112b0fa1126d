"""`modelscaler validate`: ModelDeployment files, checked without a cluster."""

import argparse
import sys
from pathlib import Path

from modelscaler.cli.shared import refuse
from modelscaler.workload import check_file
from modelscaler.workload.files import model_deployments_in


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.add_argument("files", nargs="+", type=Path, help="YAML files; documents of other kinds are passed over")


def run(arguments: argparse.Namespace) -> int:
    """Print what is wrong with the files, or that nothing is."""
    complaints = [complaint for path in arguments.files for complaint in _complaints(path)]
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    if complaints:
        return 1
    found = sum(model_deployments_in(path.read_text(encoding="utf-8")) for path in arguments.files)
    if not found:
        return refuse(f"no ModelDeployment in {', '.join(map(str, arguments.files))}: nothing was checked")
    print(f"{found} ModelDeployment(s) in {len(arguments.files)} file(s): fine")
    return 0


def _complaints(path: Path) -> list[str]:
    try:
        return check_file(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        return [f"{path}: cannot be read: {error}"]
