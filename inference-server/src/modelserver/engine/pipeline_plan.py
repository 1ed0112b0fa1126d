"""Who computes which part of a split model. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from modelserver.errors import LoadError
from modelserver.worker.orders import Part


@dataclass(frozen=True)
class Elsewhere:
    """A stage that another pod serves.

    Attributes:
        stage: Its name.
        address: Of the pod, `http://HOST:PORT`.
    """

    stage: str
    address: str


Node: TypeAlias = Part | Elsewhere
"""One step of a batch's way: a worker process here, or another pod."""


def plan_pipeline(stages: Sequence[str], addresses: Mapping[str, str]) -> list[Node]:
    """Return the nodes that a batch passes, first to last. Decoding and encoding are always done here.

    Args:
        stages: Of the model, first to last.
        addresses: Stage -> the pod that serves it; others run here.

    Raises:
        LoadError: When the model is not split, or an address is of no stage.
    """
    if not stages:
        raise LoadError("the model has no stages: it cannot be split")
    unknown = sorted(set(addresses) - set(stages))
    if unknown:
        raise LoadError(f"--stage-address {unknown[0]}: expected one of {', '.join(stages)}")
    nodes: list[Node] = []
    if stages[0] in addresses:
        nodes.append(Part(decode=True, stage=None, encode=False))
    for index, stage in enumerate(stages):
        if stage in addresses:
            nodes.append(Elsewhere(stage, addresses[stage]))
        else:
            nodes.append(Part(decode=index == 0, stage=stage, encode=index == len(stages) - 1))
    if stages[-1] in addresses:
        nodes.append(Part(decode=False, stage=None, encode=True))
    return nodes
