"""`python -m modelscaler_benchmarks.forecast DIRECTORY`: our forecasts of recorded load beside all rivals."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from time import monotonic

from modelscaler.backtest import rivals
from modelscaler.backtest.cases import Case, case_of
from modelscaler.backtest.champion import ZERO_SHOT
from modelscaler.backtest.command import Outputs, nominal_horizons, scored, write
from modelscaler.backtest.method import CHAMPION, Method, Progress, Quantiles
from modelscaler.backtest.options import DEFAULT_MOST_ORIGINS
from modelscaler.backtest.progress import progress_bar
from modelscaler.backtest.reading import TraceError, read_traces
from modelscaler.backtest.report import pictures
from modelscaler.backtest.report.table import text
from modelscaler.backtest.rivals.choice import chosen_rivals
from modelscaler.backtest.rivals.histogram import HGB_DIFFERENCE
from modelscaler_benchmarks.forecast import coarse, lightgbm_rivals, statistical
from modelscaler_benchmarks.forecast.cached import Cached, code_version
from modelscaler_benchmarks.forecast.document import section
from modelscaler_benchmarks.forecast.lightgbm_rivals import LIGHTGBM_ANCHOR, LIGHTGBM_DIFFERENCE
from modelscaler_benchmarks.forecast.ours import WITHOUT_TREES, our_methods
from modelscaler_benchmarks.forecast.own_errors import OwnErrors
from modelscaler_benchmarks.forecast.statistical import AUTOETS, MSTL_ETS
from modelscaler_benchmarks.forecast.warming import warm
from modelscaler_benchmarks.machine import cache_directory, quiet_machine
from modelscaler_benchmarks.report import DOCUMENT, IMAGES, write_section

EVERYTHING = "all"
# One strong rival of each kind: boosted trees for each trace, exponential smoothing, decomposition by seasons. The rest
# takes hours.
USUAL = (CHAMPION, WITHOUT_TREES, ZERO_SHOT, HGB_DIFFERENCE.name, f"{AUTOETS.name}+errors", f"{MSTL_ETS.name}+errors")
PACKAGES = ("numpy", "scikit-learn", "lightgbm", "statsforecast")


class Timed:
    """A method, and how long it took."""

    def __init__(self, method: Method, seconds: dict[str, float]) -> None:
        """Wrap a method; its time goes into `seconds`."""
        self._method, self._seconds = method, seconds

    @property
    def name(self) -> str:
        """Name of the method."""
        return self._method.name

    def forecast(self, cases: Sequence[Case], progress: Progress) -> Sequence[Quantiles]:
        """Forecast every case."""
        started = monotonic()
        said = self._method.forecast(cases, progress)
        self._seconds[self.name] = monotonic() - started
        return said


def main() -> int:
    """Run; the exit code tells whether it ran."""
    given = _arguments()
    try:
        traces = read_traces([given.traces], fine=not given.no_fine)
    except TraceError as error:
        print(error, file=sys.stderr)
        return 1
    machine, seconds = quiet_machine(PACKAGES), dict[str, float]()
    cases = [case_of(trace, given.horizon, given.most_origins) for trace in traces]
    known = [*our_methods(), *all_rivals(cache_directory() / "forecast")]
    wanted = [method for method in known if _asked_for(method.name, given.only)]
    fill_cache(wanted, cases, given.jobs)
    found = scored(cases, [Timed(method, seconds) for method in wanted], seed=0)
    horizons_seconds = nominal_horizons(cases, given.horizon)
    print(text(found, horizons_seconds, everything=False))
    write(
        found,
        horizons_seconds,
        Outputs(given.json, given.forecasts, given.plot, given.html),
        machine=machine.as_json(),
        mostOrigins=given.most_origins,
        secondsByMethod={name: round(each, 1) for name, each in seconds.items()},
    )
    if not given.no_document:
        (IMAGES / "bench-forecast.png").write_bytes(pictures.png(pictures.overview(found)))
        not_run = [method.name for method in known if not _asked_for(method.name, given.only)]
        content = section(found, horizons_seconds, seconds, machine.sentence(), not_run)
        write_section(DOCUMENT, "forecast", content)
    return 0


def _asked_for(name: str, only: str) -> bool:
    """Return whether a method is compared: those named, every one for EVERYTHING, else those that do not take hours."""
    return only == EVERYTHING or name in (only.split(",") if only else USUAL)


def fill_cache(methods: Sequence[Method], cases: Sequence[Case], jobs: int) -> None:
    """Let the rivals that are kept forecast on all cores, and show how far they are."""
    progress = progress_bar()
    try:
        beneath = [method.method if isinstance(method, OwnErrors) else method for method in methods]
        kept = {method.name: method for method in beneath if isinstance(method, Cached)}
        warm(list(kept.values()), cases, jobs, progress)
    finally:
        progress.close()


def all_rivals(folder: Path) -> list[Method]:
    """Return every rival; what they said before is kept in `folder`."""
    here = [Path(module.__file__) for module in (coarse, lightgbm_rivals, statistical) if module.__file__]
    version = code_version([*Path(rivals.__file__).parent.glob("*.py"), *here])
    boosted = [*chosen_rivals(["all"]), LIGHTGBM_DIFFERENCE, LIGHTGBM_ANCHOR]
    classical = [Cached(method, folder, version) for method in (AUTOETS, MSTL_ETS)]
    return [
        *(Cached(method, folder, version) for method in boosted),
        *classical,
        *(OwnErrors(method) for method in classical),
    ]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="modelscaler_benchmarks.forecast", description=__doc__)
    parser.add_argument("traces", type=Path, help="a directory of .csv and .csv.gz files, or one of them")
    parser.add_argument("--no-fine", action="store_true", help="leave its folder fine/ out")
    parser.add_argument("--horizon", type=float, action="append", default=[], metavar="SECONDS", help="only these")
    parser.add_argument("--most-origins", type=int, default=DEFAULT_MOST_ORIGINS, help="of a trace")
    parser.add_argument("--only", default="", metavar="NAMES", help="these methods, with commas, or all (hours)")
    parser.add_argument(
        "--jobs", type=int, default=len(os.sched_getaffinity(0)), help="processes for the rivals (cores)"
    )
    parser.add_argument("--json", type=Path, help="write every figure with its settings to this file")
    parser.add_argument("--forecasts", type=Path, help="write our forecasts to this CSV file")
    parser.add_argument("--plot", type=Path, help="write the picture to this PNG file too")
    parser.add_argument("--html", type=Path, help="write a page with everything to this file")
    parser.add_argument(
        "--no-document", action="store_true", help="leave docs/benchmarks.md and its picture as they are"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
