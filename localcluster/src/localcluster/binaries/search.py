"""Find programs: ``KUBEBUILDER_ASSETS``, then PATH, then the cache."""

import os
import shutil
from pathlib import Path

from localcluster.binaries.catalogue import CONTROL_PLANE_PROGRAMS, PROMETHEUS_PROGRAMS
from localcluster.binaries.debian import unpacked_bin
from localcluster.binaries.versions import cache_bin, prometheus_cache_bin


def find(name: str) -> Path | None:
    """Return the path of the program called ``name``, None when it is nowhere."""
    for directory in _directories(name):
        candidate = directory / name
        if os.access(candidate, os.X_OK) and candidate.is_file():
            return candidate
    return None


def _directories(name: str) -> list[Path]:
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    directories = [Path(assets)] if assets and name in CONTROL_PLANE_PROGRAMS else []
    if on_path := shutil.which(name):
        directories.append(Path(on_path).parent)
    if name in PROMETHEUS_PROGRAMS:
        return [*directories, prometheus_cache_bin(), unpacked_bin()]
    return [*directories, cache_bin()]
