"""Random numbers that every ingredient needs."""

import math

import numpy as np

from modelscaler.domain import Floats


def chance(rng: np.random.Generator, probability: float) -> bool:
    """Return True with a probability, in [0, 1]."""
    return bool(rng.random() < probability)


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Return a number between two positive bounds, every order of magnitude as likely as another."""
    if high <= low:
        return low
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def heights(rng: np.random.Generator, least: float, most: float, tail: float, count: int) -> Floats:
    """Return heavy-tailed numbers: Pareto with exponent `tail` from `least` on, none above `most`."""
    return np.minimum(least * (1.0 + rng.pareto(tail, count)), most)
