"""The commands a stranger and CI run: make's targets, the setup script, `.ci/run`."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SYSTEM_PATH = "/usr/bin:/bin"


def run(command: list[str], cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command and keep what it prints."""
    return subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, check=False, capture_output=True, text=True, timeout=60
    )


def script(path: Path, body: str) -> Path:
    """Write an executable shell script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A git repository with `.ci/run`, the Makefile and the setup script, and nothing else."""
    root = tmp_path / "checkout"
    for name in ("Makefile", ".ci/run", "scripts/setup.sh"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    run(["git", "init", "--quiet"], root)
    return root


def test_help_lists_every_target_when_make_is_run_alone() -> None:
    makefile = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert phony

    listed = set(re.findall(r"^  make (\S+)", run(["make"], ROOT).stdout, re.MULTILINE))

    assert listed == set(phony[1].split()) - {"FORCE"}


def test_readme_promises_only_targets_that_exist() -> None:
    promised = set(re.findall(r"^make (\S+)", (ROOT / "README.md").read_text(), re.MULTILINE))

    assert {"demo", "test"} <= promised
    assert promised <= set(re.findall(r"^  make (\S+)", run(["make"], ROOT).stdout, re.MULTILINE))


def test_setup_names_the_version_and_the_way_out_when_python_is_too_old(checkout: Path, tmp_path: Path) -> None:
    bin_path = tmp_path / "bin"
    for name in ("python3", *(f"python3.{minor}" for minor in range(11, 15))):
        script(bin_path / name, '[ "$1" = --version ] && echo "Python 3.9.2" && exit; exit 1')

    done = run(
        ["scripts/setup.sh"], checkout, PATH=f"{bin_path}:{SYSTEM_PATH}", MODELSCALER_CACHE=str(tmp_path / "cache")
    )

    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "setup: found Python 3.9.2, expected Python 3.11 or newer; "
        "on Debian 12, Ubuntu 24.04 or newer: apt-get install python3"
    ]


def test_setup_uses_a_uv_from_the_path_with_the_machines_python(checkout: Path, tmp_path: Path) -> None:
    bin_path, log = tmp_path / "bin", tmp_path / "log"
    script(bin_path / "python3", 'case "$1" in -c) echo /machines/python ;; *) echo Python 3.12.1 ;; esac')
    script(
        bin_path / "uv",
        f'echo "$* $UV_PYTHON $UV_PYTHON_DOWNLOADS" >>{log}; mkdir -p .venv/bin; cp /bin/true .venv/bin/python',
    )

    done = run(
        ["scripts/setup.sh"], checkout, PATH=f"{bin_path}:{SYSTEM_PATH}", MODELSCALER_CACHE=str(tmp_path / "cache")
    )

    assert (done.returncode, (checkout / ".venv" / ".set-up").exists()) == (0, True)
    assert log.read_text().splitlines()[-1] == "sync --all-packages --frozen /machines/python never"


def test_setup_says_what_to_install_in_one_line_when_no_way_to_uv_works(checkout: Path, tmp_path: Path) -> None:
    bin_path, cache = tmp_path / "bin", tmp_path / "cache"
    script(bin_path / "python3", '[ "$1" = -c ] && echo /machines/python && exit; exit 1')
    for name in ("uv", "pipx", "apt-get"):
        script(bin_path / name, "exit 1")

    done = run(["scripts/setup.sh"], checkout, PATH=f"{bin_path}:{SYSTEM_PATH}", MODELSCALER_CACHE=str(cache))

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"setup: could not install uv (see {cache}/uv-install.log); install it, or: apt-get install python3-venv"
    )


def test_ci_runs_the_readmes_test_command_and_the_end_to_end_tests() -> None:
    stages = re.findall(r"^stage \S+ (.+)$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)

    assert {"make lint", "make crds-check", "make test", "make e2e"} <= set(stages)


@pytest.mark.parametrize("status", [1, 5])
def test_ci_fails_with_the_status_and_the_timings_when_a_stage_fails(
    checkout: Path, tmp_path: Path, status: int
) -> None:
    make = script(tmp_path / "bin" / "make", f'[ "$1" = test ] && exit {status}; exit 0')

    done = run([".ci/run"], checkout, PATH=f"{make.parent}:{SYSTEM_PATH}")

    assert done.returncode == status
    assert f"FAILED with exit status {status}" in done.stdout
    assert "make e2e" not in done.stdout


def test_ci_passes_with_a_time_for_every_stage_when_all_is_well(checkout: Path, tmp_path: Path) -> None:
    make = script(tmp_path / "bin" / "make", "exit 0")

    done = run([".ci/run"], checkout, PATH=f"{make.parent}:{SYSTEM_PATH}")

    timed = re.findall(r"^(\S+) +\d+ s", done.stdout.partition("=== timings")[2], re.MULTILINE)
    assert (done.returncode, done.stderr) == (0, "")
    assert timed == ["setup", "lint", "crds", "programs", "models", "test", "e2e", "clean", "total"]


def test_ci_fails_when_the_run_leaves_something_in_the_working_tree(checkout: Path, tmp_path: Path) -> None:
    make = script(tmp_path / "bin" / "make", '[ "$1" = e2e ] && touch leftover; exit 0')

    done = run([".ci/run"], checkout, PATH=f"{make.parent}:{SYSTEM_PATH}")

    assert done.returncode == 1
    assert "?? leftover" in done.stderr
