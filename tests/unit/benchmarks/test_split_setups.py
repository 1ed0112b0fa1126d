import json

import numpy as np

from modelscaler_benchmarks.server.payloads import HEADER_LENGTH
from modelscaler_benchmarks.split.__main__ import Measured, table
from modelscaler_benchmarks.split.example import PIXELS, requests
from modelscaler_benchmarks.split.setups import setups
from modelscaler_benchmarks.wrk import LoadFigures


def measured(rate: float) -> Measured:
    return Measured(LoadFigures(rate, 10.0, 20.0, 100, 10.0, 0), 3 << 20)


def test_the_heaviest_stage_is_the_one_that_another_server_has() -> None:
    compared = setups(("a", "b", "c"), "b")
    assert [setup.elsewhere for setup in compared] == [(), (), (), ("b",)]
    assert compared[2].options == ("--pipeline",)
    assert [setup.processes for setup in compared] == [1, 2, 3, 3]


def test_the_table_shows_ratios_to_the_whole_on_one_worker_when_measured_several_times() -> None:
    compared = setups(("a", "b"), "b")
    rates = {
        setup.name: [measured(100.0 * at), measured(120.0 * at), measured(900.0)]
        for at, setup in enumerate(compared, 1)
    }
    lines = table(compared, rates).splitlines()[2:]
    assert [line.split(" | ")[3] for line in lines] == ["1.00", "2.00", "3.00", "4.00"]
    assert "120 (100–900)" in lines[0]
    assert lines[0].endswith("10 / 20 | 3 |")


def test_a_request_is_one_image_in_binary() -> None:
    bodies, headers = requests(3)
    length = int(headers[HEADER_LENGTH])
    (tensor,) = json.loads(bodies[0][:length])["inputs"]
    assert tensor["shape"] == [1, PIXELS, PIXELS, 3]
    assert tensor["parameters"]["binary_data_size"] == len(bodies[0]) - length == np.prod(tensor["shape"])
    assert len({*bodies}) == 3
