"""A container's environment, built in kubelet's order: image, services, envFrom, env."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from localcluster.kubeobjects import JsonObject
from localcluster.node.downward import field_value, resource_value
from localcluster.node.expansion import expand

VARIABLE_NAME = re.compile(r"[^=\x00]+")
Lookup = Callable[[str, str], Mapping[str, str] | None]
"""From kind (``ConfigMap``, ``Secret``) and name to the object's data, None when there is no such object."""


class MissingConfiguration(Exception):  # noqa: N818 - names what is wrong, like KeyError
    """A ConfigMap, Secret or key that a container needs is not there (yet)."""


@dataclass(frozen=True)
class PodFacts:
    """What a container may learn about its pod and node."""

    pod: JsonObject
    addresses: Mapping[str, str]
    allocatable: Mapping[str, str]


def container_environment(
    container: JsonObject, base: Mapping[str, str], facts: PodFacts, lookup: Lookup
) -> dict[str, str]:
    """Return the environment of one container.

    Args:
        container: its spec.
        base: what the image and the cluster bring.
        facts: for the downward API.
        lookup: for ConfigMaps and Secrets.

    Raises:
        MissingConfiguration: naming what is missing.
    """
    environment = dict(base)
    for source in container.get("envFrom", ()):
        environment.update(_from_source(source, lookup))
    for variable in container.get("env", ()):
        value = _value(variable, container, facts, lookup, environment)
        if value is not None:
            environment[variable["name"]] = value
    return environment


def _from_source(source: JsonObject, lookup: Lookup) -> dict[str, str]:
    kind, reference = _object_reference(source, "configMapRef", "secretRef")
    data = lookup(kind, reference["name"])
    if data is None:
        if reference.get("optional"):
            return {}
        raise MissingConfiguration(f'{kind.lower()} "{reference["name"]}" not found')
    prefix = source.get("prefix", "")
    return {prefix + key: value for key, value in data.items() if VARIABLE_NAME.fullmatch(prefix + key)}


def _object_reference(source: JsonObject, config_map: str, secret: str) -> tuple[str, JsonObject]:
    return ("ConfigMap", source[config_map]) if config_map in source else ("Secret", source[secret])


def _value(
    variable: JsonObject, container: JsonObject, facts: PodFacts, lookup: Lookup, so_far: Mapping[str, str]
) -> str | None:
    source = variable.get("valueFrom")
    if source is None:
        return expand(variable.get("value", ""), so_far)
    if "fieldRef" in source:
        return field_value(facts.pod, source["fieldRef"]["fieldPath"], facts.addresses)
    if "resourceFieldRef" in source:
        return resource_value(container, source["resourceFieldRef"], facts.allocatable)
    return _key_value(source, lookup)


def _key_value(source: JsonObject, lookup: Lookup) -> str | None:
    kind, reference = _object_reference(source, "configMapKeyRef", "secretKeyRef")
    data = lookup(kind, reference["name"])
    if data is not None and reference["key"] in data:
        return data[reference["key"]]
    if reference.get("optional"):
        return None
    if data is None:
        raise MissingConfiguration(f'{kind.lower()} "{reference["name"]}" not found')
    raise MissingConfiguration(f"couldn't find key {reference['key']} in {kind} {reference['name']}")
