"""Which two variants of a model make the ladder."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from modelserver.artifact import VariantMetadata, locate, read_variant, variants

WANTED_SPEED_UP = 2.5
"""Of the fast variant, for bursts of twice the full capacity to fit."""
_BATCH_SIZE = "16"


class LadderError(Exception):
    """A model without two variants to make a ladder of."""


@dataclass(frozen=True)
class Pair:
    """A ladder of two.

    Attributes:
        full: The variant that everyone gets while there is time.
        fast: The one for bursts.
        full_accuracy: 0 to 1.
        fast_accuracy: 0 to 1.
    """

    full: str
    fast: str
    full_accuracy: float
    fast_accuracy: float

    def floor(self, share: float) -> float:
        """Return a mean accuracy between the two; the full one's where the fast one is no worse.

        Args:
            share: 0 is the fast one's, 1 the full one's.
        """
        return self.full_accuracy - (1.0 - share) * max(0.0, self.full_accuracy - self.fast_accuracy)


def find_pair(uri: str, full: str, fast: str | None) -> Pair:
    """Return the ladder to measure.

    Args:
        uri: Of a model that was built.
        full: Name of its full variant.
        fast: Name of the fast one; None for the most accurate of those that are said to be fast enough, or else the fastest.

    Raises:
        LadderError: When there is none.
    """
    directory = locate(uri)
    known = [read_variant(directory, name) for name in variants(directory)]
    return choose_pair(known, full, fast, directory)


def choose_pair(known: Sequence[VariantMetadata], full: str, fast: str | None, directory: Path) -> Pair:
    """Return the ladder to measure; see `find_pair`."""
    by_name = {one.variant: one for one in known}
    if full not in by_name or (fast is not None and fast not in by_name) or len(by_name) < 2:
        raise LadderError(f"{directory}: variants {', '.join(by_name)}; expected {full} and {fast or 'another one'}")
    first = by_name.pop(full)
    second = by_name[fast] if fast is not None else _fast_enough(first, list(by_name.values()))
    return Pair(full, second.variant, first.accuracy or 0.0, second.accuracy or 0.0)


def _fast_enough(full: VariantMetadata, others: Sequence[VariantMetadata]) -> VariantMetadata:
    quick = [one for one in others if _speed_up(full, one) >= WANTED_SPEED_UP]
    if quick:
        return max(quick, key=lambda one: one.accuracy or 0.0)
    return max(others, key=lambda one: _speed_up(full, one))


def _speed_up(full: VariantMetadata, other: VariantMetadata) -> float:
    seconds = (full.milliseconds_per_row or {}).get(_BATCH_SIZE), (other.milliseconds_per_row or {}).get(_BATCH_SIZE)
    return seconds[0] / seconds[1] if seconds[0] and seconds[1] else 0.0
