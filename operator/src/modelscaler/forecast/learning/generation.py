"""Examples of generated load, made by several processes and kept in files: what was made once is not made again."""

import ast
import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from threadpoolctl import threadpool_limits

from modelscaler.forecast.calendar import Calendar
from modelscaler.forecast.learning.examples import Examples, Span, examples_between, joined
from modelscaler.forecast.learning.generated import generate
from modelscaler.forecast.panel import Panel

Progress: TypeAlias = Callable[[str, int, int], None]
"""Told what is done, how many parts of it are, and of how many."""

PROCESSES: Final = 2
# Seconds and columns of a panel, as often as they are listed: fourteen days of minutes most of all.
SHAPES: Final = (
    (10, 8_640), (15, 11_520), (30, 20_160), (60, 20_160), (60, 20_160), (60, 10_080), (60, 20_160), (120, 10_080),
    (300, 8_064), (300, 16_128), (300, 4_032), (600, 4_032), (600, 2_016), (1_800, 4_032), (1_800, 8_064),
    (3_600, 2_400), (3_600, 4_800),
)  # fmt: skip
HORIZON_SECONDS: Final = (15, 30, 60, 120, 300, 600, 600, 600, 900, 1_800)
LATENESS: Final = 0.3
YEAR_START: Final = datetime(2024, 1, 1, tzinfo=UTC)
YEAR_SECONDS: Final = 365 * 86_400


@dataclass(frozen=True, slots=True)
class Making:
    """What is made: panels of `series` each, `origins` for each of `horizons` horizons; all of it follows from the seed.

    `longest` bounds the columns of a panel.
    """

    seed: int
    panels: int
    series: int = 64
    origins: int = 60
    horizons: int = 3
    longest: int = 20_160


@dataclass(frozen=True, slots=True)
class Drawn:
    """A panel that was generated, the horizons to forecast in steps, and what is drawn from next."""

    panel: Panel
    aheads: tuple[int, ...]
    rng: np.random.Generator


def drawn(making: Making, number: int) -> Drawn:
    """Return a panel by its number; it does not depend on how many there are."""
    rng = np.random.default_rng([making.seed, number])
    step_seconds, columns = SHAPES[int(rng.integers(len(SHAPES)))]
    columns = min(columns, making.longest)
    offset = int(rng.integers(YEAR_SECONDS)) // step_seconds * step_seconds
    end = YEAR_START + timedelta(seconds=offset)
    seconds = rng.permutation(HORIZON_SECONDS)[: making.horizons]
    aheads = tuple(sorted({max(round(int(s) / step_seconds), 1) for s in seconds}))
    rps = generate(rng.spawn(1)[0], making.series, float(step_seconds), columns, end).rps
    first_cell = round(end.timestamp() / step_seconds) - columns + 1
    return Drawn(Panel.of(rps, float(step_seconds), first_cell), aheads, rng)


def made(making: Making, number: int) -> Examples:
    """Return the examples of a panel by its number."""
    found = drawn(making, number)
    panel, clocks = found.panel, Calendar.utc(found.panel.series)
    span = Span(0, panel.columns - 1, making.origins, LATENESS)
    return examples_between(panel, clocks, found.aheads, [span], found.rng)[0]


def ensure_made(making: Making, folder: Path, progress: Progress) -> None:
    """Make what is not in a folder yet, several panels at a time."""
    mark = _fingerprint(making)
    missing = [number for number in range(making.panels) if _mark_of(file_of(folder, number)) != mark]
    done = making.panels - len(missing)
    progress("generated panels", done, making.panels)
    if not missing:
        return
    context = get_context("spawn")
    with context.Pool(min(PROCESSES, len(missing)), initializer=threadpool_limits, initargs=(1,)) as pool:
        work = [(making, number, file_of(folder, number), mark) for number in missing]
        for _ in pool.imap_unordered(_make, work):
            done += 1
            progress("generated panels", done, making.panels)


def examples_in(folder: Path, numbers: Iterable[int]) -> Examples:
    """Read the examples of panels."""
    return joined([_read(file_of(folder, number)) for number in numbers])


def file_of(folder: Path, number: int) -> Path:
    """Return where a panel's examples are kept."""
    return folder / f"panel-{number:04d}.safetensors"


def _make(work: tuple[Making, int, Path, str]) -> None:
    making, number, path, mark = work
    examples = made(making, number)
    tensors = {"features": examples.features, "came": examples.came, "weights": examples.weights}
    beside = path.with_suffix(".new")
    save_file(tensors, beside, metadata={"of": mark})
    beside.replace(path)


def _mark_of(path: Path) -> str | None:
    try:
        with safe_open(path, framework="numpy") as file:
            return dict(file.metadata() or {}).get("of")
    except (OSError, SafetensorError):
        return None


def _fingerprint(making: Making) -> str:
    """Return what a panel's examples follow from, apart from its number: what is asked for, libraries and our own code."""
    asked = {name: value for name, value in asdict(making).items() if name != "panels"}
    libraries = {name: version(name) for name in ("numpy", "scipy")}
    return json.dumps({**asked, **libraries, "code": _code()})


def _code() -> str:
    """Return a digest of the code that says what examples hold; comments and layout do not count."""
    forecast = Path(__file__).parents[1]
    names = [f"{name}.py" for name in ("rules", "anchor", "calendar", "frames", "learning/examples")]
    sources = [
        *(forecast / name for name in names),
        Path(__file__),
        *sorted((forecast / "learning/generated").glob("*.py")),
    ]
    digest = hashlib.sha256()
    for source in sources:
        digest.update(ast.dump(ast.parse(source.read_text())).encode())
    return digest.hexdigest()


def _read(path: Path) -> Examples:
    with safe_open(path, framework="numpy") as file:
        return Examples(file.get_tensor("features"), file.get_tensor("came"), file.get_tensor("weights"))
