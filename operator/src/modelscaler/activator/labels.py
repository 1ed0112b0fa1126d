"""The labels that the operator puts on the series that the servers of a ModelDeployment have as well."""

import re
from typing import Final

from modelscaler.api import METRIC_LABELS_VARIABLE

_OWN_LABELS: Final = frozenset({"le", "reason"})
_LABEL_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


class LabelsError(ValueError):
    """The labels cannot be read; the message names the variable, the part and what was expected."""


def parse_labels(text: str) -> dict[str, str]:
    """Return the labels in `name=value,name=value`.

    Raises:
        LabelsError: When a part is not of that form or the name cannot be used.
    """
    labels: dict[str, str] = {}
    for part in filter(None, text.split(",")):
        name, equals, value = part.partition("=")
        if not equals or not _LABEL_NAME.fullmatch(name) or name in _OWN_LABELS or name.startswith("__"):
            raise LabelsError(
                f"{METRIC_LABELS_VARIABLE}: {part!r}, expected name=value with a Prometheus label name other than "
                f"{', '.join(sorted(_OWN_LABELS))}"
            )
        labels[name] = value
    return labels
