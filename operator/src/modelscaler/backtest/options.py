"""What `modelscaler backtest` takes."""

import argparse
from pathlib import Path
from typing import Final

DEFAULT_MOST_ORIGINS: Final = 40_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes, but for what a live series needs."""
    parser.add_argument(
        "sources",
        nargs="+",
        metavar="SOURCE",
        help="a .csv or .csv.gz of timestamp,requests_per_second, or a directory of them; "
        "with --prometheus-url the name of a ModelDeployment",
    )
    parser.add_argument("--fine", action="store_true", help="of directories read the folder fine/ too")
    parser.add_argument(
        "--horizon",
        type=_seconds,
        action="append",
        default=[],
        metavar="SECONDS",
        help="how far ahead, again for more (60, 600, 1800; 15, 60, 300, 600 where the step is below a minute)",
    )
    parser.add_argument("--rivals", default="all", metavar="NAMES", help="with commas; all (which it is) or none")
    parser.add_argument(
        "--most-origins",
        type=_count,
        default=DEFAULT_MOST_ORIGINS,
        metavar="N",
        help=f"of a trace ({DEFAULT_MOST_ORIGINS})",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap (0)")
    parser.add_argument("--all-horizons", action="store_true", help="print the scores of every horizon")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure")
    parser.add_argument("--forecasts", type=Path, metavar="FILE", help="write our forecasts as CSV (.gz: gzipped)")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write a picture, PNG")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page with everything, in one file")


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value <= 86_400.0:
        raise argparse.ArgumentTypeError(f"{text!r}: expected seconds above 0, a day at most")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number above 0")
    return value
