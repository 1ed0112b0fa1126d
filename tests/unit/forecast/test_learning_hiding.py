import numpy as np
import torch

from modelscaler.forecast.anchor import judge_stride, judged
from modelscaler.forecast.calendar import Calendar
from modelscaler.forecast.frames import frame
from modelscaler.forecast.learning.hiding import DAYS, FEATURES, SCHEDULES, WEEK_AND_CALENDAR, Hiding
from modelscaler.forecast.panel import Floats32, Panel

STEP_SECONDS = 300.0
DAY = 288
MONDAY_NOON_CELL = 5_961_600 + 4 * DAY + DAY // 2  # 20,704 days since 1970, a Monday


def described(columns: int, calendar: Calendar) -> Floats32:
    """Return features of an origin at the end of so many steps of noise."""
    rps = np.random.default_rng(0).uniform(5.0, 10.0, (1, columns)).astype(np.float32)
    panel = Panel.of(rps, STEP_SECONDS, MONDAY_NOON_CELL - columns)
    record = judged(panel, 2, np.arange(0, columns, judge_stride(STEP_SECONDS)), None)
    seen: Floats32 = frame(panel, np.array([columns - 1]), 2, record, calendar).features[0, 0]
    return seen


def test_there_are_as_many_features_as_hiding_knows_of() -> None:
    assert len(described(400, Calendar.utc(1))) == FEATURES


def test_the_groups_of_days_are_the_inputs_that_are_missing_when_there_are_no_earlier_days() -> None:
    missing_early = set(np.flatnonzero(np.isnan(described(200, Calendar.utc(1)))))
    missing_late = set(np.flatnonzero(np.isnan(described(9 * DAY, Calendar.utc(1)))))

    of_days = missing_early - missing_late

    assert len(of_days) > 20
    assert of_days <= set(DAYS) | set(SCHEDULES)
    assert {column for column in of_days if column not in SCHEDULES} <= set(DAYS)


def test_the_inputs_that_clocks_change_are_of_the_calendar_or_of_schedules() -> None:
    here = described(400, Calendar.utc(1))
    elsewhere = described(400, Calendar(np.array([34.4 * 3_600.0]), {}))
    half_an_hour_east = described(400, Calendar(np.array([1_800.0]), {}))

    by_days = set(np.flatnonzero(np.nan_to_num(here) != np.nan_to_num(elsewhere)))
    by_half_an_hour = set(np.flatnonzero(np.nan_to_num(here) != np.nan_to_num(half_an_hour_east)))

    assert len(by_days) >= 18
    assert by_days <= set(WEEK_AND_CALENDAR) | set(SCHEDULES)
    assert by_half_an_hour & set(SCHEDULES)


def test_only_the_inputs_of_a_group_are_hidden_when_it_is_always_hidden() -> None:
    hidden = Hiding(schedules=1.0).applied(torch.zeros(4, FEATURES), torch.Generator().manual_seed(0))

    for row in torch.isnan(hidden):
        assert set(torch.nonzero(row).flatten().tolist()) == set(SCHEDULES)


def test_about_as_many_rows_are_hidden_as_asked() -> None:
    hidden = Hiding(days=0.25).applied(torch.zeros(4_000, FEATURES), torch.Generator().manual_seed(0))

    share = torch.isnan(hidden[:, DAYS[0]]).float().mean()

    assert 0.22 < share < 0.28
