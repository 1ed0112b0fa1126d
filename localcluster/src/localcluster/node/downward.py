"""The downward API: fields of a pod and resources of a container, as text."""

import re
from collections.abc import Mapping

from localcluster.kubeobjects import JsonObject
from localcluster.quantities import divide_rounding_up

SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")


class UnknownField(ValueError):  # noqa: N818 - names what is wrong, like KeyError
    """A fieldRef or resourceFieldRef that names nothing."""


def field_value(pod: JsonObject, path: str, addresses: Mapping[str, str]) -> str:
    """Return the value of a ``fieldRef``.

    Args:
        pod: the pod object.
        path: for example ``metadata.labels['app']``.
        addresses: ``status.podIP`` and the like, which the pod object does not have yet at this moment.
    """
    metadata, spec = pod["metadata"], pod["spec"]
    if subscripted := SUBSCRIPT.fullmatch(path):
        return str(metadata.get(subscripted.group(1), {}).get(subscripted.group(2), ""))
    if path in ("metadata.labels", "metadata.annotations"):
        pairs = metadata.get(path.partition(".")[2], {})
        return "\n".join(f'{key}="{_escaped(value)}"' for key, value in sorted(pairs.items()))
    if path in addresses:
        return addresses[path]
    if path in ("metadata.name", "metadata.namespace", "metadata.uid"):
        return str(metadata[path.partition(".")[2]])
    if path in ("spec.nodeName", "spec.serviceAccountName"):
        return str(spec.get(path.partition(".")[2], ""))
    raise UnknownField(f"fieldRef {path!r}: expected a field of the downward API, for example status.podIP")


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def resource_value(container: JsonObject, reference: JsonObject, allocatable: Mapping[str, str]) -> str:
    """Return the value of a ``resourceFieldRef``; a missing limit is what the node can give.

    Args:
        container: the container whose resources are meant.
        reference: ``resource`` (``limits.cpu``) and optional ``divisor``.
        allocatable: the node's.
    """
    kind, _, resource = reference["resource"].partition(".")
    if kind not in ("limits", "requests") or not resource:
        raise UnknownField(f"resourceFieldRef {reference['resource']!r}: expected limits.NAME or requests.NAME")
    resources = container.get("resources", {})
    limit = resources.get("limits", {}).get(resource, allocatable.get(resource, "0"))
    quantity = limit if kind == "limits" else resources.get("requests", {}).get(resource, "0")
    divisor = reference.get("divisor", "1")
    return str(divide_rounding_up(str(quantity), "1" if divisor in ("", "0") else divisor))
