import pytest

from modelscaler_benchmarks.cold_start.__main__ import Setup, Start, table
from modelscaler_benchmarks.joining import workers_ready


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        ('# TYPE modelserver_workers_ready gauge\nmodelserver_workers_ready{pod="a"} 2.0\nother 3.0\n', 2),
        ("modelserver_workers_ready 1.0\n", 1),
        ("modelserver_workers_ready_not 4.0\n", 0),
    ],
)
def test_workers_are_counted_when_the_server_names_them(metrics: str, expected: int) -> None:
    assert workers_ready(metrics) == expected


def test_bound_is_judged_by_the_median_of_ready_when_other_workers_come_later() -> None:
    starts = [Start(0.9, 5.0), Start(0.8, 6.0), Start(3.0, 7.0)]
    text = table({Setup("int8", 2): starts, Setup("full", 1): [Start(4.1, 4.1)]})
    assert "| int8, ONNX Runtime alone | 2 | 0.90 (0.80–3.00) | ≤ 1 | met | 6.00 (5.00–7.00) |" in text
    assert "| full, torch | 1 | 4.10 (4.10–4.10) | ≤ 4 | **not met** | 4.10 (4.10–4.10) |" in text
