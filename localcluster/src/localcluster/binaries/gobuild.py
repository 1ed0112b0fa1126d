"""Build a program from its pinned Go module, with progress and never half a file."""

import contextlib
import os
import subprocess
import tempfile
from collections import deque
from collections.abc import Iterable
from pathlib import Path

from localcluster.binaries.catalogue import GoProgram
from localcluster.binaries.gotool import go_environment
from localcluster.binaries.progress import BuildProgress
from localcluster.errors import LocalClusterError
from localcluster.paths import go_modules_root

# What `go list` says of a package that needs no compiling.
IN_BUILD_CACHE = "available in build cache"


def build(go: Path, program: GoProgram, target: Path, progress: BuildProgress) -> None:
    """Compile ``program`` to ``target``; an interrupted build leaves nothing there.

    Raises:
        LocalClusterError: with the compiler's last lines.
    """
    directory = go_modules_root() / program.module_directory
    environment = go_environment(go)
    total = _packages_to_compile(go, program, directory, environment)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".building-") as scratch:
        output = Path(scratch) / program.name
        command = [str(go), "build", "-v", *_flags(program), "-o", str(output), program.package]
        _run(command, directory, environment, progress, total)
        os.replace(output, target)


def _flags(program: GoProgram) -> list[str]:
    tags = [f"-tags={program.tags}"] if program.tags else []
    return ["-trimpath", f"-ldflags={program.linker_flags}", *tags]


def _packages_to_compile(go: Path, program: GoProgram, directory: Path, environment: dict[str, str]) -> int:
    # Asking also downloads the modules, which is the silent first minute of a build from nothing.
    command = [str(go), "list", *_flags(program), "-deps", "-f", "{{.Stale}} {{.StaleReason}}", program.package]
    listed = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        raise LocalClusterError(_failure(program.name, listed.stderr.splitlines()[-5:]))
    return sum(line.startswith("true") and IN_BUILD_CACHE not in line for line in listed.stdout.splitlines())


def _run(command: list[str], directory: Path, environment: dict[str, str], progress: BuildProgress, total: int) -> None:
    with subprocess.Popen(
        command, cwd=directory, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as compiler:
        try:
            last_lines = _follow(compiler.stderr or (), progress, total)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                compiler.terminate()
            raise
    if compiler.returncode != 0:
        raise LocalClusterError(_failure(str(command[-1]), list(last_lines)))


def _follow(lines: Iterable[str], progress: BuildProgress, total: int) -> deque[str]:
    last_lines: deque[str] = deque(maxlen=5)
    done = 0
    for line in lines:
        last_lines.append(line.rstrip())
        # `go build -v` prints one import path per package compiled; notes about downloads contain a space.
        done += " " not in line.strip()
        progress.advance(done, max(total, done))
    return last_lines


def _failure(name: str, last_lines: list[str]) -> str:
    said = "\n  ".join(last_lines) or "nothing"
    return (
        f"building {name} failed; go said:\n  {said}\nCheck the network, or point KUBEBUILDER_ASSETS at ready binaries."
    )
