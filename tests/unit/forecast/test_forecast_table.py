import numpy as np

from modelscaler.forecast.base import QUANTILES, TARGETS
from modelscaler.forecast.panel import Floats32
from modelscaler.forecast.pipeline import MEMBERS
from modelscaler.forecast.table import Table
from modelscaler.forecast.waiting import MOST_WAITING, Waiting, blank, places


def numbered(rows: int) -> Table:
    table = Table({"number": np.full(1, -1), "pair": np.zeros((1, 2))})
    for number in range(rows):
        row = table.add()
        table["number"][row] = number
    return table


def test_rows_keep_what_they_hold_when_the_table_grows() -> None:
    table = numbered(50)

    assert table["number"].tolist() == list(range(50))
    assert table["pair"].shape == (50, 2)


def test_the_last_row_takes_the_place_when_one_is_removed() -> None:
    table = numbered(4)

    table.remove(1)

    assert table["number"].tolist() == [0, 3, 2]


def test_a_new_row_is_blank_when_it_takes_the_place_of_an_old_one() -> None:
    table = numbered(3)
    table.remove(2)

    table.add()

    assert table["number"].tolist() == [0, 1, -1]


def said(level: float, rows: int = 2) -> tuple[Floats32, Floats32, Floats32]:
    quantiles = len(QUANTILES)
    shapes = ((len(MEMBERS), TARGETS, rows, quantiles), (TARGETS, rows, quantiles), (TARGETS, rows))
    members, served, scale = (np.full(shape, level, dtype=np.float32) for shape in shapes)
    return members, served, scale


def test_a_forecast_is_judged_once_when_its_time_has_come() -> None:
    waiting, table, rows = Waiting(0, 3), Table(blank(0, 3)), slice(0, 2)
    for _ in range(2):
        table.add()
    for origin in range(10, 14):
        assert waiting.wants(origin)
        waiting.keep(table, rows, origin, *said(float(origin)))
        waiting.kept(origin)
        assert not waiting.wants(origin)

    assert waiting.due(12) == []
    assert waiting.due(14) == [10, 11]
    members, served, scale = waiting.said(table, rows, 11)
    for found, expected in zip((members, served, scale), said(11.0), strict=True):
        np.testing.assert_array_equal(found, expected)
    waiting.drop(table, [10, 11])
    assert waiting.due(14) == []
    assert waiting.due(15) == [12]


def test_few_forecasts_wait_at_once_when_the_horizon_is_long() -> None:
    waiting = Waiting(0, 180)

    wanted = [origin for origin in range(1_000, 1_180) if waiting.wants(origin)]

    assert len(wanted) == MOST_WAITING
    assert places(180) == MOST_WAITING + 1
