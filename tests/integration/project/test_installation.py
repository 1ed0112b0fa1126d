"""`pip install .` gives a working operator, and no torch."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from localcluster.paths import cache_root

ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.integration


def uv() -> str:
    """Return the uv that `make setup` used: pip's own speed would need minutes here."""
    found = shutil.which("uv") or shutil.which("uv", path=cache_root() / "uv" / "bin")
    assert found, "no uv on PATH or in the cache; run `make setup`"
    return found


def run(*command: str | Path) -> str:
    """Run a command outside this project's environment and return what it prints."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("VIRTUAL_ENV", "PYTHON", "UV_PROJECT"))}
    done = subprocess.run(
        command, cwd=ROOT.parent, env=environment, check=False, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of a fresh environment with the operator installed from this checkout, as pip would."""
    home = tmp_path_factory.mktemp("installed") / "venv"
    run(uv(), "venv", "--quiet", "--python-preference", "only-system", "--no-python-downloads", home)
    run(uv(), "pip", "install", "--quiet", "--python", home, ROOT)
    return home / "bin"


def test_command_line_helps_when_installed_alone(installed: Path) -> None:
    listed = run(installed / "modelscaler", "--help")

    assert [word for word in ("run", "validate", "explain", "crd") if f"\n    {word} " not in listed] == []


def test_torch_is_absent_when_the_operator_is_installed_alone(installed: Path) -> None:
    packages = {line.split("==")[0] for line in run(uv(), "pip", "freeze", "--python", installed.parent).splitlines()}

    assert "kopf" in packages
    assert {"torch", "modelserver", "localcluster", "onnxruntime"} & packages == set()


def test_installed_operator_is_complete_when_it_prints_the_crd(installed: Path) -> None:
    assert (
        run(installed / "modelscaler", "crd") in (ROOT / "crds" / "modelscaler.dev_modeldeployments.yaml").read_text()
    )
