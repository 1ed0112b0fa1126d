"""Each peer in an environment of its own, installed with uv and kept for the next run."""

import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from modelscaler_benchmarks.machine import cache_directory

SHARED_PACKAGES = ("torch", "numpy", "safetensors")
"""Held at our own versions, so that a network costs every server the same."""

STAMP = "installed.txt"


class InstallError(Exception):
    """A peer that cannot be installed here."""


@dataclass(frozen=True)
class Peer:
    """A server to compare with.

    Attributes:
        package: Its name on PyPI.
        version: The version that is compared with.
        also: Further requirements without which it does not work.
    """

    package: str
    version: str
    also: tuple[str, ...] = ()


PEERS = {
    "litserve": Peer("litserve", "0.2.19"),
    # uvloop 0.22 no longer makes an event loop on demand, which MLServer's parallel workers rely on.
    "mlserver": Peer("mlserver", "1.7.1", also=("uvloop<0.22",)),
    "bentoml": Peer("bentoml", "1.4.40"),
}


def requirements(peer: Peer) -> list[str]:
    """Return what its environment is made of."""
    shared = [f"{package}=={importlib.metadata.version(package)}" for package in SHARED_PACKAGES]
    return [f"{peer.package}=={peer.version}", *shared, *peer.also]


def find_uv() -> str:
    """Return the path of uv, from PATH or from where `make setup` puts it.

    Raises:
        InstallError: When there is none.
    """
    for candidate in (shutil.which("uv"), cache_directory().parent / "uv" / "bin" / "uv"):
        if candidate and os.access(candidate, os.X_OK):
            return str(candidate)
    raise InstallError("uv: not on PATH and not in our cache; run `make setup`")


def environment_of(peer: Peer) -> Path:
    """Return the directory of its environment, installed or not."""
    made_of = "\n".join([*requirements(peer), sys.version])
    return cache_directory() / f"{peer.package}-{peer.version}-{hashlib.sha256(made_of.encode()).hexdigest()[:8]}"


def install(peer: Peer) -> Path:
    """Return its environment, installing it when it is not there; uv shows its progress.

    Raises:
        InstallError: When uv fails.
    """
    environment = environment_of(peer)
    if (environment / STAMP).is_file():
        return environment
    uv = find_uv()
    print(
        f"{peer.package} {peer.version}: installing into {environment} (about 5 GB with torch, once)",
        file=sys.stderr,
        flush=True,
    )
    # Byte code is compiled ahead: otherwise the first start of each server would pay for it, or every one of them.
    settings = {**os.environ, "UV_PYTHON_DOWNLOADS": "never", "UV_COMPILE_BYTECODE": "1"}
    python = str(environment / "bin" / "python")
    for arguments in (
        ["venv", "--quiet", "--clear", "--python", sys.executable, str(environment)],
        ["pip", "install", "--python", python, *requirements(peer)],
    ):
        if subprocess.run([uv, *arguments], check=False, env=settings, stdout=sys.stderr).returncode != 0:
            raise InstallError(f"{peer.package} {peer.version}: `uv {' '.join(arguments[:2])} …` failed, see above")
    (environment / STAMP).write_text(_freeze(uv, python), encoding="utf-8")
    return environment


def installed_packages(environment: Path) -> list[str]:
    """Return every package of an environment with its version."""
    return (environment / STAMP).read_text(encoding="utf-8").split()


def _freeze(uv: str, python: str) -> str:
    return subprocess.run([uv, "pip", "freeze", "--python", python], check=True, capture_output=True, text=True).stdout
