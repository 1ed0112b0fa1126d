"""What bends a load on its way: each function turns rps, shape (n,), into rps."""

import math

import numpy as np

from modelscaler.domain import Floats
from modelscaler.forecast.learning.generated.draws import chance, log_uniform


def saturated(rng: np.random.Generator, rps: Floats) -> Floats:
    """No more than a capacity that the load would exceed for 0.5 to 25 % of the time gets through."""
    return np.minimum(rps, np.quantile(rps, rng.uniform(0.75, 0.995)))


def stepped(rng: np.random.Generator, rps: Floats) -> Floats:
    """Clients that are autoscaled: the load of a whole number of clients, each asking at its own full speed."""
    size = max(float(np.quantile(rps, 0.95)) / rng.integers(2, 12), 1e-12)
    return np.ceil(rps / size - 1e-9) * size


def rounded(rng: np.random.Generator, rps: Floats) -> Floats:
    """Rounded as an exporter does, to two or three figures of its largest value."""
    top = float(rps.max())
    if top <= 0.0:
        return rps
    unit = 10.0 ** (math.floor(math.log10(top)) - int(rng.integers(1, 3)))
    return np.rint(rps / unit) * unit


def outlying(rng: np.random.Generator, rps: Floats) -> Floats:
    """Single steps that are far off: counter resets, duplicate scrapes."""
    off = rng.random(len(rps)) < log_uniform(rng, 1e-4, 5e-3)
    factor = rng.uniform(0.0, 0.5) if chance(rng, 0.5) else rng.uniform(1.5, 6.0)
    return np.where(off, factor * rps, rps)
