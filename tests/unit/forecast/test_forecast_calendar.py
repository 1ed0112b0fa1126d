"""Local clocks and holidays."""

from datetime import UTC, datetime

import numpy as np

from modelscaler.forecast.calendar import Calendar, phases

WEDNESDAY = datetime(2026, 11, 25, 10, 30, tzinfo=UTC)


def at(*moments: datetime) -> np.ndarray:
    return np.array([moment.timestamp() for moment in moments])


def told(calendar: Calendar, *moments: datetime) -> np.ndarray:
    return np.stack(phases(calendar, at(*moments)), axis=-1)


def test_same_hour_of_the_week_looks_the_same_a_week_later() -> None:
    later = WEDNESDAY.replace(year=2026, month=12, day=2)
    found = told(Calendar.utc(1), WEDNESDAY, later)
    np.testing.assert_allclose(found[0, 0], found[0, 1], atol=1e-5)


def test_clock_is_local_when_there_is_an_offset() -> None:
    calendar = Calendar(np.array([0.0, 3_600.0]), {})
    found = told(calendar, WEDNESDAY, WEDNESDAY.replace(hour=9))
    np.testing.assert_allclose(found[0, 0], found[1, 1], atol=1e-5)


def test_holiday_looks_like_a_sunday() -> None:
    sunday = WEDNESDAY.replace(day=29)
    day = int(WEDNESDAY.timestamp() // 86_400)
    found = told(Calendar(np.zeros(2), {1: np.array([day])}), WEDNESDAY, sunday)
    np.testing.assert_allclose(found[1, 0], found[1, 1], atol=1e-5)
    assert not np.allclose(found[0, 0], found[0, 1])
