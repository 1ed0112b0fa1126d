"""`modelserver build`: once, atomically, by one process at a time, with progress and a report."""

import fcntl
import glob
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from modelserver.artifact import MODEL_FILE, checked_variant, default_store, is_plain_name, read_model, variants
from modelserver.code import import_attribute
from modelserver.errors import BuildError, LoadError
from modelserver.opening import PYTHON_SCHEME
from modelserver.recipes.family import FAMILIES, Family

ALL_VARIANTS = "all"
REPORT_FILE = "report.json"


@dataclass(frozen=True)
class _Stored:
    """What an earlier build left: which variants it was asked for, which it refused and why, and its report."""

    asked: frozenset[str]
    refused: dict[str, str]
    lines: tuple[str, ...]


@contextmanager
def _one_builder(target: Path) -> Iterator[None]:
    """Hold the lock of this model; a second builder waits here and then finds the work done."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / f".{target.name}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"another process builds {target}; waiting for it", file=sys.stderr)
            fcntl.flock(file, fcntl.LOCK_EX)
        _clear_leftovers(target)
        yield


def _clear_leftovers(target: Path) -> None:
    """Remove what builds that were killed have left; whoever holds the lock knows that nobody works there."""
    name = glob.escape(target.name)
    for old in target.parent.glob(f".{name}.old-*"):
        was_taken_away = not target.exists() and (old / MODEL_FILE).is_file()  # and nothing was put there any more
        if was_taken_away:
            old.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    for work in target.parent.glob(f".{name}.building-*"):
        shutil.rmtree(work, ignore_errors=True)


def _stored(target: Path) -> _Stored:
    """Return what the build in `target` left.

    Raises:
        LoadError: When there is none, or it is damaged.
    """
    try:
        content = json.loads((target / REPORT_FILE).read_text())
        return _Stored(frozenset(content["asked"]), dict(content["refused"]), tuple(content["lines"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LoadError(f"{target / REPORT_FILE}: expected the report of a build, {error}") from error


def up_to_date(target: Path, family: Family[Any], names: Sequence[str]) -> _Stored | None:
    """Return the report of an intact build of exactly this recipe and code that was asked for these variants, or None."""
    try:
        if read_model(target).content_version != family.content_version:
            return None
        for variant in variants(target):
            checked_variant(target, variant)
        stored = _stored(target)
    except LoadError:
        return None
    return stored if stored.asked.issuperset(names) else None


def _replace(target: Path, built: Path) -> None:
    """Put a finished build in place; whoever has the old files open keeps them."""
    if not target.exists():
        built.rename(target)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{target.name}.old-", dir=target.parent))
    target.rename(old)
    built.rename(target)
    shutil.rmtree(old)


def _refuse_foreign_directory(target: Path) -> None:
    """Raise when replacing `target` would delete something that is not a model."""
    if target.exists() and not (target / MODEL_FILE).is_file() and (not target.is_dir() or any(target.iterdir())):
        raise BuildError(f"--out {target}: expected a model, an empty directory or nothing there; choose another path")


class _Bar:
    """Shows progress on stderr."""

    def __init__(self, name: str, total: int) -> None:
        from tqdm import tqdm  # noqa: PLC0415 - only when there is something to build

        # Not a terminal (a log, make, CI): a line now and then instead of one per step.
        pace = 0.1 if sys.stderr.isatty() else 10.0
        self._name = name
        self._bar = tqdm(total=total, desc=f"build {name}", unit="step", mininterval=pace)

    def phase(self, name: str) -> None:
        self._bar.set_description(f"build {self._name}: {name}", refresh=False)

    def advance(self, steps: int) -> None:
        self._bar.update(steps)

    def close(self) -> None:
        self._bar.close()


def _build_into(work: Path, family: Family[Any], names: Sequence[str], threads: int) -> _Stored:
    # Training, export and quantization need torch and onnx: not before it is known that there is something to build.
    from modelserver.recipes.build import build, total_steps  # noqa: PLC0415
    from modelserver.recipes.report import report_lines  # noqa: PLC0415

    bar = _Bar(family.name, total_steps(family, names))
    try:
        report = build(work, family, names, threads, bar)
    finally:
        bar.close()
    stored = _Stored(frozenset(names), report.refused, tuple(report_lines(report)))
    content = {"asked": sorted(stored.asked), "refused": stored.refused, "lines": stored.lines}
    (work / REPORT_FILE).write_text(json.dumps(content, indent=2) + "\n")
    return stored


def _build_atomically(target: Path, family: Family[Any], names: Sequence[str], threads: int) -> _Stored:
    work = Path(tempfile.mkdtemp(prefix=f".{target.name}.building-", dir=target.parent))
    try:
        stored = _build_into(work, family, names, threads)
        work.chmod(0o755)
        _replace(target, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return stored


def find_family(name: str, seed: int) -> Family[Any]:
    """Return what to build.

    Args:
        name: One of FAMILIES, or `python:package.module:make_family` for one in this environment.
        seed: Of data and training.

    Raises:
        BuildError: When there is none of that name.
    """
    path = name.removeprefix(PYTHON_SCHEME) if name.startswith(PYTHON_SCHEME) else FAMILIES.get(name)
    if path is None:
        raise BuildError(f"model {name!r}: expected one of {', '.join(FAMILIES)}, or python:package.module:make_family")
    try:
        make = cast("Callable[[int], Family[Any]]", import_attribute(path, f"model {name!r}"))
    except LoadError as error:
        raise BuildError(str(error)) from error
    return make(seed)


def chosen_variants(family: Family[Any], asked: Sequence[str]) -> tuple[str, ...]:
    """Return the variants to build, `full` first: all others are made from it or compared with it.

    Args:
        family: Of the model.
        asked: Names; empty for the family's default, `all` for all there are recipes for.

    Raises:
        BuildError: When there is no recipe of a name.
    """
    from modelserver.recipes.variants import RECIPES  # noqa: PLC0415 - imports torch

    unknown = [name for name in asked if name != ALL_VARIANTS and name not in RECIPES]
    if unknown:
        raise BuildError(f"--variants {unknown[0]!r}: expected {ALL_VARIANTS!r} or some of {', '.join(RECIPES)}")
    wanted = RECIPES if ALL_VARIANTS in asked else asked or family.default_variants
    return tuple(dict.fromkeys(("full", *wanted)))


def build_family(target: Path, family: Family[Any], asked: Sequence[str], force: bool, threads: int = 1) -> None:
    """Build a model unless an up-to-date build is there, and print its report.

    Args:
        target: Directory of the model.
        family: What to build.
        asked: Variants by name; empty for the family's default.
        force: Build even when up to date.
        threads: To train with.

    Raises:
        BuildError: When the place is taken or cannot be written, `full` is refused, or a variant asked for by name is.
    """
    names = chosen_variants(family, asked)
    _refuse_foreign_directory(target)
    try:
        with _one_builder(target):
            stored = None if force else up_to_date(target, family, names)
            if stored is None:
                stored = _build_atomically(target, family, names, threads)
            else:
                print(f"{target} is up to date")
    except OSError as error:
        raise BuildError(
            f"{target}: cannot be written, {error}; nothing was left there, what was there stays"
        ) from error
    print("\n".join(stored.lines))
    missed = [f"{name}: {stored.refused[name]}" for name in asked if name in stored.refused]
    if missed:
        raise BuildError(f"refused by the gate, though asked for: {' | '.join(missed)}")


def build_model(name: str, out: Path | None, asked: Sequence[str], seed: int, force: bool) -> Path:
    """Build a model that comes with the server, or one of the user's own.

    Args:
        name: See `find_family`.
        out: Directory of the model; None for its place in the default store.
        asked: Variants by name; empty for the family's default.
        seed: Of data and training.
        force: Build even when up to date.

    Returns:
        The model's directory.

    Raises:
        BuildError: See `find_family` and `build_family`.
    """
    # Threads that wait for each other must sleep, not spin: on a shared machine spinning takes the core that the other needs.
    # Torch reads this when it is imported, which the family does.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    family = find_family(name, seed)
    if not is_plain_name(family.name):
        raise BuildError(f"model {family.name!r}: expected letters, digits, '.', '_' and '-'")
    target = (out or default_store() / family.name).absolute()
    build_family(target, family, asked, force, len(os.sched_getaffinity(0)))
    return target
