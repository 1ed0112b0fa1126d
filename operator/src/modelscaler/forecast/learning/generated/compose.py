"""Series put together from ingredients."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from modelscaler.domain import Floats
from modelscaler.forecast.learning.generated.draws import chance, log_uniform
from modelscaler.forecast.learning.generated.gaps import spoiled
from modelscaler.forecast.learning.generated.grid import Grid, grid_of
from modelscaler.forecast.learning.generated.kinds import KINDS, PAIRED_SHARES, REPLACED, TENANTS
from modelscaler.forecast.learning.generated.recipe import Counting, Recipe

LARGEST_RPS: Final = 1e7
LEAST_RPS: Final = 1e-12
LEVEL_RATIOS: Final = {TENANTS: (0.1, 10.0), REPLACED: (0.4, 2.5)}
ADDED_IN_PROPORTION: Final = 0.5
"""Chance that a burst is as high, relative to the load, by night as by day; else its height is fixed."""


@dataclass(frozen=True, slots=True)
class GeneratedPanel:
    """B series on one grid.

    Attributes:
        rps: Load, shape (B, T), NaN where missing.
        step_seconds: From one column to the next.
        end: Time of the last column, UTC.
        kinds: The kind of each series, for plots and tests.
    """

    rps: NDArray[np.float32]
    step_seconds: float
    end: datetime
    kinds: tuple[str, ...]


def generate(rng: np.random.Generator, series: int, step_seconds: float, steps: int, end: datetime) -> GeneratedPanel:
    """Generate load of random kinds.

    Args:
        rng: What all randomness comes from; the first series do not depend on how many there are.
        series: How many, B.
        step_seconds: Length of a step, above zero.
        steps: Columns, T, at least one.
        end: Time of the last column, UTC; load depends on the day of the week and of the year only through it.
    """
    shares = {name: recipe.share for name, recipe in KINDS.items()} | dict(PAIRED_SHARES)
    names, weights = list(shares), np.array(list(shares.values()))
    rps = np.empty((series, steps), dtype=np.float32)
    kinds = []
    for row, own in enumerate(rng.spawn(series)):
        kinds.append(names[int(own.choice(len(names), p=weights / weights.sum()))])
        grid = grid_of(own, step_seconds, steps, end)
        rps[row] = spoiled(own, grid, load(own, grid, kinds[-1]))
    return GeneratedPanel(rps, step_seconds, end, tuple(kinds))


def load(rng: np.random.Generator, grid: Grid, kind: str) -> Floats:
    """Return a load of a kind before outages and gaps, rps, shape (n,), finite and not below zero."""
    if kind in KINDS:
        return prepared(rng, grid, KINDS[kind])
    first, second = (prepared(rng, grid, KINDS[str(name)]) for name in rng.choice(list(KINDS), 2))
    ratio = log_uniform(rng, *LEVEL_RATIOS[kind]) * first.mean() / max(second.mean(), LEAST_RPS)
    if kind == REPLACED:
        return np.where(
            np.arange(grid.steps) < rng.integers(grid.steps), first, np.minimum(ratio * second, LARGEST_RPS)
        )
    return np.asarray(np.minimum(first + ratio * second, LARGEST_RPS))


def prepared(rng: np.random.Generator, grid: Grid, recipe: Recipe) -> Floats:
    """Return a load made by a recipe, rps, shape (n,)."""
    relative = np.ones(grid.steps)
    for factor, probability in recipe.factors:
        if chance(rng, probability):
            relative = relative * factor(rng, grid)
    proportional, fixed = np.zeros(grid.steps), np.zeros(grid.steps)
    for addition, probability in recipe.additions:
        if chance(rng, probability):
            target = proportional if chance(rng, ADDED_IN_PROPORTION) else fixed
            target += addition(rng, grid)
    expected = recipe.level(rng, grid) * np.maximum(relative * (1.0 + proportional) + fixed, 0.0)
    rps = _counting(rng, recipe)(rng, grid, np.minimum(expected, LARGEST_RPS))
    for bending, probability in recipe.bendings:
        if chance(rng, probability):
            rps = bending(rng, rps)
    return np.minimum(rps, LARGEST_RPS)


def _counting(rng: np.random.Generator, recipe: Recipe) -> Counting:
    weights = np.array([weight for _, weight in recipe.countings])
    return recipe.countings[int(rng.choice(len(weights), p=weights / weights.sum()))][0]
