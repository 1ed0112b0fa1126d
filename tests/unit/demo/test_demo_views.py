import io
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console

from modelscaler_demo.load.tally import Second
from modelscaler_demo.snapshot import Band, Pool, Served, Snapshot, Told, running_from, served_from, told_from
from modelscaler_demo.view.chart import Column, columns, draw, top_of
from modelscaler_demo.view.plain import PlainView
from modelscaler_demo.view.scene import Scene
from modelscaler_demo.view.screen import Screen
from modelscaler_demo.watching import switches

SCENE = Scene(day_seconds=240.0, percentile=99, target_ms=300.0, gpu_note="no GPU is used")
STATUS: Mapping[str, Any] = {
    "active": {"placement": "cpu", "variant": "int8", "replicas": 3, "readyReplicas": 2},
    "desired": {"placement": "gpu", "variant": "full", "replicas": 1, "hourlyCost": "0.09"},
    "transition": {"placement": "gpu", "variant": "full", "startTime": "2026-01-01T00:00:00Z"},
    "unavailable": [{"placement": "gpu", "variant": "int8", "reason": "Unschedulable", "failures": 1}],
    "forecast": {
        "method": "seasonal",
        "horizonSeconds": 14,
        "lowerRps": "20.5",
        "medianRps": "25",
        "plannedRps": "31.5",
    },
    "capacity": [{"placement": "cpu", "variant": "int8", "sustainableRps": "19.5", "source": "Profile"}],
    "lastDecision": {"reason": "ForecastDemand", "message": "forecast peak 31.5 rps", "time": "2026-01-01T00:00:00Z"},
}


def moment(seconds: float, told: Told | None = None, events: tuple[str, ...] = ()) -> Snapshot:
    served = Served(offered_rps=24.0, p50_ms=60.0, p99_ms=120.0, replicas=2, lost=0, inflight=1)
    return Snapshot(seconds, served, told or told_from({"status": STATUS}), {"cpu": 3}, events)


def test_status_is_read_when_all_of_it_is_there() -> None:
    told = told_from({"status": STATUS})
    assert (told.active, told.ready, told.desired) == (Pool("cpu", "int8", 3), 2, Pool("gpu", "full", 1))
    assert told.band == Band(20.5, 25.0, 31.5, 14, "seasonal")
    assert (told.switching_to, told.unavailable) == ("gpu/full", ("gpu/int8: Unschedulable",))


@pytest.mark.parametrize("resource", [None, {}, {"status": {}}])
def test_nothing_is_invented_when_there_is_no_status(resource: Mapping[str, Any] | None) -> None:
    assert told_from(resource) == Told()


def test_capacity_counts_ready_replicas_only_when_some_are_starting() -> None:
    assert moment(0.0).capacity_rps == pytest.approx(39.0)
    assert moment(0.0, Told()).capacity_rps is None


def test_load_is_averaged_over_the_last_seconds_when_there_are_many() -> None:
    seconds = [Second(n, offered=n, lost=n == 0, latencies_ms=[float(n)]) for n in range(20)]
    served = served_from(seconds)
    assert (served.offered_rps, served.p99_ms, served.lost) == (17.0, 19.0, 1)


def test_pods_are_counted_per_placement_when_some_do_not_run() -> None:
    def pod(pool: str, node: str, phase: str, **metadata: str) -> dict[str, Any]:
        labels = {"modelscaler.dev/pool": pool}
        return {"metadata": {"labels": labels, **metadata}, "spec": {"nodeName": node}, "status": {"phase": phase}}

    pods = [
        pod("big-gpu-full", "gpu-0", "Running"),
        pod("cpu-int8", "cpu-0", "Pending"),
        pod("cpu-int8", "", "Pending"),
        pod("cpu-full", "cpu-0", "Failed"),
        pod("big-gpu-full", "gpu-1", "Running", deletionTimestamp="2026-01-01T11:59:00Z"),
        pod("cpu-int8", "cpu-1", "Running", deletionTimestamp="2026-01-01T12:01:00Z"),
    ]
    assert running_from(pods, datetime(2026, 1, 1, 12, tzinfo=UTC)) == {"big-gpu": 1, "cpu": 2}


def test_switch_is_announced_when_the_serving_pool_changes() -> None:
    before = told_from({"status": STATUS})
    after = told_from({"status": {**STATUS, "active": {**STATUS["active"], "placement": "gpu", "variant": "full"}}})
    assert switches(before, after) == ["gpu/full takes over from cpu/int8 (ForecastDemand)"]
    assert switches(before, before) == []


def test_reflex_is_announced_once_when_it_answers_a_burst() -> None:
    calm, burst, more = (Told(degraded_share=share) for share in (None, 0.6, 0.9))
    assert switches(calm, burst) == ["60% of answers come from a cheaper variant in the same pods"]
    assert switches(burst, more) == switches(more, calm) == []


def test_lines_come_every_few_seconds_when_there_is_no_terminal() -> None:
    out = io.StringIO()
    view = PlainView(SCENE, out)
    for second in range(11):
        view.show(moment(100.0 + second, events=("the GPU node fails",) if second == 3 else ()))
    lines = out.getvalue().splitlines()
    assert sum("offered 24.0 rps" in line for line in lines) == 3
    assert sum("** the GPU node fails" in line for line in lines) == 1
    assert sum("ForecastDemand: forecast peak 31.5 rps" in line for line in lines) == 1
    assert "2 of 3 x cpu/int8 ready, wants 1 x gpu/full; p99 120 ms of 300; lost 0" in lines[0]


def test_screen_shows_load_forecast_replicas_and_reason_when_it_has_them() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=110, height=40, color_system=None)
    with Screen(SCENE, console) as screen:
        for second in range(0, 120, 10):
            screen.show(moment(float(second), events=("the GPU node fails",) if second == 110 else ()))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    wanted = ("20 to 32 rps (peak of the next 14 s)", "wants 1 x gpu/full", "ForecastDemand", "the GPU node fails", "━")
    assert [part for part in (*wanted, "no GPU is used") if part not in text] == []


def test_screen_works_when_nothing_is_known_yet() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=80, color_system=None)
    with Screen(SCENE, console) as screen:
        screen.show(Snapshot(-5.0, Served(), Told()))
    assert "waiting for the first decision" in console.file.getvalue()  # type: ignore[attr-defined]


def test_chart_has_a_bar_as_high_as_the_load_when_drawn() -> None:
    text = draw([Column(offered=10.0), Column(offered=5.0), Column()], height=4, top_rps=10.0).plain
    bars = [line[6:] for line in text.splitlines()[:4]]
    assert [sum(row[column] != " " for row in bars) for column in range(3)] == [4, 2, 0]


def test_chart_keeps_within_its_height_when_capacity_is_far_above() -> None:
    shown = [Column(offered=5.0, lower=4.0, planned=6.0, capacity=500.0)]
    assert draw(shown, height=5, top_rps=top_of(shown, 20.0)).plain.splitlines()[0].endswith("━")


def test_columns_hold_the_latest_moment_when_several_fall_into_one() -> None:
    late = Snapshot(3.0, Served(offered_rps=7.0), Told())
    found = columns([Snapshot(-3.0, Served(offered_rps=9.0), Told()), moment(1.0), late], 240.0, 24)
    assert found[0].offered == 7.0
    assert found[1:] == [Column()] * 23
