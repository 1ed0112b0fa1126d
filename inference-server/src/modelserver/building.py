"""`modelserver build`: once, atomically, by one process at a time, with progress and a report."""

import fcntl
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modelserver.artifact import MODEL_FILE, default_store, read_model, read_variant, variants
from modelserver.errors import BuildError, LoadError
from modelserver.search_ranker.recipe import MODEL_NAME, Recipe, content_version

BUILTIN_MODELS = (MODEL_NAME,)


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
        yield


def is_up_to_date(target: Path, recipe: Recipe) -> bool:
    """Say whether `target` holds an intact build of exactly this recipe and code."""
    try:
        current = read_model(target).content_version == content_version(recipe)
        return current and all(read_variant(target, variant) for variant in variants(target))
    except LoadError:
        return False


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


def _build_into(target: Path, recipe: Recipe) -> None:
    # Threads that wait for each other must sleep, not spin: on a shared machine spinning takes the core that the other needs.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Training, export and quantization need torch and onnx: not before it is known that there is something to build.
    from tqdm import tqdm  # noqa: PLC0415

    from modelserver.search_ranker.build import build, total_steps  # noqa: PLC0415
    from modelserver.search_ranker.report import report_lines  # noqa: PLC0415

    work = Path(tempfile.mkdtemp(prefix=f".{target.name}.building-", dir=target.parent))
    try:
        # Not a terminal (a log, make, CI): a line now and then instead of one per step.
        pace = 0.1 if sys.stderr.isatty() else 10.0
        with tqdm(total=total_steps(recipe), desc=f"build {target.name}", unit="step", mininterval=pace) as bar:
            report = build(work, recipe, len(os.sched_getaffinity(0)), bar.update)
        work.chmod(0o755)
        _replace(target, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print("\n".join(report_lines(report)))


def build_model(name: str, out: Path | None, recipe: Recipe, force: bool) -> Path:
    """Build a built-in model unless an up-to-date build is there.

    Args:
        name: One of BUILTIN_MODELS.
        out: Directory of the model; None for its place in the default store.
        recipe: What to build.
        force: Build even when up to date.

    Returns:
        The model's directory.

    Raises:
        BuildError: When the model is unknown, the place is taken or the gate refuses a variant.
    """
    if name not in BUILTIN_MODELS:
        raise BuildError(f"model {name!r}: expected one of {', '.join(BUILTIN_MODELS)}")
    target = (out or default_store() / name).absolute()
    _refuse_foreign_directory(target)
    with _one_builder(target):
        if not force and is_up_to_date(target, recipe):
            print(f"{target} is up to date")
        else:
            _build_into(target, recipe)
    return target
