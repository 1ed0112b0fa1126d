"""Every ModelDeployment that the documents show is one the API server accepts."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.integration


def shown() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every ModelDeployment in the examples' files and in the Markdown pages, with where it is."""
    for path in sorted(ROOT.glob("examples/**/*.yaml")):
        yield from ((str(path.relative_to(ROOT)), document) for document in model_deployments_in(path.read_text()))
    for path in (ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md")), *sorted(ROOT.glob("examples/**/*.md"))):
        for block in re.findall(r"^```yaml\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL):
            yield from ((str(path.relative_to(ROOT)), document) for document in model_deployments_in(block))


def model_deployments_in(text: str) -> list[dict[str, Any]]:
    """Return the ModelDeployments among YAML documents."""
    return [d for d in yaml.safe_load_all(text) if isinstance(d, dict) and d.get("kind") == "ModelDeployment"]


SHOWN = list(shown())


def test_the_readme_and_an_example_show_one() -> None:
    assert {"README.md", "examples/01-search-ranker/modeldeployment.yaml"} <= {where for where, _ in SHOWN}


@pytest.mark.parametrize(("where", "manifest"), SHOWN, ids=[where for where, _ in SHOWN])
def test_it_is_accepted(model_deployments: Any, where: str, manifest: dict[str, Any]) -> None:
    in_default = {**manifest, "metadata": {**manifest["metadata"], "namespace": "default"}}

    created = model_deployments.create_namespaced_custom_object(
        "modelscaler.dev",
        "v1alpha1",
        "default",
        "modeldeployments",
        in_default,
        dry_run="All",
        field_validation="Strict",
    )

    assert created["spec"]["model"] == manifest["spec"]["model"]
