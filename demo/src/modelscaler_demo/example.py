"""The example, adapted to a compressed day: shorter season and windows, and this machine's own measurements."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from modelscaler_demo.day import DayShape
from modelscaler_demo.profile import cores

PROFILE_NAME = "search-ranker-profile"
SCALE_DOWN_HOURS = 1.0
"""How long a lower demand must last before replicas go, in hours of the compressed day."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A pair that plans use; `stated_seconds` is what a request takes a replica in full batches, as the file says."""

    placement: str
    variant: str
    stated_seconds: float


@dataclass(frozen=True, slots=True)
class Example:
    """A ModelDeployment as written in a file."""

    manifest: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.manifest["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """Its namespace."""
        return str(self.manifest["metadata"]["namespace"])

    @property
    def target_ms(self) -> float:
        """The latency objective."""
        return float(self.manifest["spec"]["slo"]["latency"]["targetMilliseconds"])

    @property
    def percentile(self) -> int:
        """Its percentile."""
        return int(self.manifest["spec"]["slo"]["latency"]["percentile"])

    @property
    def prices(self) -> dict[str, float]:
        """Hourly cost of a replica, per placement."""
        return {placement["name"]: float(placement["hourlyCost"]) for placement in self._placements}

    @property
    def cpu_limits(self) -> dict[str, Decimal]:
        """Cores that a replica may use, per placement."""
        return {placement["name"]: cores(placement["resources"]["limits"]["cpu"]) for placement in self._placements}

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The (placement, variant) pairs that may be used: those with a capacity entry."""
        return [(entry["placement"], entry["variant"]) for entry in self.manifest["spec"]["capacity"]]

    @property
    def bursts_only(self) -> set[tuple[str, str]]:
        """Those of them that answer bursts only, as a rung of the reflex's ladder."""
        entries = self.manifest["spec"]["capacity"]
        return {(entry["placement"], entry["variant"]) for entry in entries if entry.get("reflexOnly")}

    @property
    def planned(self) -> list[Planned]:
        """The pairs that plans use, one for each placement."""
        return [_planned(entry) for entry in self.manifest["spec"]["capacity"] if not entry.get("reflexOnly")]

    @property
    def _placements(self) -> list[dict[str, Any]]:
        placements: list[dict[str, Any]] = self.manifest["spec"]["placements"]
        return placements


def _planned(entry: Mapping[str, Any]) -> Planned:
    milliseconds = (
        float(entry["perRequestMilliseconds"]) + float(entry.get("overheadMilliseconds", 0)) / entry["maxBatch"]
    )
    return Planned(entry["placement"], entry["variant"], milliseconds / 1000)


def read_example(path: Path) -> Example:
    """Read the example's file."""
    return Example(yaml.safe_load(path.read_text()))


def compressed(example: Example, day: DayShape, history_days: int, accuracies: Mapping[str, float]) -> dict[str, Any]:
    """Return the manifest for a compressed day.

    The forecast's season is the day's length, the wait before scaling down an hour of it, speeds come from the profile
    measured on this machine, and accuracies from its own build of the model. That speed is not corrected by what replicas show
    under load: they share the machine's few cores, so more of them would only make all look slower. The rest is as in the
    example.
    """
    manifest = deepcopy(dict(example.manifest))
    spec = manifest["spec"]
    del spec["capacity"]
    spec["capacityProfile"] = {"configMapName": PROFILE_NAME}
    spec["variants"] = [
        {**variant, "accuracy": f"{accuracies.get(variant['name'], float(variant['accuracy'])):.4f}"}
        for variant in spec["variants"]
    ]
    scaling = spec["scaling"]
    scaling["forecast"] |= {
        "seasonSeconds": round(day.seconds),
        "lookbackSeconds": round(day.seconds * history_days),
    }
    wait_seconds = round(day.seconds * SCALE_DOWN_HOURS / 24)
    scaling["capacityRefinement"] = "Off"
    scaling["behavior"] = {"scaleDown": {"stabilizationWindowSeconds": wait_seconds}}
    return manifest
