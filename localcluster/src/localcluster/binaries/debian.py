"""Prometheus from the distribution's package, unpacked into the cache.

Unpacking (``dpkg -x``) needs no root, starts no service and touches nothing outside the cache.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

from localcluster.paths import cache_root


def unpacked_bin() -> Path:
    """Return where the unpacked package has its programs."""
    return cache_root() / "prometheus-debian" / "usr" / "bin"


def unpack_prometheus() -> bool:
    """Download and unpack the package; return False where that is not possible here."""
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        return False
    target = cache_root() / "prometheus-debian"
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        if not _download(Path(scratch)):
            return False
        package = next(Path(scratch).glob("prometheus_*.deb"))
        unpacked = Path(scratch) / "unpacked"
        subprocess.run(["dpkg", "-x", package, unpacked], check=True, capture_output=True)
        if not _runs(unpacked / "usr" / "bin" / "prometheus"):
            return False
        shutil.rmtree(target, ignore_errors=True)
        unpacked.rename(target)
    return True


def _download(directory: Path) -> bool:
    command = ["apt-get", "download", "prometheus"]
    if subprocess.run(command, cwd=directory, capture_output=True, timeout=120, check=False).returncode == 0:
        return True
    # A fresh container image has no package lists; only root may fetch them.
    subprocess.run(["apt-get", "update"], capture_output=True, timeout=180, check=False)
    return subprocess.run(command, cwd=directory, capture_output=True, timeout=120, check=False).returncode == 0


def _runs(program: Path) -> bool:
    try:
        return subprocess.run([program, "--version"], capture_output=True, timeout=20, check=False).returncode == 0
    except OSError:
        return False
