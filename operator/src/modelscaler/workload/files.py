"""Check files of manifests without a cluster, for `modelscaler validate`."""

from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from pydantic import ValidationError

from modelscaler.api import GROUP, KIND
from modelscaler.api.v1alpha1 import ModelDeployment
from modelscaler.workload.checks import coverage_problem, problems
from modelscaler.workload.invalid import InvalidSpec, invalid_from


def check_file(text: str, name: str) -> list[str]:
    """Return one line per problem in the ModelDeployments of a YAML file; objects of other kinds are passed over.

    Args:
        text: The file's contents, one YAML document or several.
        name: What to call the file in the complaints.
    """
    try:
        documents = list(yaml.safe_load_all(text))
    except yaml.YAMLError as error:
        return [f"{name}: no YAML: {' '.join(str(error).split())}"]
    return [
        f"{name}: ModelDeployment {_name_of(document)}: {problem}"
        for document in documents
        if _is_ours(document)
        for problem in _check(document)
    ]


def _check(document: Mapping[str, Any]) -> Iterator[InvalidSpec]:
    metadata = document.get("metadata") or {}
    placed = (
        {**metadata, "namespace": metadata.get("namespace", "default")} if isinstance(metadata, Mapping) else metadata
    )
    try:
        resource = ModelDeployment.model_validate({"metadata": placed, "spec": document.get("spec") or {}})
    except ValidationError as error:
        yield from invalid_from(error)
        return
    found = list(problems(resource))
    yield from found
    spec = resource.spec
    if not found and spec.capacity_profile is None:
        missing = coverage_problem(spec, ((e.placement, e.variant) for e in spec.capacity if not e.reflex_only))
        yield from [missing] if missing else []


def _is_ours(document: object) -> bool:
    return (
        isinstance(document, Mapping)
        and document.get("kind") == KIND
        and str(document.get("apiVersion", "")).startswith(f"{GROUP}/")
    )


def _name_of(document: Mapping[str, Any]) -> str:
    metadata = document.get("metadata")
    return str(metadata.get("name", "without a name")) if isinstance(metadata, Mapping) else "without a name"
