"""The forecasts themselves as CSV, one row each, so that anyone can score them again."""

import gzip
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Final

import numpy as np

from modelscaler.backtest.cases import Case
from modelscaler.backtest.method import Quantiles, is_ours
from modelscaler.backtest.naive import NAIVES
from modelscaler.backtest.running import Backtest
from modelscaler.backtest.targets import targets
from modelscaler.domain import Floats
from modelscaler.forecast.base import QUANTILES

COLUMNS: Final = ("trace", "origin", "target", "horizon_seconds", "method", "quantile", "value", "actual")
SUFFIXES: Final = ("", ":peak")


def write_forecasts(path: Path, found: Backtest, methods: Sequence[str]) -> int:
    """Write what methods said, row by row, gzipped when the name ends in .gz; return how many rows there are.

    `origin` and `target` are times as in the trace's file. The method of the maximum until `target` has the suffix `:peak`.
    An unknown outcome is empty; what a method could not tell is not there.
    """
    count = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    with _open(path) as file:
        file.write(",".join(COLUMNS) + "\n")
        for place, case in enumerate(found.cases):
            for method in methods:
                for row in forecast_rows(case, method, found.forecasts[method][place]):
                    file.write(row)
                    count += 1
    return count


def written_methods(found: Backtest) -> list[str]:
    """Return whose forecasts are written: ours in every form; the first method, or a naive one, where none of them was run."""
    ours = [name for name in found.methods if is_ours(name)]
    return ours or [*found.methods[:1]] or [NAIVES[0].name]


def forecast_rows(case: Case, method: str, said: Quantiles) -> Iterator[str]:
    """Yield the lines of one method on one trace."""
    stamps = {int(origin): case.trace.stamp(int(origin)) for origin in case.origins}
    for row, ahead in enumerate(case.horizons):
        ends = [stamps.get(int(index)) or case.trace.stamp(int(index)) for index in case.origins + ahead]
        starts = [
            f"{case.trace.name},{stamps[int(origin)]},{end},{case.seconds(ahead):g},{method}"
            for origin, end in zip(case.origins, ends, strict=True)
        ]
        for column, outcome in enumerate(targets(case.trace.rps, ahead)):
            yield from _lines(starts, SUFFIXES[column], said[row, column], outcome[case.origins])


def _lines(starts: Sequence[str], suffix: str, said: Quantiles, actual: Floats) -> Iterator[str]:
    for start, quantiles, came in zip(starts, said.tolist(), actual.tolist(), strict=True):
        if not np.isfinite(quantiles[0]):
            continue
        end = f"{came:.9g}" if np.isfinite(came) else ""
        for level, value in zip(QUANTILES, quantiles, strict=True):
            yield f"{start}{suffix},{level:g},{value:.7g},{end}\n"


def _open(path: Path) -> IO[str]:
    if path.name.endswith(".gz"):
        return gzip.open(path, "wt", encoding="utf-8", compresslevel=4)
    return path.open("w", encoding="utf-8")
