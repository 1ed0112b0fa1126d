"""How a live run becomes a curve, how far two curves are apart, and what a replay is told of a live run."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelscaler.domain import Floats, PoolKey, ReplicaCapacity
from modelscaler.replay.load import Load
from modelscaler.replay.standard import POOL, standard_workload
from modelscaler.replay.timeline import Timeline
from modelscaler_benchmarks.replay_live.curve import Curve, apart_among, curve_of, figures_of, replicas_apart
from modelscaler_benchmarks.replay_live.document import Compared, how_close, table
from modelscaler_benchmarks.replay_live.manifest import FAST, FULL, PLACEMENT, measured_alone, scaled
from modelscaler_benchmarks.replay_live.replaying import Lived, history_of, replayed, spread_of
from modelscaler_benchmarks.replay_live.sampling import Sample, lived, sample_of, start_seconds_of
from modelscaler_benchmarks.replay_live.shape import Shape, counted, recorded_rps
from modelscaler_benchmarks.replay_live.speed import speed_of
from modelscaler_demo.load.tally import Second

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
SHAPE = Shape(seconds=480.0, peak_rps=60.0, lead_seconds=75.0)


def curve(ready: list[float], **changes: Floats) -> Curve:
    zeros = np.zeros(len(ready))
    usual = {"offered": zeros + 10.0, "answered": zeros + 10.0, "late": zeros, "refused": zeros, "degraded": zeros}
    return Curve(**{**usual, "ready": np.array(ready), "starting": zeros, "hourly_cost": np.array(ready), **changes})


def pod(name: str, ready: bool, leaving: bool = False) -> dict[str, Any]:
    metadata = {"uid": name, "creationTimestamp": "2026-03-02T12:00:00Z"}
    condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": "2026-03-02T12:00:09Z"}
    return {
        "metadata": metadata | ({"deletionTimestamp": "2026-03-02T12:01:00Z"} if leaving else {}),
        "status": {"conditions": [condition], "podIP": "127.0.0.2"},
    }


def run_of(rate_rps: float, start_seconds: tuple[float, ...] = (10.0, 12.0)) -> Lived:
    random = np.random.default_rng(0)
    arrivals = np.sort(random.uniform(0.0, 195.0, round(195.0 * rate_rps)))
    return Lived(
        workload=standard_workload(60.0, with_rung=True),
        pool=POOL,
        arrivals_seconds=arrivals,
        began=NOON,
        lead_seconds=75.0,
        total_seconds=195.0,
        past=random.poisson(rate_rps * 5.0, 360).astype(np.float64),
        past_ended=NOON - timedelta(seconds=90),
        start_seconds=start_seconds,
        first_replicas=2,
        scrape_seconds=5.0,
    )


def test_load_begins_with_its_first_rate_when_there_is_a_lead() -> None:
    rates = SHAPE.rates_rps()
    assert len(rates) == 1110
    assert np.ptp(rates[:150]) == 0.0
    assert rates[0] == 12.0
    assert rates.max() == 60.0


def test_past_is_at_the_first_rate_when_drawn() -> None:
    counts = SHAPE.past_counts(seconds=3600.0, seed=3)
    assert len(counts) == 720
    assert counts.sum() == pytest.approx(12.0 * 3600.0, rel=0.02)


@settings(max_examples=30)
@given(st.lists(st.floats(0.0, 60.0, exclude_max=True), max_size=200), st.sampled_from([0.25, 5.0, 15.0]))
def test_every_arrival_is_counted_once_when_steps_cover_the_time(arrivals: list[float], step: float) -> None:
    counts = counted(np.sort(np.array(arrivals)), 0.0, 60.0, step)
    assert counts.sum() == len(arrivals)
    assert len(counts) == round(60.0 / step)


def test_recorded_rates_are_counted_back_from_the_end_when_steps_do_not_fit() -> None:
    rates = recorded_rps((np.array([99.0, 5.0, 5.0]), np.array([np.nan]), np.array([10.0, 20.0, 30.0])), 5.0, 10.0)
    np.testing.assert_allclose(rates, [1.0, np.nan, 5.0])


def test_pods_on_their_way_out_are_not_asked_for_when_sampled() -> None:
    pods = [pod("a", True), pod("b", False), pod("c", True, leaving=True)]
    sample = sample_of(1.0, pods, {"status": {"lastDecision": {"reason": "DemandRose"}}})
    assert sample == Sample(1.0, ready=1, starting=1, leaving=1, reason="DemandRose")
    assert sample.asked == 2


def test_start_is_from_created_to_ready_when_the_pod_is_ready() -> None:
    assert start_seconds_of(pod("a", True)) == 9.0
    assert start_seconds_of(pod("a", False)) is None


def test_live_run_leaves_out_the_lead_and_keeps_late_answers_when_they_come_after_the_end() -> None:
    seconds = [
        Second(n, offered=2, ok=2, latencies_ms=[50.0, 500.0], versions={"int8": 1, "distilled-int8": 1})
        for n in range(10)
    ]
    after = Second(12, ok=1, lost=1, latencies_ms=[900.0], versions={"int8": 1})
    samples = [Sample(100.0 + at, 2 if at < 7 else 3, 1, 0, "") for at in range(5, 10)]
    found = lived([*seconds, after], samples, began=100.0, lead_seconds=5.0, steps=1)
    assert found.offered.tolist() == [10.0]
    assert found.answered.tolist() == [11.0]
    assert found.late.tolist() == [6.0]
    assert found.refused.tolist() == [1.0]
    assert found.degraded.tolist() == [5.0]
    assert found.ready.tolist() == [2.6]
    assert found.hourly_cost.tolist() == [3.6]


def test_replicas_stay_as_last_seen_when_no_sample_was_taken() -> None:
    found = lived([], [Sample(101.0, 2, 0, 0, ""), Sample(111.0, 4, 0, 0, "")], 100.0, 0.0, 4)
    assert found.ready.tolist() == [2.0, 2.0, 4.0, 4.0]


def test_figures_count_sizes_as_seen_when_they_are_given() -> None:
    found = curve([1.0, 2.0, 2.0, 1.0], late=np.array([1.0, 0.0, 0.0, 1.0]), degraded=np.array([4.0, 0.0, 0.0, 0.0]))
    figures = figures_of(found)
    assert (figures.scale_events, figures.direction_changes) == (2, 1)
    assert figures.violating_share == 0.05
    assert figures.degraded_share == 0.1
    assert figures.mean_replicas == 1.5
    assert figures_of(found, [1, 2, 1, 2, 1]).scale_events == 4


def test_runs_are_apart_by_their_mean_difference_when_sizes_differ() -> None:
    one, two = curve([1.0, 1.0, 3.0]), curve([1.0, 2.0, 1.0])
    assert replicas_apart(one, two) == 1.0
    assert replicas_apart(one, one) == 0.0
    assert apart_among([one, one, two]) == pytest.approx(2.0 / 3.0)
    assert apart_among([one]) == 0.0


def test_timeline_is_refused_when_its_steps_are_of_another_length() -> None:
    with pytest.raises(ValueError, match=r"got 15, expected 5"):
        curve_of(timeline(15.0))


def test_beginning_of_a_timeline_is_left_out_when_asked() -> None:
    assert curve_of(timeline(5.0), skipped_seconds=10.0).ready.tolist() == [5.0, 7.0]


def timeline(step_seconds: float) -> Timeline:
    flat = np.arange(4.0)
    counts = np.array([[0, 1, 2, 3], [1, 2, 3, 4]])
    return Timeline(
        step_seconds=step_seconds,
        offered=flat,
        served=flat,
        late=flat,
        refused=flat,
        degraded=flat,
        accuracy=flat,
        lost_accuracy=flat,
        queued=flat,
        pools=(POOL, POOL),
        ready=counts,
        starting=counts,
        hourly_cost=flat,
        serving=np.zeros(4, dtype=np.int64),
    )


def test_history_has_a_gap_when_the_metrics_had_one() -> None:
    run = run_of(20.0)
    start = NOON + timedelta(seconds=10.0)
    load = Load("live", start, 0.25, np.full(480, 5), np.full(480, 20.0))
    history = history_of(run, load)
    known = history.rps[np.isfinite(history.rps)]
    assert history.start + timedelta(seconds=60.0 * history.first) == start
    assert np.isnan(history.rps[history.first - 2 : history.first]).all()
    assert np.isfinite(history.rps[history.first :]).all()
    assert len(history.rps) - history.first == 2
    np.testing.assert_allclose(known, 20.0, atol=3.0)


def test_spread_is_half_the_width_when_starts_are_even() -> None:
    assert spread_of(tuple(np.linspace(8.0, 12.0, 400).tolist())) == pytest.approx(0.2, rel=0.02)
    assert spread_of((10.0,)) == 0.0


def test_replays_cover_the_comparison_when_ticks_fall_elsewhere() -> None:
    curves = replayed(run_of(40.0), None, seeds=2)
    assert len(curves) == 6
    assert {len(one.offered) for one in curves} == {24}
    assert len({one.offered.sum() for one in curves}) == 1


def test_replay_has_more_replicas_when_the_load_is_larger() -> None:
    few, many = (np.mean([one.ready.mean() for one in replayed(run_of(rate), None, seeds=1)]) for rate in (40.0, 160.0))
    assert many > few


def test_manifests_are_valid_when_applied(tmp_path: Any) -> None:
    from modelscaler.workload.files import read_workload
    from modelscaler_benchmarks.report import write_json

    accuracies = {"int8": 0.9463, "distilled-int8": 0.9299}
    entries = [
        {"placement": "cpu", "variant": name, "perRequestMilliseconds": "40", "maxBatch": 8} for name in (FULL, FAST)
    ]
    for manifest in (measured_alone(FULL, accuracies), scaled(accuracies, entries)):
        write_json(tmp_path / "mdep.json", manifest)
        read = read_workload(tmp_path / "mdep.json", None)
        assert read.key.namespace == "shop"
    assert read.objective.min_mean_accuracy == pytest.approx(0.9447)
    assert read.reflex


def test_table_sets_live_beside_the_mean_of_replays_when_shown() -> None:
    samples = [Sample(float(at), 2, 0, 0, "") for at in range(10)]
    found = Compared(curve([2.0, 2.0]), [curve([1.0, 1.0]), curve([3.0, 2.0])], samples)
    lines = table(found).splitlines()
    assert lines[2] == "| replicas that serve, mean | 2.00 | 1.75 (1.00 to 2.50) | 1.14 × |"
    assert lines[5] == "| violating requests | 0.00% | 0.00% (0.00% to 0.00%) | +0.00 points |"
    assert "differs by 0.75 in the mean (by 0.50 to 1.00" in how_close(found)


def test_table_has_replays_as_fast_as_live_pods_when_those_could_not_keep_up() -> None:
    found = Compared(curve([2.0]), [curve([1.0])], [Sample(0.0, 2, 0, 0, "")], 0.75, [curve([2.0])])
    lines = table(found).splitlines()
    assert "replayed at 0.75 of it: mean (range)" in lines[0]
    assert lines[2].endswith("| 1.00 (1.00 to 1.00) | 2.00 × | 2.00 (2.00 to 2.00) | 1.00 × |")
    assert "differs by 0.00 in the mean" in how_close(found)


def entries() -> tuple[ReplicaCapacity, ...]:
    return tuple(
        ReplicaCapacity(PoolKey(PLACEMENT, variant), seconds, 0.0, 1, "Profile")
        for variant, seconds in ((FULL, 0.02), (FAST, 0.01))
    )


def test_speed_is_what_pods_answered_when_nearly_all_was_late() -> None:
    waited = curve(
        [1.0, 2.0, 1.0],
        answered=np.array([50.0, 500.0, 200.0]),
        late=np.array([0.0, 490.0, 198.0]),
        degraded=np.array([0.0, 100.0, 0.0]),
    )
    work_seconds = 400.0 * 0.02 + 100.0 * 0.01 + 200.0 * 0.02
    assert speed_of(waited, entries()) == pytest.approx(work_seconds / (2.0 * 5.0 + 1.0 * 5.0))


def test_speed_is_not_known_when_pods_kept_up() -> None:
    assert speed_of(curve([1.0, 1.0], late=np.array([5.0, 0.0])), entries()) is None
    assert speed_of(curve([1.0], answered=np.zeros(1)), entries()) is None


def test_more_is_late_when_pods_are_slower_than_the_planner_is_told() -> None:
    fast, slow = (replayed(run_of(150.0), None, seeds=1, speed=speed) for speed in (1.0, 0.6))
    late_by_speed = [sum((one.late + one.refused).sum() for one in curves) for curves in (fast, slow)]
    assert late_by_speed[1] > late_by_speed[0]
    assert [one.ready[0] for one in fast] == [one.ready[0] for one in slow]


def test_curve_is_json_when_asked() -> None:
    told = replace(curve([1.0]), late=np.array([0.123456])).as_json()
    assert told["late"] == [0.1235]
    assert set(told) == {"offered", "answered", "late", "refused", "degraded", "ready", "starting", "hourly_cost"}
