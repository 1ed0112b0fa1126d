"""Files of manifests without a cluster: checked for `modelscaler validate`, read for `replay` and `explain`."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from modelscaler.api import GROUP, KIND
from modelscaler.api.v1alpha1 import ModelDeployment, ModelDeploymentStatus
from modelscaler.domain import Workload
from modelscaler.workload.checks import coverage_problem, problems
from modelscaler.workload.conversion import workload_from
from modelscaler.workload.invalid import InvalidSpec, invalid_from
from modelscaler.workload.parsing import parse_profile, parse_status

API_VERSION = f"{GROUP}/v1alpha1"

PROFILE_KEY = "profile.json"
"""Of a ConfigMap that holds a profile."""


def check_file(text: str, name: str) -> list[str]:
    """Return one line per problem in the ModelDeployments of a YAML file; objects of other kinds beside them are passed over.

    Args:
        text: The file's contents, one YAML document or several.
        name: What to call the file in the complaints.
    """
    try:
        objects = _objects(text)
    except yaml.YAMLError as error:
        return [f"{name}: no YAML: {' '.join(str(error).split())}"]
    misnamed = [found for found in objects if _is_misnamed(found)]
    return [
        *(
            f"{name}: got {found.get('apiVersion')} {found.get('kind')}, expected {API_VERSION} {KIND}"
            for found in misnamed
        ),
        *(
            f"{name}: ModelDeployment {_name_of(found)}: {problem}"
            for found in objects
            if _is_ours(found)
            for problem in _check(found)
        ),
    ]


def model_deployments_in(text: str) -> int:
    """Return how many ModelDeployments there are in a YAML file; 0 in what is no YAML."""
    try:
        return sum(_is_ours(found) for found in _objects(text))
    except yaml.YAMLError:
        return 0


class FileError(ValueError):
    """A file does not hold what it should: which, what was found, what was expected."""


def read_workload(file: Path, profile: Path | None) -> Workload:
    """Read what is scaled from the one ModelDeployment in a file.

    Args:
        file: A manifest.
        profile: What `modelserver benchmark` or `modelscaler profile` wrote, when capacities are not in the manifest.

    Raises:
        FileError: There is not exactly one ModelDeployment, or it is wrong.
        InvalidSpec: The profile is wrong, or does not cover what the ModelDeployment may use.
    """
    text = file.read_text(encoding="utf-8")
    complaints = check_file(text, str(file))
    if complaints:
        raise FileError(complaints[0])
    documents = [found for found in _objects(text) if _is_ours(found)]
    if len(documents) != 1:
        raise FileError(f"{file}: {len(documents)} ModelDeployments, expected one")
    metadata = {"namespace": "default", **documents[0]["metadata"]}
    resource = ModelDeployment.model_validate({"metadata": metadata, "spec": documents[0]["spec"]})
    if resource.spec.capacity_profile is not None and profile is None:
        name = resource.spec.capacity_profile.config_map_name
        raise FileError(
            f"{file}: spec.capacityProfile names ConfigMap {name!r}, expected its {PROFILE_KEY} as a file too"
        )
    return workload_from(resource, parse_profile(profile.read_text(encoding="utf-8")) if profile else None)


def read_statuses(text: str, file: str, name: str | None = None) -> list[tuple[str, ModelDeploymentStatus]]:
    """Read ModelDeployments' statuses from what kubectl printed with `-o yaml` or `-o json`, a list of them too.

    Args:
        text: What it printed.
        file: What to call it in the complaints.
        name: Of the one that is wanted; None: all.

    Returns:
        Namespace and name as one word, and the status, of each.

    Raises:
        FileError: It is no YAML, or there is no such ModelDeployment.
    """
    try:
        listed = _objects(text)
    except yaml.YAMLError as error:
        raise FileError(f"{file}: no YAML: {' '.join(str(error).split())}") from None
    found = [item for item in listed if _is_ours(item) and name in (None, _name_of(item))]
    if not found:
        raise FileError(f"{file}: no ModelDeployment{f' {name}' if name else ''}, expected one, as kubectl prints it")
    return [(_full_name_of(item), parse_status(item.get("status"))) for item in found]


def _objects(text: str) -> list[Mapping[str, Any]]:
    """Return the objects in a YAML text, those of a list one by one."""
    documents = [document for document in yaml.safe_load_all(text) if isinstance(document, Mapping)]
    listed = [items if isinstance(items := found.get("items"), list) else [found] for found in documents]
    return [each for objects in listed for each in objects if isinstance(each, Mapping)]


def _check(document: Mapping[str, Any]) -> Iterator[InvalidSpec]:
    if document["apiVersion"] != API_VERSION:
        yield InvalidSpec("apiVersion", document["apiVersion"], API_VERSION)
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


def _is_misnamed(found: Mapping[str, Any]) -> bool:
    """Tell whether an object was meant to be a ModelDeployment, by its group or its kind, and is none."""
    group = str(found.get("apiVersion", "")).partition("/")[0]
    meant = group == GROUP or str(found.get("kind", "")).lower() == KIND.lower()
    return meant and not _is_ours(found)


def _is_ours(document: Mapping[str, Any]) -> bool:
    return document.get("kind") == KIND and str(document.get("apiVersion", "")).startswith(f"{GROUP}/")


def _name_of(document: Mapping[str, Any]) -> str:
    metadata = document.get("metadata")
    return str(metadata.get("name", "without a name")) if isinstance(metadata, Mapping) else "without a name"


def _full_name_of(document: Mapping[str, Any]) -> str:
    metadata = document.get("metadata")
    namespace = metadata.get("namespace") if isinstance(metadata, Mapping) else None
    return f"{namespace or 'default'}/{_name_of(document)}"
