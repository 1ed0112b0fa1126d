"""Where the local cluster keeps things: binaries in the cache, run state in the state directory."""

import os
from pathlib import Path


def cache_root() -> Path:
    """Return the cache directory: ``MODELSCALER_CACHE``, else ``$XDG_CACHE_HOME/modelscaler``, else under home."""
    if explicit := os.environ.get("MODELSCALER_CACHE"):
        return Path(explicit)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "modelscaler"


def default_state_dir(name: str) -> Path:
    """Return the state directory of the cluster called ``name`` when the user gave none."""
    root = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return root / "modelscaler" / "localcluster" / name


def go_modules_root() -> Path:
    """Return the directory holding ``controlplane/go.mod`` and ``prometheus/go.mod``.

    In a checkout they lie beside ``src``; a wheel carries them inside the package.
    """
    packaged = Path(__file__).parent / "gomodules"
    return packaged if packaged.is_dir() else Path(__file__).parents[2]
