"""What a kind of load is made of."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from modelscaler.domain import Floats
from modelscaler.forecast.learning.generated.draws import log_uniform
from modelscaler.forecast.learning.generated.grid import Grid

Ingredient: TypeAlias = Callable[[np.random.Generator, Grid], Floats]
"""A factor, or additional load in units of the level, of shape (n,)."""

Counting: TypeAlias = Callable[[np.random.Generator, Grid, Floats], Floats]
Bending: TypeAlias = Callable[[np.random.Generator, Floats], Floats]
Level: TypeAlias = Callable[[np.random.Generator, Grid], float]


@dataclass(frozen=True, slots=True)
class Recipe:
    """Ingredients, each with its chance.

    Attributes:
        share: Weight of this kind among all kinds.
        level: Draws the level, rps.
        factors: Ingredients that multiply.
        additions: Ingredients that add load, in proportion to the rest or at a fixed height.
        countings: Ways of counting requests, each with its weight; one of them is taken.
        bendings: What happens to rps after counting.
    """

    share: float
    level: Level
    factors: tuple[tuple[Ingredient, float], ...] = ()
    additions: tuple[tuple[Ingredient, float], ...] = ()
    countings: tuple[tuple[Counting, float], ...] = ()
    bendings: tuple[tuple[Bending, float], ...] = ()


def rps_between(low: float, high: float) -> Level:
    """Draw levels log-uniformly, rps."""
    return lambda rng, grid: log_uniform(rng, low, high)  # noqa: ARG005 - called like the next


def requests_between(low: float, high: float) -> Level:
    """Draw levels log-uniformly, requests per step."""
    return lambda rng, grid: log_uniform(rng, low, high) / grid.step_seconds
