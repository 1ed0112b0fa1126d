"""Render the chart with Helm."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parents[1] / "charts" / "modelscaler"
HELM = Path(sys.executable).parent / "helm"
REQUIRED = {"prometheus": {"url": "http://prometheus:9090"}}
NAMESPACE = "system"


def helm(command: str, values: dict[str, Any], chart: Path = CHART) -> subprocess.CompletedProcess[str]:
    """Run a helm command on a chart, else ours, with exactly these values."""
    return subprocess.run(
        [HELM, *command.split(), chart, "--namespace", NAMESPACE, "--values", "-"],
        input=json.dumps(values), check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def render(**values: Any) -> list[dict[str, Any]]:
    """Return the objects that the chart makes with the required values and these, its tests left out."""
    done = helm("template release --skip-tests --kube-version 1.37.2", {**REQUIRED, **values})
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.load_all(done.stdout, yaml.CSafeLoader) if document]
