"""The clocks of series as users name them: time zones, and the holidays of a country or listed one by one."""

from datetime import UTC, date, datetime
from functools import cache, lru_cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

import numpy as np

from modelscaler.domain import ForecastSettings
from modelscaler.forecast.panel import Ints

EPOCH: Final = date(1970, 1, 1)
ZONES: Final = 256


def offset_seconds(time_zone: str, now: datetime) -> float:
    """Return how far a time zone is east of UTC at a time, in seconds."""
    return _offset(time_zone, now.replace(minute=0, second=0, microsecond=0))


def holidays_of(settings: ForecastSettings, now: datetime) -> Ints:
    """Return the holidays in the year around a time, as days since the epoch."""
    days = {(day - EPOCH).days for day in settings.holidays}
    if settings.holiday_country:
        days |= set(_of_country(settings.holiday_country, now.year))
    return np.array(sorted(days), dtype=np.int64)


@cache
def countries() -> frozenset[str]:
    """Return the codes of the countries whose holidays are known."""
    from holidays import list_supported_countries  # noqa: PLC0415 - a hundred modules, for those who name a country only

    return frozenset(list_supported_countries(include_aliases=False))


@cache
def time_zones() -> frozenset[str]:
    """Return the names of all time zones that are known here."""
    return frozenset(available_timezones())


def is_date(text: str) -> bool:
    """Tell whether a text names a date that there is."""
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


@lru_cache(maxsize=ZONES)
def _offset(time_zone: str, hour: datetime) -> float:
    offset = hour.astimezone(UTC).astimezone(ZoneInfo(time_zone)).utcoffset()
    return offset.total_seconds() if offset else 0.0


@lru_cache(maxsize=ZONES)
def _of_country(country: str, year: int) -> tuple[int, ...]:
    from holidays import country_holidays  # noqa: PLC0415 - a hundred modules, for those who name a country only

    return tuple((day - EPOCH).days for day in country_holidays(country, years=range(year - 1, year + 2)))
