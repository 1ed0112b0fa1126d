"""Traces from CSV files, and the errors that say which line is wrong and what was expected."""

import gzip
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Final

import numpy as np

from modelscaler.backtest.stamps import StampStyle, epoch_seconds, style_of
from modelscaler.backtest.trace import DAY_SECONDS, Ints, Trace
from modelscaler.domain import Floats

HEADER: Final = ("timestamp", "requests_per_second")
ENDINGS: Final = (".csv.gz", ".csv")
FINE_FOLDER: Final = "fine"

MOST_ROWS: Final = 5_000_000
MOST_POINTS: Final = 10_000_000
MOST_LINE_CHARACTERS: Final = 200
MOST_RPS: Final = 1e12
SHORTEST_STEP_SECONDS: Final = 1.0
# A scrape may come late; beyond this share of a step it is unclear which point of the grid it belongs to.
MOST_JITTER: Final = 0.25


class TraceError(Exception):
    """A file is not a trace: where, what was found, what was expected."""


@dataclass(slots=True)
class _Rows:
    """What a file holds, row by row: line numbers, times in seconds since 1970, rates with NaN where missing."""

    style: StampStyle = field(default_factory=StampStyle)
    lines: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    rps: list[float] = field(default_factory=list)


def read_traces(paths: Sequence[Path], fine: bool = False) -> list[Trace]:
    """Read files, and the files of directories, in the order of their names.

    Args:
        paths: Files or directories; of a directory the .csv and .csv.gz files are read.
        fine: Whether its folder `fine` is read too.

    Raises:
        TraceError: one of them cannot be read, there are none, or two have the same name.
    """
    files = [file for path in paths for file in _files(path, fine)]
    by_name: dict[str, Path] = {}
    for file in files:
        if (other := by_name.setdefault(trace_name(file), file)) is not file:
            raise TraceError(f"{file}: has the name of {other} without its endings; expected names that differ")
    return [read_trace(file) for file in files]


def trace_name(path: Path) -> str:
    """Return a file's name without its endings."""
    ending = next((ending for ending in ENDINGS if path.name.endswith(ending)), "")
    return path.name.removesuffix(ending)


def read_trace(path: Path) -> Trace:
    """Read a trace from a .csv or .csv.gz file of `timestamp,requests_per_second`.

    Times are ISO 8601 or seconds; an empty rate is missing, and so is what the file passes over. Rows may be in any order;
    of two for the same time the later known one counts.

    Raises:
        TraceError: the file cannot be read, or is not such a file.
    """
    try:
        with _open(path) as file:
            rows = _rows(path, file)
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise TraceError(f"{path}: cannot be read as {'gzipped ' * path.name.endswith('.gz')}text: {error}") from None
    return _gridded(path, rows)


def _files(path: Path, fine: bool) -> list[Path]:
    if not path.is_dir():
        return [path]
    folders = [path, path / FINE_FOLDER] if fine else [path]
    found = [file for folder in folders if folder.is_dir() for file in sorted(folder.iterdir()) if _is_trace(file)]
    if not found:
        raise TraceError(f"{path}: holds no trace, expected files that end in {' or '.join(ENDINGS)}")
    return found


def _is_trace(path: Path) -> bool:
    return path.name.endswith(ENDINGS) and path.is_file()


def _open(path: Path) -> IO[str]:
    if path.name.endswith(".gz"):
        return gzip.open(path, "rt", encoding="utf-8-sig", newline=None)
    return path.open(encoding="utf-8-sig", newline=None)


def _lines(path: Path, file: IO[str]) -> Iterator[tuple[int, str]]:
    """Yield line numbers and lines that are not blank; never more of the file than one line of the longest allowed."""
    number = 0
    while line := file.readline(MOST_LINE_CHARACTERS + 1):
        number += 1
        if len(line) > MOST_LINE_CHARACTERS:
            raise _wrong(path, number, line[:40] + "…", f"at most {MOST_LINE_CHARACTERS} characters")
        if number > MOST_ROWS:
            raise TraceError(f"{path}: has more than {MOST_ROWS:,} lines, which is the most that is read")
        if line.strip():
            yield number, line.strip()


def _rows(path: Path, file: IO[str]) -> _Rows:
    lines = _lines(path, file)
    number, header = next(lines, (1, ""))
    if tuple(cell.strip() for cell in header.split(",")) != HEADER:
        raise _wrong(path, number, header, f"the header {','.join(HEADER)}")
    rows = _Rows()
    for number, line in lines:
        cells = line.split(",")
        if len(cells) != len(HEADER):
            raise _wrong(path, number, line, "a timestamp, a comma and a rate")
        if not rows.lines:
            rows.style = _style(path, number, cells[0].strip())
        rows.lines.append(number)
        rows.seconds.append(_seconds(path, number, cells[0].strip(), rows.style))
        rows.rps.append(_rate(path, number, cells[1].strip()))
    return rows


def _style(path: Path, number: int, text: str) -> StampStyle:
    try:
        return style_of(text)
    except ValueError:
        raise _wrong(path, number, text, "a timestamp in ISO 8601 or seconds") from None


def _seconds(path: Path, number: int, text: str, style: StampStyle) -> float:
    try:
        return epoch_seconds(text, style.seconds)
    except (ValueError, OverflowError):
        how = "seconds between 1970 and 9999" if style.seconds else "ISO 8601"
        raise _wrong(path, number, text, f"a timestamp in {how}, as in the first row") from None


def _rate(path: Path, number: int, text: str) -> float:
    if not text:
        return np.nan
    try:
        rps = float(text)
    except ValueError:
        rps = -1.0
    if not 0.0 <= rps <= MOST_RPS:  # NaN is not either: what is missing is empty
        raise _wrong(path, number, text, f"a rate between 0 and {MOST_RPS:g}, or nothing where it is missing")
    return rps


def _gridded(path: Path, rows: _Rows) -> Trace:
    seconds, rps, lines = np.array(rows.seconds), np.array(rows.rps), np.array(rows.lines, dtype=np.int64)
    step_seconds = _step(path, seconds)
    start = float(seconds.min())
    places = (seconds - start) / step_seconds
    indices = np.rint(places).astype(np.int64)
    astray = np.flatnonzero(np.abs(places - indices) > MOST_JITTER)
    if len(astray):
        row = astray[0]
        expected = f"a time on the grid of {step_seconds:g} s that starts at {rows.style.write(_time(start))}"
        raise _wrong(path, lines[row], rows.style.write(_time(seconds[row])), expected)
    return Trace(trace_name(path), step_seconds, _time(start), _filled(path, indices, rps), rows.style)


def _step(path: Path, seconds: Floats) -> float:
    """Return the step: the time that most often passes between two rows."""
    apart = np.diff(np.unique(seconds))
    if not len(apart):
        raise TraceError(f"{path}: has {len(seconds)} rows, expected at least two with times that differ")
    values, counts = np.unique(np.round(apart, 3), return_counts=True)
    step_seconds = float(values[counts.argmax()])
    if not SHORTEST_STEP_SECONDS <= step_seconds <= DAY_SECONDS:
        raise TraceError(
            f"{path}: has a step of {step_seconds:g} s, expected {SHORTEST_STEP_SECONDS:g} to {DAY_SECONDS:g} s"
        )
    return step_seconds


def _filled(path: Path, indices: Ints, rps: Floats) -> Floats:
    points = int(indices.max()) + 1
    if points > MOST_POINTS:
        raise TraceError(f"{path}: spans {points:,} steps, expected at most {MOST_POINTS:,}")
    grid = np.full(points, np.nan)
    known = np.isfinite(rps)
    grid[indices[known]] = rps[known]
    return grid


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _wrong(path: Path, line: int, found: str, expected: str) -> TraceError:
    return TraceError(f"{path}, line {line}: got {found!r}, expected {expected}")
