"""A generated day of searches in a shop, compressed to minutes: today's, and the two weeks before it.

Every figure here is made up, with the shape that web shops report: a trough at night, a climb in the morning, a busy
midday, the highest peak in the evening, noise, days that differ, and now and then a flash sale nobody announced.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]

HOURS = 24.0
NIGHT_LEVEL = 0.1
BUMPS = ((10.4, 1.5, 0.66), (14.2, 2.0, 0.52), (20.3, 1.7, 0.88))
"""(hour of the top, width in hours, height) of the morning, the afternoon and the evening."""
NOISE = 0.05
NOISE_MEMORY_HOURS = 0.5
DAY_LEVEL_SPREAD = 0.06
DAY_SHIFT_HOURS = 0.25
SALE_RAMP_HOURS = 0.3
SALE_CHANCE = 0.25
PHASES = (
    (5.5, "night"), (9.5, "morning ramp"), (12.0, "late morning"), (16.5, "afternoon"), (18.5, "towards the evening"),
    (21.8, "evening peak"), (24.0, "late evening"),
)  # fmt: skip
"""(hour it ends, name)"""


@dataclass(frozen=True, slots=True)
class DayShape:
    """Size of a day: `peak_rps` is the usual evening peak, `seconds` how long 24 hours take, `step_seconds` the grid."""

    peak_rps: float
    seconds: float
    step_seconds: float = 0.5

    @property
    def steps(self) -> int:
        """Number of steps in a day."""
        return round(self.seconds / self.step_seconds)

    @property
    def hours(self) -> Floats:
        """Hour of the day in the middle of each step, shape (steps,)."""
        return (np.arange(self.steps) + 0.5) * HOURS / self.steps


@dataclass(frozen=True, slots=True)
class Sale:
    """A flash sale: `lift` times as many more requests (0.5: half as many again) for a while."""

    start_hour: float
    hours: float
    lift: float

    def factor(self, hours: Floats) -> Floats:
        """Return what the usual load is multiplied by at each hour, shape as given."""
        rise = (hours - self.start_hour) / SALE_RAMP_HOURS
        fall = (self.start_hour + self.hours - hours) / SALE_RAMP_HOURS
        return 1.0 + self.lift * np.clip(np.minimum(rise, fall), 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Day:
    """One day: `rates_rps` of shape (steps,), and its sale if it has one."""

    shape: DayShape
    rates_rps: Floats
    sale: Sale | None


def usual_level(hours: Floats) -> Floats:
    """Return the usual load at each hour as a share of the usual peak, shape as given; it repeats every 24 hours."""
    angle = 2 * np.pi / HOURS
    level = np.full_like(hours, NIGHT_LEVEL)
    for top, width, height in BUMPS:
        concentration = 1.0 / (angle * width) ** 2  # of a von Mises bump, the normal curve's periodic sibling
        level += height * np.exp(concentration * (np.cos(angle * (hours - top)) - 1.0))
    return level


def make_day(shape: DayShape, rng: np.random.Generator, sale: Sale | None) -> Day:
    """Draw one day: the usual one, busier or quieter, a little early or late, with noise and perhaps a sale."""
    hours = shape.hours
    level = usual_level(hours + rng.normal(0.0, DAY_SHIFT_HOURS)) * (1.0 + rng.normal(0.0, DAY_LEVEL_SPREAD))
    rates = shape.peak_rps * level * np.exp(_noise(shape, rng))
    return Day(shape, rates * sale.factor(hours) if sale else rates, sale)


def earlier_days(shape: DayShape, count: int, seed: int) -> tuple[Day, ...]:
    """Draw the days before today, oldest first; about one in four has a sale somewhere."""
    rng = np.random.default_rng([seed, 0])
    return tuple(make_day(shape, rng, _chance_sale(rng)) for _ in range(count))


def today(shape: DayShape, seed: int) -> Day:
    """Draw today: like the others, with a sale in the afternoon that no earlier day had at that hour."""
    return make_day(shape, np.random.default_rng([seed, 1]), Sale(start_hour=16.6, hours=1.4, lift=0.45))


def clock(fraction: float) -> str:
    """Return the time of day, "14:30", at a fraction of the day; beyond it, of the day after or before."""
    minutes = round(fraction * HOURS * 60) % (24 * 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def phase(fraction: float) -> str:
    """Name the part of the day at a fraction of it."""
    hour = (fraction % 1.0) * HOURS
    return next(name for end, name in PHASES if hour < end)


def _chance_sale(rng: np.random.Generator) -> Sale | None:
    start, hours, lift = rng.uniform(9.0, 21.0), rng.uniform(0.8, 2.0), rng.uniform(0.2, 0.6)
    return Sale(start, hours, lift) if rng.random() < SALE_CHANCE else None


def _noise(shape: DayShape, rng: np.random.Generator) -> Floats:
    """Draw first-order autoregressive noise with standard deviation NOISE, shape (steps,)."""
    keep = float(np.exp(-HOURS / shape.steps / NOISE_MEMORY_HOURS))
    shocks = rng.normal(0.0, NOISE * np.sqrt(1.0 - keep**2), shape.steps)
    noise = np.empty(shape.steps)
    value = rng.normal(0.0, NOISE)
    for step, shock in enumerate(shocks):
        value = keep * value + shock
        noise[step] = value
    return noise
