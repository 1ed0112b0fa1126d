import json
from dataclasses import asdict, replace

import pytest

from modelscaler.profiling.fit import Fit, Line
from modelscaler.profiling.measuring import Measured
from modelscaler.profiling.server import Asked
from modelscaler_benchmarks.accelerator.__main__ import places, price, report, setups, speeds
from modelscaler_benchmarks.accelerator.profiles import PLAN, Profiled, Served, Speed, speed_of
from modelscaler_benchmarks.machine import measured_machine
from modelscaler_benchmarks.server.neighbours import NeighbourFigures
from modelscaler_benchmarks.server.termination import TerminationFigures
from modelscaler_benchmarks.wrk import LoadFigures

SPEED = Speed(0.05, 0.01, 0.002, 8, (0.06, 0.07), {1: 16.0}, 20.0, 10.0)
ON_CPU = Profiled(
    served=Served("cpu", "full"),
    start_seconds=3.0,
    least_cosine=1.0,
    largest_difference=0.0,
    speed=SPEED,
    offered=LoadFigures(19.0, 100.0, 200.0, 38, 2.0, 0),
    device_bytes=0,
    used_bytes=None,
    resident_bytes=600 << 20,
    neighbours=None,
    termination=TerminationFigures(100, 0, 16, 0),
)
ON_GPU = replace(
    ON_CPU,
    served=Served("cuda:0", "full"),
    speed=replace(SPEED, largest_rps=2000.0, sustainable_rps=1500.0),
    device_bytes=90 << 20,
    used_bytes=600 << 20,
    neighbours=NeighbourFigures(300, 1, {400: 20}),
)


def test_tables_have_a_row_for_each_server() -> None:
    assert speeds([ON_CPU, ON_GPU]).splitlines()[-1] == (
        "| cuda:0, full | 1, 1 | 60.0 / 70.0 | 50.000 | 10.000 | 8 | 2,000 | 1,500 | 19 |"
    )
    assert places([ON_CPU, ON_GPU]).splitlines()[-1] == (
        "| cuda:0, full | 1, 1 | 3.0 | 600 | 90 | 600 | 1.000000 | 1 of 300 | 0 of 116 |"
    )


def test_refusals_are_no_answers() -> None:
    flooded = replace(ON_CPU, offered=LoadFigures(1000.0, 1.0, 2.0, 2000, 2.0, 1990))
    assert "| 5 (others refused) |" in speeds([flooded])


def test_a_price_is_the_ratio_of_what_replicas_carry() -> None:
    assert price([ON_CPU, ON_GPU]).splitlines()[-1] == "| cuda:0, full | 150 (100) |"


def test_no_price_is_told_when_the_cpu_never_keeps_the_objective() -> None:
    slow = replace(ON_CPU, speed=replace(SPEED, sustainable_rps=0.0))
    assert price([slow, ON_GPU]).splitlines()[-1] == "| cuda:0, full | never kept (100) |"


def test_figures_are_reported_the_same_when_they_come_from_a_file() -> None:
    machine = measured_machine(()).as_json()
    settings = {"objectiveMilliseconds": 200, "plan": asdict(PLAN), "generator": "wrk"}
    found = {"accelerator": "One GPU", "machine": machine, "settings": settings}
    text = report(json.loads(json.dumps({**found, "profiles": [asdict(one) for one in (ON_CPU, ON_GPU)]})))
    assert speeds([ON_CPU, ON_GPU]) in text
    assert "One GPU; " in text


def test_setups_are_each_measured_once_when_the_cpu_has_one_core() -> None:
    served = setups("cuda:0", 1)
    assert len(set(served)) == len(served)
    assert served[0] == Served("cpu", "full")


def test_speed_is_what_the_planner_makes_of_a_profile() -> None:
    loops = tuple(Asked(clients, (0.01,) * 50, 0.5, 0, "", 0.3) for clients in (1, 1, 4))
    fit = Fit(Line(0.002, 0.004), (0.0, 0.0), (0.0, 0.0), True, ())
    speed = speed_of(Measured(loops, fit, 16, loops[0], (), None), 0.1)
    assert speed.rps_by_clients == {1: pytest.approx(100.0), 4: pytest.approx(100.0)}
    assert speed.largest_rps == pytest.approx(16 / (0.004 + 16 * 0.002))
    assert 0 < speed.sustainable_rps < speed.largest_rps
