"""The labels that whoever runs the server puts on every series."""

import os
import re

from modelserver.errors import LoadError

LABELS_VARIABLE = "MODELSERVER_METRIC_LABELS"
_OWN_LABELS = frozenset(
    {"variant", "variants", "outcome", "version", "model", "le", "phase", "reason", "worker", "resource", "hash", "pid"}
)
_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def parse_labels(text: str) -> dict[str, str]:
    """Return the labels in `name=value,name=value`.

    Raises:
        LoadError: When a part is not of that form or the name cannot be used.
    """
    labels: dict[str, str] = {}
    for part in filter(None, text.split(",")):
        name, equals, value = part.partition("=")
        if not equals or not _LABEL_NAME.fullmatch(name) or name in _OWN_LABELS or name.startswith("__"):
            raise LoadError(
                f"{LABELS_VARIABLE}: {part!r}, expected name=value with a Prometheus label name other than "
                f"{', '.join(sorted(_OWN_LABELS))}"
            )
        labels[name] = value
    return labels


def labels_from_environment() -> dict[str, str]:
    """Return the labels that the operator put on this pod; none when it put none."""
    return parse_labels(os.environ.get(LABELS_VARIABLE, ""))
