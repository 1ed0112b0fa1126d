"""Capacity comes before the load, stays while metrics are away, and goes without losing a request."""

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from stage import PEAK, RAMP, RISE, Stage, beats, capacity, cpu, model_deployment, scaling, wait_for_phase

ONE_REPLICA_RPS = 30.0  # as the capacity entries of `stage` have it
QUERIES = 9  # of a tick, for the whole fleet

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


def test_capacity_is_ready_before_the_peak_when_the_load_rises_as_it_did_before(stage: Stage, tmp_path: Path) -> None:
    forecast = {"lookbackSeconds": 1200, "seasonSeconds": int(RAMP.season_seconds), "quantile": "0.9"}
    manifest = model_deployment(
        RAMP.name,
        variants=[{"name": "full", "accuracy": "0.9"}],  # it imports torch: a start takes long enough to need foresight
        capacity=[capacity("cpu", "full")],
        placements=[cpu(startSeconds=16)],
        scaling=scaling(forecast=forecast, behavior={"scaleDown": {"stabilizationWindowSeconds": 30}}),
    )
    if 0.05 < RAMP.phase(datetime.now(UTC)) < 0.8:
        wait_for_phase(RAMP, 0.82)
    stage.apply(manifest)
    curve = tmp_path / "curve.json"
    curve.write_text(json.dumps(_from_now_into_the_next_peak()))
    with stage.load(RAMP.name, 0, "--curve", str(curve), "--deadline", "40") as load:
        stage.until_serving(RAMP.name, "cpu-full")
        wait_for_phase(RAMP, (RISE + PEAK) / 2 - 0.03)
        asked, status = stage.asked(RAMP.name), stage.status(RAMP.name)
        assert asked >= 2, f"one replica still carries the load, and capacity for the peak is under way: {status}"
        decision = status["lastDecision"]
        assert float(decision["measuredRps"]) < ONE_REPLICA_RPS / 2 < float(decision["forecastRps"])
        wait_for_phase(RAMP, PEAK)
        assert stage.ready(RAMP.name) >= 2, "capacity is ready as the peak begins"
        summary = load.wait(60)
    assert summary["lost"] == 0, summary
    assert summary["resets"] == 0, summary
    stage.delete(RAMP.name)


def test_nothing_is_taken_away_when_prometheus_goes_away_and_the_load_ends(stage: Stage) -> None:
    name = stage.apply(model_deployment("outage"))
    stage.until_serving(name, "cpu-int8")
    with stage.load(name, 45.0) as load:
        stage.until(lambda: stage.asked(name) >= 2, "the measured load asks for more replicas", 40)
        before = stage.asked(name)
        stage.cluster.change_part("prometheus", "stop")
        try:
            stage.until(
                lambda: stage.condition(name, "MetricsAvailable").get("status") == "False", "the condition says so", 30
            )
            load.stop_sending()  # with the load gone too, only the outage keeps the replicas
            seen = [stage.asked(name) for _ in beats(12.0)]
            condition = stage.condition(name, "MetricsAvailable")
        finally:
            stage.cluster.change_part("prometheus", "start")
    assert min(seen) >= before, f"replicas fell from {before} during the outage: {seen}"
    assert condition["reason"] == "SourceError"
    stage.until(lambda: stage.condition(name, "MetricsAvailable").get("status") == "True", "metrics are back", 40)
    stage.until(lambda: stage.asked(name) == 1, "a known fall of the load takes the replicas away", 60)
    stage.delete(name)


def test_no_request_is_lost_when_replicas_come_and_go_under_load(stage: Stage) -> None:
    name = stage.apply(model_deployment("steps"))
    stage.until_serving(name, "cpu-int8")
    with stage.load(name, 40.0, seconds=25) as high:
        stage.until(lambda: stage.ready(name) >= 2, "scaled up", 40)
        risen = high.wait(60)
    with stage.load(name, 6.0, seconds=40) as low:
        stage.until(lambda: stage.asked(name) == 1, "scaled down under load", 50)
        fallen = low.wait(60)
    for summary in (risen, fallen):
        assert summary["ok"] > 0
        assert (summary["lost"], summary["resets"]) == (0, 0), summary
    stage.delete(name)


def test_nothing_is_written_and_queries_stay_constant_when_nothing_changes(stage: Stage) -> None:
    names = [stage.apply(model_deployment(f"steady-{index}")) for index in range(2)]
    for name in names:
        stage.until_serving(name, "cpu-int8")
    with stage.load(names[0], 5.0), stage.load(names[1], 5.0):
        stage.until(lambda: all(_is_steady(stage, name) for name in names), "decisions are steady", 60)
        time.sleep(8.0)
        before = stage.operator_metrics()
        time.sleep(20.0)
        after = stage.operator_metrics()
    ticks = _grew(before, after, 'modelscaler_tick_seconds_count{kind="full"}')
    queries = _grew(before, after, "modelscaler_promql_queries_total")
    children = sum(
        _grew(before, after, f'modelscaler_api_writes_total{{kind="{kind}",result="ok"}}')
        for kind in ("Deployment", "Service")
    )
    statuses = _grew(before, after, 'modelscaler_api_writes_total{kind="ModelDeployment",result="ok"}')
    per_tick = f"{children / ticks:.2f} child writes, {statuses / ticks:.2f} status writes a tick"
    print(f"{ticks:.0f} ticks: {queries / ticks:.1f} queries, {per_tick}")
    assert ticks >= 5
    assert abs(queries - QUERIES * ticks) <= QUERIES, "a tick may have been under way at either end"
    assert children == 0
    assert statuses / ticks <= 0.5
    for name in names:
        stage.delete(name)


def _from_now_into_the_next_peak() -> dict[str, Any]:
    """Return the load of the season from its phase of now until the middle of the next peak."""
    phase, step = RAMP.phase(datetime.now(UTC)), RAMP.step_seconds / RAMP.season_seconds
    steps = int(((0.7 - phase) % 1.0) / step)
    return {
        "step_seconds": RAMP.step_seconds,
        "rates_rps": [RAMP.rate_rps((phase + i * step) % 1.0) for i in range(steps)],
    }


def _is_steady(stage: Stage, name: str) -> bool:
    status: dict[str, Any] = stage.status(name)
    wanted, ready = status.get("desired", {}).get("replicas"), status.get("active", {}).get("readyReplicas")
    return bool(wanted == ready == 1)


def _grew(before: dict[str, float], after: dict[str, float], name: str) -> float:
    return after.get(name, 0.0) - before.get(name, 0.0)
