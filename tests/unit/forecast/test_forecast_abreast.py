import threading

import pytest

from modelscaler.forecast.abreast import WORKERS, Abreast
from modelscaler.forecast.fleet import chunks
from modelscaler.forecast.serving import chunk_rows


def test_results_come_in_the_order_of_the_parts_when_they_are_worked_on_side_by_side() -> None:
    abreast, both = Abreast(), threading.Barrier(WORKERS)

    def work(part: int) -> int:
        both.wait(timeout=10.0)  # passes only when two are at work at once
        return 10 * part

    try:
        assert abreast.each(work, list(range(2 * WORKERS))) == [0, 10, 20, 30]
    finally:
        abreast.close()


def test_a_single_part_is_worked_on_where_it_is() -> None:
    assert Abreast().each(lambda _: threading.current_thread(), [1]) == [threading.current_thread()]


def test_closing_is_fine_when_nothing_was_started() -> None:
    Abreast().close()


@pytest.mark.parametrize(
    ("rows", "sizes"), [(1, [1]), (100, [64, 36]), (500, [250, 250]), (1_500, [375] * 4), (5_000, [500] * 10)]
)
def test_all_workers_have_as_many_rows(rows: int, sizes: list[int]) -> None:
    assert [part.stop - part.start for part in chunks(rows, chunk_rows(rows))] == sizes
