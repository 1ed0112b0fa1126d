"""How long replicas took to start, in status and back."""

from collections.abc import Mapping, Sequence
from typing import Final

from modelscaler.api.v1alpha1 import CapacityStatus
from modelscaler.domain import LONGEST_START_SECONDS, PoolKey

NOTICEABLE_SHARE: Final = 0.1
"""By more than this share of itself, and a second, a start must move to be written again: percentiles of a few flicker."""


def starts_from(entries: Sequence[CapacityStatus]) -> dict[PoolKey, int]:
    """Read back the measured starts, in seconds; what can be none (edited by hand) is forgotten."""
    told = {PoolKey(entry.placement, entry.variant): entry.measured_start_seconds for entry in entries}
    return {pool: seconds for pool, seconds in told.items() if seconds and 0 < seconds <= LONGEST_START_SECONDS}


def starts_status(before: Sequence[CapacityStatus], starts: Mapping[PoolKey, float]) -> dict[PoolKey, int]:
    """Return the starts to write, in seconds.

    Args:
        before: What is written now.
        starts: As measured, in seconds; of others what is written stays.
    """
    written = starts_from(before)
    return written | {pool: _settled(written.get(pool), seconds) for pool, seconds in starts.items()}


def _settled(before: int | None, seconds: float) -> int:
    if before is not None and abs(seconds - before) <= max(NOTICEABLE_SHARE * before, 1.0):
        return before
    return round(min(max(seconds, 1.0), LONGEST_START_SECONDS))
