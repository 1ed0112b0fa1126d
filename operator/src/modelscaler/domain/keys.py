"""What a ModelDeployment and its pools are called, and arrays."""

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]


class WorkloadKey(NamedTuple):
    """A ModelDeployment by namespace and name; a tuple, as keys are compared and looked up more than all else."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class PoolKey(NamedTuple):
    """A pool of like replicas: one placement running one variant."""

    placement: str
    variant: str

    def __str__(self) -> str:
        return f"{self.placement}-{self.variant}"
