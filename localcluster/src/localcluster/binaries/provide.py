"""Have every program at hand: find it, or build it once, whoever asks first."""

from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock

from localcluster.binaries.catalogue import CONTROL_PLANE_PROGRAMS, PROMETHEUS_PROGRAMS, go_program
from localcluster.binaries.debian import unpack_prometheus
from localcluster.binaries.gobuild import build
from localcluster.binaries.gotool import go_command
from localcluster.binaries.progress import build_progress
from localcluster.binaries.search import find
from localcluster.binaries.versions import cache_bin, prometheus_cache_bin
from localcluster.paths import cache_root


def provide(names: Sequence[str]) -> dict[str, Path]:
    """Return the path of each program, building into the cache what is nowhere else.

    Two runs at once don't build twice: the second waits for the first and finds its work done.

    Raises:
        LocalClusterError: naming what is missing and what to do.
    """
    if not _missing(names):
        return {name: _found(name) for name in names}
    cache_root().mkdir(parents=True, exist_ok=True)
    with FileLock(cache_root() / ".build.lock"):
        missing = _missing(names)
        if "prometheus" in missing and unpack_prometheus():
            missing = _missing(names)
        _build_all(missing)
    return {name: _found(name) for name in names}


def provide_control_plane() -> dict[str, Path]:
    """Return etcd, the API server, the controller manager, the scheduler and kubectl."""
    return provide(CONTROL_PLANE_PROGRAMS)


def provide_prometheus() -> dict[str, Path]:
    """Return prometheus and promtool."""
    return provide(PROMETHEUS_PROGRAMS)


def _missing(names: Sequence[str]) -> list[str]:
    return [name for name in names if find(name) is None]


def _found(name: str) -> Path:
    path = find(name)
    if path is None:
        raise FileNotFoundError(f"{name} vanished after it was found or built; run the command again")
    return path


def _build_all(names: Sequence[str]) -> None:
    if not names:
        return
    go = go_command()
    for position, name in enumerate(names, start=1):
        directory = prometheus_cache_bin() if name in PROMETHEUS_PROGRAMS else cache_bin()
        with build_progress(f"Building {name} ({position} of {len(names)})") as progress:
            build(go, go_program(name), directory / name, progress)
