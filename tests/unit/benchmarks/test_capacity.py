from modelscaler_benchmarks.capacity.__main__ import Compared, table


def test_table_says_by_how_much_predictions_are_off() -> None:
    row = table([Compared(0.6, 100.0, 2000, 3, 0.050, 0.045, 110.0, 0.001)]).splitlines()[-1]
    assert row == "| 60% | 100.0 | 45.0 | 50.0 | -10% | 110.0 (+10%) | 2,000 (3) | 1.0 |"
