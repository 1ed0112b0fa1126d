"""The layout: nothing shadows the standard library, nothing imports torch by accident."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from modelscaler.cli import COMMANDS

ROOT = Path(__file__).parents[3]


def run_python(code: str, *options: str) -> str:
    """Run code in a fresh interpreter from the repository's root, which is then first on its path."""
    command = [sys.executable, *options, "-c", code]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


def test_operator_folder_is_no_package() -> None:
    assert (ROOT / "operator").is_dir()
    assert not (ROOT / "operator" / "__init__.py").exists()


def test_operator_is_the_standard_librarys_when_imported_from_the_root() -> None:
    # -S keeps site from importing it early; deleting it makes the path decide.
    code = "import sys; sys.modules.pop('operator', None); sys.path.insert(0, ''); import operator; print(operator.__file__)"

    assert Path(run_python(code, "-S")).parent == Path(run_python("import os; print(os.__file__)")).parent


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_loads_torch_before_it_learns(command: str) -> None:
    code = f"import sys, modelscaler.cli.{command}; print('torch' in sys.modules)"

    assert run_python(code) == "False"


def test_checking_a_file_loads_neither_a_cluster_client_nor_the_operator() -> None:
    """It is run for each file that an editor saves."""
    code = (
        "import sys, modelscaler.cli.validate; print([m for m in sys.modules if m in ('kubernetes', 'kopf', 'scipy')])"
    )

    assert run_python(code) == "[]"


def test_operator_does_not_depend_on_torch() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert [name for name in project["dependencies"] if "torch" in name or "modelserver" in name] == []


@pytest.mark.parametrize("member", ["inference-server", "localcluster", "demo"])
def test_member_is_of_the_version_of_the_operator(member: str) -> None:
    versions = [
        tomllib.loads((folder / "pyproject.toml").read_text())["project"]["version"] for folder in (ROOT, ROOT / member)
    ]

    assert versions[0] == versions[1]


def test_no_test_file_has_the_name_of_another() -> None:
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]

    assert sorted(names) == sorted(set(names))
