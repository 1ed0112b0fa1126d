from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from loads import settings
from modelscaler.forecast.clocks import EPOCH, holidays_of, offset_seconds

CHRISTMAS = date(2026, 12, 25)
NOW = datetime(2026, 12, 1, 13, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "month", "hours"),
    [("UTC", 1, 0.0), ("Europe/Berlin", 1, 1.0), ("Europe/Berlin", 7, 2.0), ("Asia/Kolkata", 1, 5.5)],
)
def test_a_zone_is_as_far_east_as_it_is_at_that_time_of_year(zone: str, month: int, hours: float) -> None:
    assert offset_seconds(zone, datetime(2026, month, 15, 12, 30, tzinfo=UTC)) == hours * 3600.0


def test_holidays_are_those_that_were_listed_and_those_of_the_country() -> None:
    own = date(2026, 11, 5)

    days = holidays_of(replace(settings(), holidays=(own,), holiday_country="DE"), NOW)

    assert {(own - EPOCH).days, (CHRISTMAS - EPOCH).days} <= set(days.tolist())
    assert (date(2026, 12, 24) - EPOCH).days not in days


def test_there_are_no_holidays_when_none_are_asked_for() -> None:
    assert not len(holidays_of(settings(), NOW))
