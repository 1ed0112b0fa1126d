"""Loads in 16 bits: the half-precision floats of IEEE 754 without their sign, next to a power of two for each series."""

import math
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from modelscaler.forecast.panel import Floats32

Halves: TypeAlias = NDArray[np.uint16]

UNKNOWN: Final = np.uint16(
    0
)  # so that memory that was never written costs nothing; everything known is one higher than its bits
MOST: Final = 2.0**15
LARGEST: Final = 65_504.0
TYPICAL_EXPONENT: Final = (
    4  # the largest value becomes about 2**4: room for 2,000 times as much before all is written anew
)
REBIAS: Final = np.float32(2.0**112)  # between the exponents of half and single precision
MANTISSA_SHIFT: Final = 13
LEAST_EXPONENT, MOST_EXPONENT = -60, 100


def encoded(rps: NDArray[np.floating], exponents: NDArray[np.int16]) -> Halves:
    """Return loads of shape (B, T), NaN where unknown, in units of 2**exponent, shape (B,), of each series."""
    scaled = np.ldexp(rps, -exponents[:, None].astype(np.int32))
    bits = np.minimum(scaled, LARGEST).astype(np.float16).view(np.uint16)
    return np.where(np.isnan(scaled), UNKNOWN, bits + np.uint16(1))


def decoded(halves: Halves, exponents: NDArray[np.int16]) -> Floats32:
    """Return the loads again, (B, T). Moving the bits over is several times as fast as numpy's own conversion."""
    found = _widened(halves.astype(np.uint32))
    if exponents.any():
        found *= _units(exponents)[:, None]
    return found


def turned(halves: Halves, exponents: NDArray[np.int16]) -> Floats32:
    """Return the loads again with the series last, (B, T) → (T, B)."""
    bits = np.empty(halves.shape[::-1], dtype=np.uint32)
    bits[...] = halves.T
    found = _widened(bits)
    if exponents.any():
        found *= _units(exponents)
    return found


def summed(halves: Halves, exponents: NDArray[np.int16]) -> NDArray[np.float64]:
    """Return the sum of the loads that are known, (B, T) → (B,)."""
    bits = np.maximum(halves, 1).astype(np.uint32)
    bits -= 1
    bits <<= MANTISSA_SHIFT
    sums = bits.view(np.float32).sum(axis=1).astype(np.float64)
    found: NDArray[np.float64] = np.ldexp(sums * float(REBIAS), exponents.astype(np.int32))
    return found


def _widened(bits: NDArray[np.uint32]) -> Floats32:
    """Return single precision for half precision, in place. What is unknown wraps around to all ones: NaN in both."""
    bits -= 1
    bits <<= MANTISSA_SHIFT
    found = bits.view(np.float32)
    found *= REBIAS
    return found


def _units(exponents: NDArray[np.int16]) -> Floats32:
    return np.ldexp(np.float32(1.0), exponents.astype(np.int32)).astype(np.float32)


def exponent(rps: NDArray[np.floating], before: int | None) -> int | None:
    """Return the exponent to keep values next to: as it is, unless there is none yet or larger values come.

    Args:
        rps: What comes, shape (T,), NaN where unknown.
        before: The exponent so far; None as long as nothing but zeros came.
    """
    most = float(np.max(rps, initial=0.0, where=np.isfinite(rps)))
    if most <= 0.0 or (before is not None and math.ldexp(most, -before) < MOST):
        return before
    return min(max(math.frexp(most)[1] - TYPICAL_EXPONENT, LEAST_EXPONENT), MOST_EXPONENT)
