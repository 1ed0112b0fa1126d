"""The example, fitted to this machine: pods get as much CPU as it takes to carry what the example says that they carry.

Processors differ, and so does by how much int8 is cheaper than full: many times where they have instructions for it. With the
CPU limits of the example's file one placement would always pay on some of them, and one replica be enough.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass

from modelscaler_demo.example import Example
from modelscaler_demo.profile import VariantSpeed

STATED_PEAK_RPS = 60.0
"""The usual evening peak where replicas carry what the example says."""
LEAST_CORES, MOST_CORES = 0.04, 1.0
"""Of a replica: with less it takes too much of the day to start, and with more it is no faster, a server has one thread."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """The example with this machine's limits, and the usual evening peak that goes with it."""

    example: Example
    peak_rps: float


def fitted(example: Example, speeds: Sequence[VariantSpeed]) -> Fitted:
    """Fit the example. Where a replica would get too little CPU to start, or more than one core, all carry more, or less."""
    core_seconds = {speed.variant: speed.core_seconds for speed in speeds}
    stated = {pair.placement: core_seconds[pair.variant] / pair.stated_seconds for pair in example.planned}
    factor = min(max(1.0, LEAST_CORES / min(stated.values())), MOST_CORES / max(stated.values()))
    limits = {placement: cores * factor for placement, cores in stated.items()}
    return Fitted(_limited(example, limits), round(STATED_PEAK_RPS * factor))


def _limited(example: Example, limits: Mapping[str, float]) -> Example:
    manifest = deepcopy(dict(example.manifest))
    for placement in manifest["spec"]["placements"]:
        quantity = f"{round(limits[placement['name']] * 1000)}m"
        placement["resources"]["limits"]["cpu"] = placement["resources"]["requests"]["cpu"] = quantity
    return Example(manifest)
