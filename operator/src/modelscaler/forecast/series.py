"""Load on a regular grid with gaps, prepared for cheap means and maxima over any stretch of it."""

from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from modelscaler.domain import Floats, LoadWindow

Ints: TypeAlias = NDArray[np.int64]

KNOWN_SHARE_OF_PEAK = 0.7  # a maximum over fewer known values than this would be too low too often


@dataclass(frozen=True, slots=True)
class Series:
    """Values on a regular grid, NaN where unknown, with running sums over the known ones.

    `season` is the number of steps after which the load repeats. `sums` and `counts` have shape (n + 1,). `known_peaks` keeps
    the maxima that were asked for, by length: every forecaster asks for the same ones.
    """

    values: Floats
    season: int
    sums: Floats
    counts: Floats
    known_peaks: dict[int, Floats] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, values: Floats, season: int) -> "Series":
        """Prepare values of shape (n,), NaN where unknown, that repeat after `season` steps."""
        known = np.isfinite(values)
        return cls(
            values=values,
            season=max(season, 1),
            sums=np.concatenate(([0.0], np.cumsum(np.where(known, values, 0.0)))),
            counts=np.concatenate(([0.0], np.cumsum(known))),
        )

    @property
    def last(self) -> int:
        """Index of the last value."""
        return len(self.values) - 1

    def mean(self, ends: Ints, length: int) -> Floats:
        """Return the mean of the known values among the `length` that end at each index; NaN where none is known."""
        return running_mean(self.sums, self.counts, ends, length)

    def near(self, track: Floats, index: Ints) -> Floats:
        """Return `track` at each index, or the mean of its two neighbours where it is a gap; NaN when those are too."""
        found = at(track, index)
        gaps = np.flatnonzero(np.isnan(found))
        if len(gaps):
            beside = np.stack([at(track, index[gaps] - 1), at(track, index[gaps] + 1)])
            known = np.isfinite(beside)
            mean = np.where(known, beside, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
            found[gaps] = np.where(known.any(axis=0), mean, np.nan)
        return found

    def peaks(self, length: int) -> Floats:
        """Return the maximum of the `length` values that end at each index, shape (n,); NaN where too few are known."""
        if length not in self.known_peaks:
            self.known_peaks[length] = self._peaks(length)
        return self.known_peaks[length]

    def _peaks(self, length: int) -> Floats:
        ends = np.arange(len(self.values))
        starts = ends + 1 - length
        known = self.counts[ends + 1] - self.counts[np.maximum(starts, 0)]
        enough = (starts >= 0) & (known >= max(1.0, KNOWN_SHARE_OF_PEAK * length))
        return np.where(enough, trailing_max(self.values, length), np.nan)


def series_of(window: LoadWindow, season_seconds: float) -> Series:
    """Prepare a window whose load repeats every `season_seconds`."""
    return Series.of(window.rps, round(season_seconds / window.step_seconds))


def at(track: Floats, index: Ints) -> Floats:
    """Return the values at each index; NaN outside the grid."""
    inside = (index >= 0) & (index < len(track))
    return np.where(inside, track[np.where(inside, index, 0)], np.nan)


def running_mean(sums: Floats, counts: Floats, ends: Ints, length: int) -> Floats:
    """Return means over the `length` entries that end at each index, from running sums and counts of shape (n + 1,)."""
    last = len(sums) - 2
    stop = np.clip(ends, -1, last) + 1
    start = np.clip(ends + 1 - length, 0, stop)
    count = counts[stop] - counts[start]
    return np.where(count > 0, (sums[stop] - sums[start]) / np.maximum(count, 1.0), np.nan)


def trailing_max(values: Floats, length: int) -> Floats:
    """Return the maximum of the known values among the `length` that end at each index, by doubling."""
    found, reach = values, 1
    while reach < length:
        shift = min(reach, length - reach)
        earlier = np.concatenate((np.full(min(shift, len(found)), np.nan), found[:-shift]))
        found = np.fmax(found, earlier)
        reach += shift
    return found
