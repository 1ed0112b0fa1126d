"""The clocks of series: local time of day, day of week, and holidays, on which a day is like a Sunday."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from modelscaler.forecast.panel import Floats32, Floats64, Ints

DAY: Final = 86_400.0
HOUR: Final = 3_600.0
WEEK_DAYS: Final = 7
EPOCH_WEEKDAY: Final = 3  # 1 January 1970 was a Thursday; Monday is 0
SUNDAY: Final = 6
HOUR_WAVES: Final = 6  # schedules are sharp: a burst at two past the half hour


@dataclass(frozen=True, slots=True)
class Calendar:
    """The clocks of B series: `offset_seconds` east of UTC, shape (B,); `holidays` local days since the epoch, by series."""

    offset_seconds: Floats64
    holidays: Mapping[int, Ints]

    @classmethod
    def utc(cls, series: int) -> "Calendar":
        """Return clocks in UTC without holidays."""
        return cls(np.zeros(series), {})


def phases(calendar: Calendar, at_seconds: Floats64) -> list[Floats32]:
    """Return waves of the hour, the day and the week at times since the epoch, each of shape (B, G)."""
    local = at_seconds[None] + calendar.offset_seconds[:, None]
    weekday = _weekday(calendar, local)
    of_day = local / DAY % 1.0
    week = (weekday + of_day) / WEEK_DAYS
    waves = [*_waves(local / HOUR, HOUR_WAVES), *_waves(of_day, 3), *_waves(week, 2)]
    return [*waves, np.where(weekday >= SUNDAY - 1, 1.0, 0.0).astype(np.float32)]


def clocks(calendar: Calendar, at_seconds: Floats64) -> list[Floats32]:
    """Return plain clocks at times since the epoch, each of shape (B, G), for models that split where they like.

    Seconds of the day, the day of the week, seconds of the week, of the hour and of the half hour.
    """
    local = at_seconds[None] + calendar.offset_seconds[:, None]
    weekday, of_day = _weekday(calendar, local), local % DAY
    found = [of_day, weekday, weekday * DAY + of_day, of_day % HOUR, of_day % (HOUR / 2.0)]
    return [clock.astype(np.float32) for clock in found]


def _weekday(calendar: Calendar, local: Floats64) -> Floats64:
    days = np.floor(local / DAY)
    weekday = (days + EPOCH_WEEKDAY) % WEEK_DAYS
    for row, holidays in calendar.holidays.items():
        weekday[row] = np.where(np.isin(days[row], holidays), SUNDAY, weekday[row])
    return weekday


def _waves(turns: Floats64, harmonics: int) -> list[Floats32]:
    angles = [2.0 * np.pi * k * turns for k in range(1, harmonics + 1)]
    return [wave(angle).astype(np.float32) for angle in angles for wave in (np.sin, np.cos)]
