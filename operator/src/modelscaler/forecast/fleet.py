"""Which series there are, where their history and their state are, and what is asked of each."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final, TypeAlias

import numpy as np

from modelscaler.domain import ForecastSettings, LoadWindow, WorkloadKey
from modelscaler.forecast.base import steps_within
from modelscaler.forecast.clocks import holidays_of, offset_seconds
from modelscaler.forecast.cohort import Cohort
from modelscaler.forecast.pipeline import rungs_to
from modelscaler.forecast.store import KEPT_SECONDS, LoadStore

LEAST_HORIZON_SECONDS: Final = 1_800.0  # what is learned for half an hour is there already when a horizon grows


CohortKey: TypeAlias = tuple[float, bool]


class Fleet:
    """The series by key: their slots in the store, and the cohort that each is forecast in."""

    def __init__(self, step_seconds: float) -> None:
        self.step_seconds = step_seconds
        self.store = LoadStore(step_seconds)
        self.cohorts: dict[CohortKey, Cohort] = {}
        self._slots: dict[WorkloadKey, int] = {}
        self._asked: dict[WorkloadKey, ForecastSettings] = {}

    def slot(self, key: WorkloadKey) -> int:
        """Return where a series is in the store; a new one gets a place."""
        if key not in self._slots:
            self._slots[key] = self.store.take()
        return self._slots[key]

    def load(self, key: WorkloadKey, window: LoadWindow) -> None:
        """Merge history; the state of the series is made anew from it."""
        self.store.load(self.slot(key), window)
        cohort = self.cohort_of(key)
        if cohort is not None:
            cohort.table["warm"][cohort.rows[key]] = False

    def window(self, key: WorkloadKey) -> LoadWindow | None:
        """Return the history of a series within its lookback; None when there is none."""
        if key not in self._slots:
            return None
        asked = self._asked.get(key)
        return self.store.window(self._slots[key], self._steps(asked.lookback_seconds if asked else KEPT_SECONDS))

    def cohort_of(self, key: WorkloadKey) -> Cohort | None:
        """Return the cohort that a series is forecast in; None before it was asked for."""
        asked = self._asked.get(key)
        return self.cohorts[_cohort_key(asked)] if asked else None

    def ask(self, key: WorkloadKey, settings: ForecastSettings, horizon_seconds: float) -> None:
        """Remember what is asked of a series; another season or model starts the choice between forecasters anew."""
        before = self._asked.get(key)
        if before is not None and _cohort_key(before) != _cohort_key(settings):
            self.leave(key)
        steps = steps_within(horizon_seconds, self.step_seconds)
        cohort = self._reaching(_cohort_key(settings), steps)
        if key not in cohort.rows:
            row = cohort.add(key)
            cohort.table["slot"][row] = self.slot(key)
        row = cohort.rows[key]
        cohort.table["steps"][row] = steps
        if settings is not before:
            self._asked[key] = settings
            cohort.table["lookback"][row] = self._steps(settings.lookback_seconds)
            cohort.table["learned"][row] = settings.model != "Baselines"

    def leave(self, key: WorkloadKey) -> None:
        """Drop the state of a series, not its history."""
        cohort = self.cohort_of(key)
        if cohort is not None:
            cohort.remove(key)
        self._asked.pop(key, None)

    def forget(self, key: WorkloadKey) -> None:
        """Drop everything about a series."""
        self.leave(key)
        if key in self._slots:
            self.store.free(self._slots.pop(key))

    def set_clocks(self, cohort: Cohort, now: datetime) -> None:
        """Set the time zones and holidays of a cohort as of now; where load does not repeat daily, there are none."""
        if cohort.rate != 1.0:
            return
        for row, key in enumerate(cohort.keys):
            asked = self._asked[key]
            cohort.table["offset"][row] = offset_seconds(asked.time_zone, now)
            if asked.holidays or asked.holiday_country:
                cohort.holidays[row] = holidays_of(asked, now)
            else:
                cohort.holidays.pop(row, None)

    def in_use(self) -> Iterator[Cohort]:
        """Yield the cohorts that have series."""
        return (cohort for cohort in self.cohorts.values() if cohort.keys)

    def _steps(self, seconds: float) -> int:
        return max(int(seconds / self.step_seconds), 1)

    def _reaching(self, key: CohortKey, steps: int) -> Cohort:
        """Return a cohort, made anew when a horizon is asked for that it does not reach."""
        found = self.cohorts.get(key)
        rungs = rungs_to(max(steps, steps_within(LEAST_HORIZON_SECONDS, self.step_seconds)))
        if found is not None and rungs[-1] <= found.rungs[-1]:
            return found
        season_seconds, boosted = key
        made = Cohort(self.step_seconds, season_seconds, rungs, boosted, expected=len(self._slots))
        if found is not None:
            made.take_over(found)
        self.cohorts[key] = made
        return made


def _cohort_key(asked: ForecastSettings) -> CohortKey:
    """Return what series of one cohort share: the season in seconds, and whether the boosted rival serves."""
    return asked.season_seconds, asked.model == "Boosted"


def chunks(rows: int, size: int) -> Iterator[slice]:
    """Yield slices over rows."""
    return (slice(start, min(start + size, rows)) for start in range(0, rows, size))


def cold_rows(cohort: Cohort, most: int, size: int) -> list[slice]:
    """Return slices of at most `size` rows, at most so many in all, whose state does not follow from their history yet."""
    cold = np.flatnonzero(~cohort.table["warm"])[:most]
    breaks = np.flatnonzero(np.diff(cold) > 1) + 1
    stretches = [(int(part[0]), len(part)) for part in np.split(cold, breaks) if len(part)]
    return [slice(first + rows.start, first + rows.stop) for first, count in stretches for rows in chunks(count, size)]
