"""The load that is replayed: arrivals counted in short slots, drawn from a recorded rate. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from modelscaler.backtest.trace import DAY_SECONDS, Ints, Trace
from modelscaler.domain import Floats
from modelscaler.replay.incidents import FlashCrowd

SLOT_SECONDS: Final = 0.25


@dataclass(frozen=True, slots=True)
class Load:
    """Arrivals in slots.

    Attributes:
        trace: Its name.
        start: When the first slot begins, UTC.
        slot_seconds: Length of a slot.
        counts: Arrivals in each slot, shape (slots,).
        expected_rps: Rate that the arrivals of each slot were drawn from, shape (slots,).
    """

    trace: str
    start: datetime
    slot_seconds: float
    counts: Ints
    expected_rps: Floats

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return len(self.counts) * self.slot_seconds

    def slot(self, seconds: float) -> int:
        """Return the slot that begins at a time, in seconds from the start; the end at most."""
        return min(max(round(seconds / self.slot_seconds), 0), len(self.counts))

    def measured_rps(self, step_seconds: float) -> Floats:
        """Return mean arrivals per second of each whole step, as a monitoring system would record them, shape (steps,)."""
        slots = round(step_seconds / self.slot_seconds)
        whole = len(self.counts) // slots * slots
        rates: Floats = self.counts[:whole].reshape(-1, slots).sum(axis=1) / step_seconds
        return rates


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a trace, in days from its beginning."""

    first_day: float
    last_day: float

    @property
    def days(self) -> float:
        """How long it is."""
        return self.last_day - self.first_day


@dataclass(frozen=True, slots=True)
class Arrivals:
    """How arrivals are drawn.

    Attributes:
        seed: Of the generator.
        mean_rps: What the trace is scaled to have on average over the part; None: as it is.
        burstiness: Coefficient of variation of a gamma factor on the rate that changes every `burst_seconds`; 0: Poisson.
        burst_seconds: See above.
    """

    seed: int = 0
    mean_rps: float | None = None
    burstiness: float = 0.0
    burst_seconds: float = 5.0


def load_of(
    trace: Trace,
    part: Part,
    arrivals: Arrivals,
    slot_seconds: float = SLOT_SECONDS,
    crowds: Sequence[FlashCrowd] = (),
) -> Load:
    """Draw the arrivals of a part of a trace: Poisson, at a rate that runs straight between the trace's points.

    Where values are missing the rate runs straight across the gap: a replay needs some load there, and none would reward
    whoever scales down.

    Args:
        trace: The recorded rates.
        part: Which part of it.
        arrivals: How to draw.
        slot_seconds: Length of a slot.
        crowds: By what the rate is multiplied, and when; the mean it is scaled to is that without them.

    Raises:
        ValueError: The part lies outside the trace, or holds no known value.
    """
    slots = round(part.days * DAY_SECONDS / slot_seconds)
    if not (0.0 <= part.first_day < part.last_day <= trace.days + 1e-9) or not slots:
        raise ValueError(f"part: got days {part.first_day:g} to {part.last_day:g}, expected within 0 to {trace.days:g}")
    expected = rate_at(trace, part.first_day * DAY_SECONDS + (np.arange(slots) + 0.5) * slot_seconds)
    if arrivals.mean_rps is not None and expected.any():
        expected *= arrivals.mean_rps / float(expected.mean())
    expected *= crowding(crowds, slots, slot_seconds)
    generator = np.random.default_rng(arrivals.seed)
    counts = generator.poisson(expected * _bursts(arrivals, slots, slot_seconds, generator) * slot_seconds)
    start = trace.start + timedelta(days=part.first_day)
    return Load(trace.name, start, slot_seconds, counts.astype(np.int64), expected)


def crowding(crowds: Sequence[FlashCrowd], slots: int, slot_seconds: float) -> Floats:
    """Return what flash crowds multiply the rate by, shape (slots,): where several meet, the largest."""
    factors = np.ones(slots)
    middles = (np.arange(slots) + 0.5) * slot_seconds
    for crowd in crowds:
        ramp, ends = crowd.ramp_seconds, crowd.at_seconds + crowd.seconds
        times = (crowd.at_seconds, crowd.at_seconds + ramp, ends - ramp, ends)
        factors = np.maximum(factors, np.interp(middles, times, (1.0, crowd.factor, crowd.factor, 1.0)))
    return factors


def rate_at(trace: Trace, seconds: NDArray[np.floating[Any]]) -> Floats:
    """Return a trace's rate at times since its beginning: straight between the middles of its known steps.

    Raises:
        ValueError: No value of the trace is known.
    """
    known = np.isfinite(trace.rps)
    if not known.any():
        raise ValueError(f"{trace.name}: no value is known, expected one at least")
    middles = (np.arange(len(trace.rps))[known] + 0.5) * trace.step_seconds
    rates: Floats = np.maximum(np.interp(seconds, middles, trace.rps[known]), 0.0)
    return rates


def _bursts(arrivals: Arrivals, slots: int, slot_seconds: float, generator: np.random.Generator) -> Floats:
    if not arrivals.burstiness:
        return np.ones(slots)
    shape = 1.0 / arrivals.burstiness**2
    each = max(round(arrivals.burst_seconds / slot_seconds), 1)
    factors = generator.gamma(shape, 1.0 / shape, size=-(-slots // each))
    return np.repeat(factors, each)[:slots]
