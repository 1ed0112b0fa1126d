"""All trees that series have of their own, by series and horizon, and the file that keeps them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from numpy.typing import NDArray
from safetensors.numpy import save_file

from modelscaler.domain import WorkloadKey
from modelscaler.forecast.network import WeightsError, read_weights
from modelscaler.forecast.own import Own
from modelscaler.forecast.trees import PARTS, Trees, checked_trees

SCHEMA: Final = "grove-1"
MOST_FILE_BYTES: Final = 96 * 2**20


@dataclass(frozen=True, slots=True)
class Grove:
    """Trees by series and horizon in steps."""

    trees: Mapping[tuple[WorkloadKey, int], Trees] = field(default_factory=dict)

    def of(self, keys: Sequence[WorkloadKey], ahead: int) -> Own:
        """Return which of some series have trees for a horizon, by their place, and those."""
        if not self.trees:
            return ()
        found = ((place, self.trees.get((key, ahead))) for place, key in enumerate(keys))
        return [(place, trees) for place, trees in found if trees is not None]

    def renewed(self, newer: "Grove", wanting: Sequence[WorkloadKey]) -> "Grove":
        """Return these trees with newer ones in their place; those of series that do not want any are dropped."""
        every, kept = {**self.trees, **newer.trees}, set(wanting)
        return Grove({name: trees for name, trees in every.items() if name[0] in kept})

    def save(self, path: Path) -> None:
        """Write all trees in one step: readers see the old file or the new one."""
        arrays: dict[str, NDArray[Any]] = {}
        entries = []
        for number, ((key, ahead), trees) in enumerate(self.trees.items()):
            entries.append([key.namespace, key.name, ahead, dict(trees.facts)])
            arrays |= {f"{number}.{name}": array for name, array in trees.weights.items()}
        beside = path.with_name(path.name + ".new")
        save_file(arrays, beside, metadata={"schema": SCHEMA, "entries": json.dumps(entries)})
        beside.replace(path)


def load_grove(path: Path, features: int) -> Grove:
    """Read trees.

    Args:
        path: The file.
        features: How many features a row has.

    Raises:
        WeightsError: the file is missing, corrupt, too large, of another schema, or made for other features.
    """
    arrays, facts = read_weights(path, MOST_FILE_BYTES)
    if facts.get("schema") != SCHEMA:
        raise WeightsError(f"{path}: schema {facts.get('schema')}, expected {SCHEMA}; remove it")
    try:
        entries = json.loads(facts["entries"])
        return Grove(dict(_entry(path, number, entry, arrays, features) for number, entry in enumerate(entries)))
    except WeightsError:
        raise
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsError(
            f"{path}: cannot be read as trees ({error}); remove it, and training writes it anew"
        ) from error


def _entry(
    path: Path, number: int, entry: Sequence[Any], arrays: Mapping[str, NDArray[Any]], features: int
) -> tuple[tuple[WorkloadKey, int], Trees]:
    namespace, name, ahead, facts = entry
    mine = {part: arrays[f"{number}.{part}"] for part in PARTS}
    return (WorkloadKey(str(namespace), str(name)), int(ahead)), checked_trees(path, mine, facts, features)
