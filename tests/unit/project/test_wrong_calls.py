"""What the command line says to a wrong call: a line that names what was wrong, never a traceback."""

from pathlib import Path

import pytest

from modelscaler.cli import main


@pytest.fixture
def latin(tmp_path: Path) -> Path:
    """A file that is no UTF-8."""
    path = tmp_path / "latin.yaml"
    path.write_bytes("kind: Modèle".encode("latin-1"))
    return path


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    return told


@pytest.mark.parametrize("command", [["validate"], ["explain", "--file"]])
def test_the_file_is_named_when_it_cannot_be_read(
    command: list[str], tmp_path: Path, latin: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = str(tmp_path / "missing.yaml")
    assert missing in complaint(capsys, *command, missing)
    assert str(latin) in complaint(capsys, *command, str(latin))


def test_other_files_are_checked_when_one_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [")
    assert main(["validate", str(tmp_path / "missing.yaml"), str(broken)]) == 1
    assert "broken.yaml: no YAML" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [
        ["explain", "ranker"],
        ["profile", "http://127.0.0.1:9", "--model", "m", "--placement", "cpu", "--variant", "full", "--apply"],
    ],
)
@pytest.mark.parametrize("kubeconfig", [None, "a: ["])
def test_the_way_out_is_told_when_there_is_no_cluster(
    command: list[str], kubeconfig: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "kubeconfig"
    if kubeconfig:
        path.write_text(kubeconfig)
    assert "--kubeconfig" in complaint(capsys, *command, "--kubeconfig", str(path))


def test_files_without_a_modeldeployment_are_not_called_fine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "service.yaml").write_text("apiVersion: v1\nkind: Service\n")
    assert "nothing was checked" in complaint(capsys, "validate", str(tmp_path / "service.yaml"))
