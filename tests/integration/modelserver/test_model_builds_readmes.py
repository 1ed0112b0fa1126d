"""The commands in the examples' READMEs, run as they stand there, on builds of the same models with every size cut."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[3] / "examples"
TESTS = Path(__file__).parents[2]
MAKE = {"image-classifier": "make_images", "text-encoder": "make_texts", "inception": "make_inception"}
WITHIN_SECONDS = 240


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def script(readme: Path, store: Path) -> str:
    """Return a README's commands, with free ports, small builds and no lame duck."""
    commands = "\n".join(re.findall(r"^```sh\n(.*?)^```", readme.read_text(), re.DOTALL | re.MULTILINE))
    for port in ("8080", "8081"):
        commands = commands.replace(port, str(free_port()))
    for name, make in MAKE.items():
        commands = commands.replace(
            f"modelserver build {name}", f"modelserver build python:tiny_models:{make} --out {store / name}"
        )
    commands = commands.replace("modelserver serve ", "modelserver serve --lame-duck-seconds 0 --workers 1 ")
    commands = re.sub(r"--min-mean-accuracy \S+", "--min-mean-accuracy 0.05", commands)
    return commands.replace("--seconds 5", "--seconds 0.5").replace("PYTHONPATH=", "PYTHONPATH=$PYTHONPATH:")


def run_readme(example: str, store: Path, directory: Path) -> str:
    (directory / "examples").symlink_to(EXAMPLES)
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(TESTS),
        "MODELSERVER_MODELS": str(store),
    }
    process = subprocess.Popen(
        ["bash", "-euc", script(EXAMPLES / example / "README.md", store)],
        cwd=directory,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        output, errors = process.communicate(timeout=WITHIN_SECONDS)
    finally:
        with contextlib.suppress(ProcessLookupError):  # all of it has ended, as it should
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, errors[-4000:]
    return output


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("example", "expected"),
    [
        ("02-image-classifier", ["verdict", '"name":"probabilities"', "answered by full", "shown: "]),
        ("03-text-encoder", ["verdict", '"name":"embeddings"', "answered by full", "navy light"]),
        ("04-split-model", ["verdict", "images per second", "mixed_features"]),
        ("05-own-model", ['"data":[2.0,4.0,6.0,8.0]', '"data":["glad","cross"]']),
    ],
)
def test_commands_of_the_readme_work(tiny_store: Path, tmp_path: Path, example: str, expected: list[str]) -> None:
    output = run_readme(example, tiny_store, tmp_path)
    assert [text for text in expected if text not in output] == []
